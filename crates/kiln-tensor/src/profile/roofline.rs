//! The machine's peak, measured.

use crate::{DType, Device, Result, Tensor};
use std::time::{Duration, Instant};

/// Time for each of the two measurements.
const TIME: Duration = Duration::from_millis(200);
/// A run that takes so long is large enough to be measured.
const LONG: Duration = Duration::from_millis(8);
/// Sides of the matrices, the largest for devices beside which 1024 is little.
const SIDES: [usize; 6] = [64, 256, 1024, 2048, 4096, 8192];
/// f32 elements of the copy: beyond the caches of most machines, 256 MB at most.
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
    /// Measures them: 2·n³ FLOPs of a product of n × n matrices, and a copy, of which each byte counts twice. Takes about half a second, and
    /// the memory of a copy of 64 MB on a CPU, which goes back to the system. The best run counts.
    ///
    /// # Errors
    /// Out of memory, a fault of the device.
    pub fn measure(device: &Device) -> Result<Roofline> {
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

/// The best rate, in 10⁹ a second, of the first size that takes long enough to be measured. `work` makes the work of a size: how much it is,
/// and what runs it.
fn best<R: FnMut() -> Result<()>>(
    sizes: &[usize],
    device: &Device,
    work: impl Fn(usize) -> Result<(f64, R)>,
) -> Result<f64> {
    let mut rate = 0.0;
    for &size in sizes {
        let (amount, mut run) = work(size)?;
        let begun = Instant::now();
        let mut least = Duration::MAX;
        loop {
            let begin = Instant::now();
            run()?;
            device.synchronize()?;
            least = least.min(begin.elapsed());
            if least < LONG || begun.elapsed() >= TIME {
                break;
            }
        }
        rate = amount / least.as_nanos().max(1) as f64;
        if least >= LONG {
            break;
        }
    }
    Ok(rate)
}
