//! How Kiln's benchmarks run what they time.

use std::time::{Duration, Instant};

/// The time of so many calls inside the thread team, as a training loop makes them: for criterion's `iter_custom`.
pub fn in_team<R>(times: u64, mut f: impl FnMut() -> R + Send) -> Duration {
    kiln::tensor::Device::cpu().session(move || {
        let start = Instant::now();
        for _ in 0..times {
            std::hint::black_box(f());
        }
        start.elapsed()
    })
}
