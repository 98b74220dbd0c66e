//! Radix sort, digit by digit from the right: stable, and of the same passes whatever the values.

use super::key::Key;
use crate::operand::Output;
use crate::team;

/// Bits of a digit: its 256 streams of writes stay within the caches' reach.
const DIGIT: u32 = 8;
const BUCKETS: usize = 1 << DIGIT;

/// From here on an array is worth sharing out among the threads.
pub(super) const SHARED: usize = 1 << 17;
/// Up to here comparisons are faster than passes over digits.
const COMPARED: usize = 256;

/// What is moved: a key, alone or with its position.
pub(super) trait Item: Copy + Default + Send + Sync {
    type Key: Key;
    fn key(&self) -> Self::Key;
    /// Sorts a few.
    fn sort_few(items: &mut [Self]);
}

impl<K: Key> Item for K {
    type Key = K;
    #[inline(always)]
    fn key(&self) -> K {
        *self
    }
    fn sort_few(items: &mut [K]) {
        items.sort_unstable();
    }
}

/// A key and the position of its element in the row.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct Pair<K> {
    pub(super) key: K,
    pub(super) at: u32,
}

impl<K: Key> Item for Pair<K> {
    type Key = K;
    #[inline(always)]
    fn key(&self) -> K {
        self.key
    }
    fn sort_few(items: &mut [Self]) {
        items.sort_unstable_by_key(|item| (item.key, item.at));
    }
}

/// Sorts `items` by key, those of equal keys in their order, with `spare` of the same length; the slice that holds the result.
pub(super) fn sort<'a, I: Item>(items: &'a mut [I], spare: &'a mut [I]) -> &'a [I] {
    if items.len() <= COMPARED {
        I::sort_few(items);
        return items;
    }
    let passes = (I::Key::BITS / DIGIT) as usize;
    if items.len() < SHARED || team::threads() == 1 {
        return alone(items, spare, passes);
    }
    let (mut from, mut to) = (items, spare);
    for pass in 0..passes {
        if shared_pass(from, to, pass as u32 * DIGIT) {
            std::mem::swap(&mut from, &mut to);
        }
    }
    from
}

/// Where each bucket begins.
fn starts(counts: &[usize; BUCKETS]) -> [usize; BUCKETS] {
    let mut next = 0;
    counts.map(|count| {
        let start = next;
        next += count;
        start
    })
}

/// All passes by one thread: their counts are taken at once.
pub(super) fn alone<'a, I: Item>(items: &'a mut [I], spare: &'a mut [I], passes: usize) -> &'a [I] {
    let mut counts = [[0usize; BUCKETS]; 8];
    for item in items.iter() {
        let key = item.key();
        for (pass, counts) in counts[..passes].iter_mut().enumerate() {
            counts[key.digit(pass as u32 * DIGIT, BUCKETS - 1)] += 1;
        }
    }
    let (mut from, mut to) = (items, spare);
    for (pass, counts) in counts[..passes].iter().enumerate() {
        if counts.contains(&from.len()) {
            continue; // all have the same digit
        }
        let mut next = starts(counts);
        let shift = pass as u32 * DIGIT;
        for item in from.iter() {
            let place = &mut next[item.key().digit(shift, BUCKETS - 1)];
            to[*place] = *item;
            *place += 1;
        }
        std::mem::swap(&mut from, &mut to);
    }
    from
}

/// One pass, shared out: each thread counts and moves a part of the items. False where all have the same digit, and nothing moved.
fn shared_pass<I: Item>(from: &[I], to: &mut [I], shift: u32) -> bool {
    let parts = team::threads();
    let part = |i: usize| &from[i * from.len() / parts..(i + 1) * from.len() / parts];
    let mut counts = vec![[0usize; BUCKETS]; parts];
    {
        let counts = Output::from_slice(&mut counts);
        team::parallel(parts, |i| {
            // SAFETY: this part's own counts.
            let counts = unsafe { &mut counts.part(i, 1)[0] };
            for item in part(i) {
                counts[item.key().digit(shift, BUCKETS - 1)] += 1;
            }
        });
    }
    // Of one bucket the first part's items come first.
    let mut next = 0;
    for bucket in 0..BUCKETS {
        let before = next;
        for counts in &mut counts {
            let count = counts[bucket];
            counts[bucket] = next;
            next += count;
        }
        if next - before == from.len() {
            return false;
        }
    }
    let (places, to) = (counts, Output::from_slice(to));
    team::parallel(parts, |i| {
        let mut next = places[i];
        for item in part(i) {
            let place = &mut next[item.key().digit(shift, BUCKETS - 1)];
            debug_assert!(*place < to.len());
            // SAFETY: the counts are those of these very items, so each has a place of its own within the array.
            unsafe { *to.first().add(*place) = *item };
            *place += 1;
        }
    });
    true
}
