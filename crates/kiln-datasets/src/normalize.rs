//! How the bytes of images become the numbers of a batch.

/// Statistics of each channel over a data set, in the scale of byte / 255.
#[derive(Clone, PartialEq, Debug)]
pub struct ChannelStatistics {
    /// The mean.
    pub mean: Vec<f64>,
    /// The standard deviation.
    pub std: Vec<f64>,
}

/// What is done to each image by its own mean and standard deviation, as Keras's samplewise settings have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
