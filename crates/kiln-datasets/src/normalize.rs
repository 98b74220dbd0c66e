//! How the bytes of images become the numbers of a batch.

use kiln_tensor::{Error, Result};
use serde::{Deserialize, Serialize};

/// Statistics of each channel over a data set, in the scale of byte / 255.
#[derive(Clone, PartialEq, Debug)]
pub struct ChannelStatistics {
    /// The mean.
    pub mean: Vec<f64>,
    /// The standard deviation.
    pub std: Vec<f64>,
}

/// Sums over the bytes of each channel. They are whole numbers: exact, whatever the order.
#[derive(Clone, Debug)]
pub(crate) struct ChannelSums {
    /// Σx and Σx² of each channel.
    sums: Vec<[u64; 2]>,
    /// Bytes of a channel.
    count: u64,
}

impl ChannelSums {
    pub(crate) fn new(channels: usize) -> Self {
        ChannelSums { sums: vec![[0; 2]; channels], count: 0 }
    }

    /// Adds an image of equal planes.
    pub(crate) fn add(&mut self, image: &[u8]) {
        let size = image.len() / self.sums.len().max(1);
        for ([sum, squares], bytes) in self.sums.iter_mut().zip(image.chunks_exact(size.max(1))) {
            *sum += bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>();
            *squares += bytes.iter().map(|&byte| u64::from(byte) * u64::from(byte)).sum::<u64>();
        }
        self.count += size as u64;
    }

    /// Mean and standard deviation of each channel, of byte / 255.
    pub(crate) fn statistics(&self) -> ChannelStatistics {
        let count = self.count.max(1);
        let mean = self.sums.iter().map(|[sum, _]| *sum as f64 / count as f64 / 255.0).collect();
        // n·Σx² − (Σx)² of whole numbers is exact as well: what it leaves of large numbers is all there is.
        let spread = |&[sum, squares]: &[u64; 2]| {
            (u128::from(count) * u128::from(squares)).saturating_sub(u128::from(sum) * u128::from(sum)) as f64
        };
        let std = self.sums.iter().map(|of| spread(of).sqrt() / count as f64 / 255.0).collect();
        ChannelStatistics { mean, std }
    }
}

/// What is done to each image by its own mean and standard deviation, as Keras's samplewise settings have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Samplewise {
    /// x − mean: `samplewise_center`.
    Center,
    /// (x − mean) / (std + 10⁻⁶): `samplewise_center` and `samplewise_std_normalization`.
    Standardize,
}

/// scale · byte + shift, and what is done to each image by its own statistics after that.
#[derive(Clone, Debug)]
pub(crate) struct Normalization {
    /// [scale, shift] for all planes or for each.
    pub(crate) planes: Vec<[f32; 2]>,
    pub(crate) samplewise: Option<Samplewise>,
}

impl Normalization {
    /// byte / 255.
    pub(crate) fn unit() -> Self {
        Normalization { planes: vec![[1.0 / 255.0, 0.0]], samplewise: None }
    }

    /// The bytes themselves.
    pub(crate) fn of_bytes() -> Self {
        Normalization { planes: vec![[1.0, 0.0]], samplewise: None }
    }

    /// (byte / 255 − mean) / std by channel.
    ///
    /// # Errors
    /// Other than one mean and one std above 0 for each channel.
    pub(crate) fn by_channel(&mut self, channels: usize, mean: &[f64], std: &[f64]) -> Result<()> {
        let finite = mean.iter().all(|mean| mean.is_finite()) && std.iter().all(|&std| std > 0.0 && std.is_finite());
        if mean.len() != channels || std.len() != channels || !finite {
            return Err(Error::value(
                "normalized_channels",
                format!(
                    "means {mean:?} and deviations {std:?}: a number and one above 0 for each of {channels} channels are expected"
                ),
            ));
        }
        let plane = |(mean, std): (&f64, &f64)| [(1.0 / (255.0 * std)) as f32, (-mean / std) as f32];
        self.planes = mean.iter().zip(std).map(plane).collect();
        Ok(())
    }

    /// scale · x + shift, in place on an image of the scale of bytes.
    pub(crate) fn normalize(&self, image: &mut [f32]) {
        let size = image.len() / self.planes.len().max(1);
        for (plane, &[scale, shift]) in image.chunks_exact_mut(size.max(1)).zip(&self.planes) {
            plane.iter_mut().for_each(|x| *x = scale * *x + shift);
        }
    }

    /// What is done by the image's own statistics, in place on a normalized image.
    pub(crate) fn standardize(&self, image: &mut [f32]) {
        let Some(samplewise) = self.samplewise else { return };
        let center = mean(image.len(), |i| image[i]) as f32;
        image.iter_mut().for_each(|x| *x -= center);
        if samplewise == Samplewise::Standardize {
            let std = mean(image.len(), |i| image[i] * image[i]).sqrt();
            let scale = (1.0 / (std + 1e-6)) as f32;
            image.iter_mut().for_each(|x| *x *= scale);
        }
    }
}

/// The mean of `count` values, by sixteen sums of blocks: the order is always the same.
pub(crate) fn mean(count: usize, value: impl Fn(usize) -> f32) -> f64 {
    const BLOCK: usize = 4096;
    let mut sum = 0.0;
    for block in (0..count).step_by(BLOCK) {
        let mut lanes = [0f32; 16];
        let end = (block + BLOCK).min(count);
        for at in (block..end).step_by(16) {
            for (lane, i) in lanes.iter_mut().zip(at..end) {
                *lane += value(i);
            }
        }
        sum += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
    }
    sum / count.max(1) as f64
}
