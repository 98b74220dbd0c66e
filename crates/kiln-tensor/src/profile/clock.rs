//! The clock of a profile.
//!
//! Where the processor has a counter of constant rate, that is read instead of the system's clock: it takes a third of the time, and each
//! operation needs two readings.

use std::sync::LazyLock;
use std::time::Instant;

/// A time in ticks since any moment; two times of one process can be compared.
pub(super) fn ticks() -> u64 {
    if *HAS_COUNTER { counter() } else { BEGINNING.elapsed().as_nanos() as u64 }
}

/// Turns ticks into nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale(f64);

impl Scale {
    /// From a period that both clocks have measured.
    pub(super) fn new(nanoseconds: u64, ticks: u64) -> Scale {
        Scale(if ticks == 0 { 1.0 } else { nanoseconds as f64 / ticks as f64 })
    }

    pub(super) fn nanoseconds(self, ticks: u64) -> u64 {
        (ticks as f64 * self.0).round() as u64
    }
}

static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

static HAS_COUNTER: LazyLock<bool> = LazyLock::new(has_counter);

/// Whether the time-stamp counter runs at a constant rate, also while the processor saves power.
#[cfg(target_arch = "x86_64")]
fn has_counter() -> bool {
    use std::arch::x86_64::__cpuid;
    const ADVANCED: u32 = 0x8000_0007;
    __cpuid(0x8000_0000).eax >= ADVANCED && __cpuid(ADVANCED).edx & 1 << 8 != 0
}

#[cfg(not(target_arch = "x86_64"))]
fn has_counter() -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
fn counter() -> u64 {
    // SAFETY: every processor of this architecture has the instruction; it reads a register and no memory.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ticks_are_time() {
        let (begun, from) = (Instant::now(), ticks());
        std::thread::sleep(Duration::from_millis(20));
        let (half, half_time) = (ticks() - from, begun.elapsed());
        std::thread::sleep(Duration::from_millis(20));
        let scale = Scale::new(begun.elapsed().as_nanos() as u64, ticks() - from);
        let ratio = scale.nanoseconds(half) as f64 / half_time.as_nanos() as f64;
        assert!((0.95..1.05).contains(&ratio), "{ratio}");
        assert_eq!(Scale::new(0, 0).nanoseconds(7), 7);
    }
}
