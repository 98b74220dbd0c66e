//! What is kept for reuse, and when it goes back.

use super::classes::{CLASSES, size_of_class};

/// What is kept beside what is in use may be as much as that for any program.
const FREE_OF_CHARGE: usize = 4 << 20;
/// Unused buffers go back whenever so many times the memory held was handed out: to fetch them again costs little beside that.
const PATIENCE: u64 = 16;
/// The same, where little is held.
pub(super) const LEAST_PATIENCE: u64 = 256 << 20;
/// From this size on it is noted when buffers were used: smaller ones are too quick for that, and are little memory.
pub(super) const NOTED: usize = 64 << 10;

/// What is in use and what is kept.
pub(super) struct State {
    pub(super) classes: [Class; CLASSES],
    /// Bytes in use, the most there were since the last sweep, and before it.
    pub(super) live: usize,
    pub(super) recent: usize,
    before: usize,
    /// The most there ever were, but for those since the last sweep.
    pub(super) peak: usize,
    /// Bytes that came from the system and have not gone back.
    pub(super) held: usize,
    /// Bytes that may come from the system before it is asked what it has left.
    pub(super) granted: usize,
    /// Bytes that were ever handed out in noted buffers: the clock that tells how long ago something was.
    clock: u64,
    /// When to sweep next.
    sweep_at: u64,
}

/// Free buffers of a size.
pub(super) struct Class {
    /// Their addresses, the last used last.
    pub(super) free: Vec<usize>,
    /// How many of them, the first ones, nobody has needed since the last sweep.
    idle: usize,
    /// When one was handed out last.
    used: u64,
}

impl Class {
    const EMPTY: Class = Class { free: Vec::new(), idle: 0, used: 0 };
}

/// Buffers on their way back to the system, by size.
pub(super) type Leaving = Vec<(usize, Vec<usize>)>;

impl State {
    pub(super) fn new() -> Self {
        State {
            classes: [Class::EMPTY; CLASSES],
            live: 0,
            recent: 0,
            before: 0,
            peak: 0,
            held: 0,
            granted: 0,
            clock: 0,
            sweep_at: LEAST_PATIENCE,
        }
    }

    #[inline]
    pub(super) fn hand_out(&mut self, size: usize) {
        self.live += size;
        self.recent = self.recent.max(self.live);
    }

    /// A kept buffer.
    #[inline]
    pub(super) fn reuse(&mut self, class: usize, size: usize) -> Option<usize> {
        let of = &mut self.classes[class];
        let address = of.free.pop()?;
        of.idle = of.idle.min(of.free.len());
        self.hand_out(size);
        Some(address)
    }

    /// Whether `size` bytes are within what is granted; then they are taken off it.
    pub(super) fn spend(&mut self, size: usize) -> bool {
        let rest = self.granted.checked_sub(size);
        self.granted = rest.unwrap_or(self.granted);
        rest.is_some()
    }

    /// Notes that a buffer was handed out; whether it is time to sweep.
    pub(super) fn note(&mut self, class: usize, size: usize) -> bool {
        self.clock += size as u64;
        self.classes[class].used = self.clock;
        self.clock >= self.sweep_at
    }

    /// Takes the first `count` free buffers of a class out.
    pub(super) fn take(&mut self, class: usize, count: usize) -> (usize, Vec<usize>) {
        let (size, of) = (size_of_class(class), &mut self.classes[class]);
        self.held -= size * count;
        of.idle = of.idle.saturating_sub(count);
        (size, of.free.drain(..count).collect())
    }

    /// Takes out what goes beyond the bound once `size` more bytes are in use: of the sizes that were used longest ago first.
    pub(super) fn beyond(&mut self, size: usize) -> Leaving {
        let bound = self.recent.max(self.before).max(self.live + size).max(FREE_OF_CHARGE);
        let mut leaving = Leaving::new();
        while self.held - self.live > bound {
            let kept = (0..CLASSES).filter(|&class| !self.classes[class].free.is_empty());
            let age = |&class: &usize| (size_of_class(class) < NOTED, self.classes[class].used);
            let Some(class) = kept.min_by_key(age) else { break };
            let excess = (self.held - self.live - bound).div_ceil(size_of_class(class));
            leaving.push(self.take(class, excess.min(self.classes[class].free.len())));
        }
        leaving
    }

    /// Takes out what nobody has needed since the last sweep.
    pub(super) fn sweep(&mut self) -> Leaving {
        let idle = (0..CLASSES).filter(|&class| self.classes[class].idle > 0).collect::<Vec<_>>();
        let leaving = idle.into_iter().map(|class| self.take(class, self.classes[class].idle)).collect();
        self.classes.iter_mut().for_each(|class| class.idle = class.free.len());
        self.peak = self.peak.max(self.recent);
        (self.before, self.recent) = (self.recent, self.live);
        self.sweep_at = self.clock + (PATIENCE * self.held as u64).max(LEAST_PATIENCE);
        leaving
    }
}
