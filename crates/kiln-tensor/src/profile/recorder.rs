//! What a profile writes down while it is under way.

use super::clock::{Scale, ticks};
use super::key::{Key, Mix};
use super::place::{Place, here, reset};
use super::report::{Profile, Totals};
use super::{ON, Work, is_on};
use crate::plan::recorder;
use crate::{Device, DeviceBuffer, Error, Result};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// How many events of a trace are kept where nothing is said: about 10 MB of JSON.
pub const TRACE_EVENTS: usize = 50_000;

/// An event of the trace: an operation, or a layer around operations. Times are since the profile began: in ticks of the clock while it is
/// under way, then in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) place: Place,
    /// None of a layer.
    pub(super) work: Option<Work>,
    pub(super) begin: u64,
    /// None of a layer that was not left yet.
    pub(super) time: Option<u64>,
    pub(super) allocations: u32,
}

struct Recorder {
    /// Tells it from other profiles.
    number: u64,
    begun: Instant,
    /// The same moment.
    begun_ticks: u64,
    /// Allocations since the last operation: they belong to the next one.
    pending: Totals,
    /// Times in ticks.
    totals: HashMap<Key, Totals, BuildHasherDefault<Mix>>,
    /// In the order of the first call.
    keys: Vec<Key>,
    peak: usize,
    events: Vec<Event>,
    limit: usize,
    /// Events for which there was no room.
    left_out: u64,
}

thread_local! {
    static RECORDER: RefCell<Option<Box<Recorder>>> = const { RefCell::new(None) };
}

fn with<R>(f: impl FnOnce(&mut Recorder) -> R) -> Option<R> {
    RECORDER.with_borrow_mut(|recorder| recorder.as_deref_mut().map(f))
}

/// A profile under way. Dropped without [`Profiling::stop`] it ends and is lost.
#[must_use = "the profile ends when this is dropped"]
#[derive(Debug)]
pub struct Profiling(PhantomData<*const ()>);

impl Profiling {
    /// Measures the operations of this thread from now on, and keeps the first [`TRACE_EVENTS`] events for a trace.
    ///
    /// # Errors
    /// This thread has a profile under way.
    pub fn start() -> Result<Self> {
        Self::start_with(TRACE_EVENTS)
    }

    /// As [`Profiling::start`], with so many events of a trace: operations, and layers around them. The tables count all operations.
    ///
    /// # Errors
    /// As there.
    pub fn start_with(trace_events: usize) -> Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        if is_on() {
            return Err(Error::value("profile", "this thread has a profile under way: stop it before another one"));
        }
        let recorder = Recorder {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            begun: Instant::now(),
            begun_ticks: ticks(),
            pending: Totals::default(),
            totals: HashMap::default(),
            keys: Vec::new(),
            peak: 0,
            events: Vec::new(),
            limit: trace_events,
            left_out: 0,
        };
        RECORDER.set(Some(Box::new(recorder)));
        ON.set(true);
        Ok(Profiling(PhantomData))
    }

    /// Ends the profile, and gives what it has seen.
    pub fn stop(self) -> Profile {
        let recorder = RECORDER.take();
        drop(self);
        let Some(recorder) = recorder else { return Profile::default() };
        let (nanoseconds, period) = (recorder.begun.elapsed().as_nanos() as u64, recorder.now());
        let scale = Scale::new(nanoseconds, period);
        let Recorder { mut totals, keys, peak, mut events, left_out, .. } = *recorder;
        let rows = keys.into_iter().map(|key| {
            let mut totals = totals.remove(&key).unwrap_or_default();
            totals.nanoseconds = scale.nanoseconds(totals.nanoseconds);
            totals.counted_nanoseconds = scale.nanoseconds(totals.counted_nanoseconds);
            (key, totals)
        });
        for event in &mut events {
            event.begin = scale.nanoseconds(event.begin);
            event.time = event.time.map(|time| scale.nanoseconds(time));
        }
        Profile::new(nanoseconds, peak, rows, events, left_out)
    }
}

impl Drop for Profiling {
    fn drop(&mut self) {
        ON.set(false);
        reset();
        RECORDER.set(None);
    }
}

/// A call of a backend that is being measured.
pub(crate) struct Timed {
    work: Work,
    /// In ticks.
    begin: u64,
}

impl Timed {
    /// Begins one.
    pub(crate) fn begin(work: Work) -> Self {
        Timed { work, begin: ticks() }
    }

    /// Writes down what it took. A call that was refused, or that will be composed, is not ended so.
    ///
    /// # Errors
    /// A fault of the device, which is waited for.
    #[cold]
    #[inline(never)]
    pub(crate) fn end(self, device: &Device) -> Result<()> {
        if !device.backend().is_host() {
            device.synchronize()?;
        }
        let end = ticks();
        with(|recorder| recorder.add(self.work, self.begin, end));
        Ok(())
    }
}

/// Counts an allocation of a tensor's memory.
#[cold]
#[inline(never)]
pub(crate) fn allocated(device: &Device, buffer: DeviceBuffer, bytes: usize) {
    if recorder::is_on() {
        recorder::allocated(buffer, bytes);
    }
    let live = device.memory().live;
    with(|recorder| {
        recorder.pending.allocations += 1;
        recorder.pending.allocated_bytes += bytes as u64;
        recorder.pending.peak_bytes = recorder.pending.peak_bytes.max(live as u64);
        recorder.peak = recorder.peak.max(live);
    });
}

/// Begins the event of a layer: the profile's number, and the event's place where it is kept.
pub(super) fn open(place: Place) -> (u64, Option<usize>) {
    with(|recorder| {
        let event = if place.scope == 0 { None } else { recorder.open(place) };
        (recorder.number, event)
    })
    .unwrap_or_default()
}

/// Ends the event of a layer. Whether that profile is still under way.
pub(super) fn leave(profile: u64, event: Option<usize>) -> bool {
    let left = with(|recorder| {
        if recorder.number != profile {
            return false;
        }
        if let Some(at) = event {
            let now = recorder.now();
            if let Some(event) = recorder.events.get_mut(at) {
                event.time = Some(now.saturating_sub(event.begin));
            }
        }
        true
    });
    left == Some(true)
}

impl Recorder {
    /// Ticks since the profile began.
    fn now(&self) -> u64 {
        ticks().saturating_sub(self.begun_ticks)
    }

    fn open(&mut self, place: Place) -> Option<usize> {
        let room = self.events.len() < self.limit;
        if !room {
            self.left_out += 1;
            return None;
        }
        let begin = self.now();
        self.events.push(Event { place, work: None, begin, time: None, allocations: 0 });
        Some(self.events.len() - 1)
    }

    fn add(&mut self, work: Work, begin: u64, end: u64) {
        let place = here();
        let time = end.saturating_sub(begin);
        let allocated = std::mem::take(&mut self.pending);
        let key = Key { place, operation: work.operation, of: work.of };
        let keys = &mut self.keys;
        let totals = self.totals.entry(key).or_insert_with(|| {
            keys.push(key);
            Totals::default()
        });
        totals.add(&allocated);
        totals.calls += 1;
        totals.nanoseconds += time;
        totals.bytes += work.bytes;
        if let Some(flops) = work.flops {
            totals.flops += flops;
            totals.counted_nanoseconds += time;
            totals.other_flops += if work.other_type { flops } else { 0 };
        }
        if self.events.len() < self.limit {
            let begin = begin.saturating_sub(self.begun_ticks);
            let allocations = allocated.allocations as u32;
            self.events.push(Event { place, work: Some(work), begin, time: Some(time), allocations });
        } else {
            self.left_out += 1;
        }
    }
}
