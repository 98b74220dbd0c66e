//! The machine's peak, measured.

use crate::{DType, Device, Result, Tensor};
use std::time::{Duration, Instant};

/// Time for the runs of the largest size of each of the two measurements.
const TIME: Duration = Duration::from_millis(200);
/// A run that takes so long is large enough to be measured.
const LONG: Duration = Duration::from_millis(8);
/// Sides of the matrices, the largest for devices beside which 1024 is little.
const SIDES: [usize; 6] = [64, 256, 1024, 2048, 4096, 8192];
/// f32 elements of the copy: beyond the caches of most machines, 268 MB at most.
const ELEMENTS: [usize; 4] = [1 << 14, 1 << 20, 1 << 24, 1 << 26];

/// What a device does at best: the two lines of a roofline.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Roofline {
    /// 10⁹ FLOPs a second of a large f32 matrix product.
    pub gflops: f64,
    /// 10⁹ bytes a second, read and written, of a large copy.
    pub gigabytes_per_second: f64,
}

impl Roofline {
    /// Measures them: 2·n³ FLOPs of a product of n × n matrices, and a copy, of which each byte counts twice. Sizes grow until a run takes
    /// 8 ms; then the best run of 0.2 s counts. Takes about half a second, and memory for three f32 matrices of 8192 × 8192 at most (805 MB;
    /// 134 MB on most CPUs), which goes back to the system. [`Device::cpu`] is measured with memory of its own, so that its
    /// [`Device::memory`] stays as it is; the peak of another device counts what was measured with.
    ///
    /// # Errors
    /// Out of memory, a fault of the device.
    pub fn measure(device: &Device) -> Result<Roofline> {
        let own = (device.name() == "cpu").then(|| Device::cpu_of(usize::MAX));
        let device = own.as_ref().unwrap_or(device);
        let measured = device.session(|| {
            let gflops = best(&SIDES, device, |side| {
                let a = Tensor::ones([side, side], DType::F32, device)?;
                let b = Tensor::ones([side, side], DType::F32, device)?;
                Ok((2.0 * (side as f64).powi(3), move || a.matmul(&b).map(drop)))
            })?;
            let gigabytes_per_second = best(&ELEMENTS, device, |count| {
                let x = Tensor::ones([count], DType::F32, device)?;
                let mut copy = Tensor::zeros([count], DType::F32, device)?;
                Ok((8.0 * count as f64, move || copy.copy_from(&x)))
            })?;
            Ok(Roofline { gflops, gigabytes_per_second })
        });
        device.trim();
        measured
    }

    /// What so much work takes at best.
    pub(super) fn nanoseconds(&self, flops: u64, bytes: u64) -> f64 {
        (flops as f64 / self.gflops).max(bytes as f64 / self.gigabytes_per_second)
    }
}

/// The best rate, in 10⁹ a second, of the first size that takes long enough to be measured, or of the last one. `work` makes the work of a
/// size: how much it is, and what runs it.
fn best<R: FnMut() -> Result<()>>(
    sizes: &[usize],
    device: &Device,
    work: impl Fn(usize) -> Result<(f64, R)>,
) -> Result<f64> {
    let mut rate = 0.0;
    for (place, &size) in sizes.iter().enumerate() {
        let (amount, mut run) = work(size)?;
        let mut time = || {
            let begin = Instant::now();
            run()?;
            device.synchronize().map(|()| begin.elapsed())
        };
        let mut least = time()?;
        let long = least >= LONG;
        if long || place + 1 == sizes.len() {
            let begun = Instant::now();
            while begun.elapsed() < TIME {
                least = least.min(time()?);
            }
        }
        rate = amount / least.as_nanos().max(1) as f64;
        if long {
            break;
        }
    }
    Ok(rate)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic is a test's report

    use super::best;
    use crate::Device;
    use std::cell::Cell;
    use std::time::Duration;

    #[test]
    fn the_last_size_is_run_again_and_the_best_run_counts() {
        let runs = Cell::new(0);
        let work = |_| {
            let runs = &runs;
            let run = move || {
                // The first run is slow, as where memory is new.
                if runs.replace(runs.get() + 1) == 0 {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(())
            };
            Ok((5e6, run))
        };
        let rate = best(&[1], &Device::cpu(), work).unwrap();
        // The first run alone would be a rate of at most 5·10⁶ in 5 ms.
        assert!(runs.get() > 1 && rate > 1.0, "{} runs, {rate}", runs.get());
    }
}
