//! Moments of channels, normalization by them, and its gradient. x is (samples, channels, size).
//!
//! A channel is added up as on the CPU, so that the bits are the same: in [`Chunks`] of samples or of parts of one, each of which
//! sixteen threads add up.

use crate::lanes::{LANES, combine, lane, shared};
use crate::number::GpuFloat;
use crate::place::{THREADS, element};
use cuda_std::*;
use kiln_math::Real;
use kiln_math::ops::{Relu, Unary};

/// Multiply by the weight.
pub const WEIGHT: u32 = 1;
/// Add the bias.
pub const BIAS: u32 = 2;
/// max(x, 0) at last.
pub const RELU: u32 = 4;
/// The moments are those of x itself: gradients go through them.
pub const OWN_MOMENTS: u32 = 8;

/// Threads that add up a channel.
const CHANNEL_THREADS: u32 = 256;
/// Sequences of lanes among them.
const SEQUENCES: usize = CHANNEL_THREADS as usize / LANES;

/// How a channel's elements are cut, the CPU's way: into groups of samples, and each sample's elements into parts.
#[derive(Clone, Copy)]
pub struct Chunks {
    /// Samples of a group.
    samples: usize,
    /// Groups.
    groups: usize,
    /// Parts of each sample.
    parts: usize,
    /// Whether lanes run along the elements of each sample at once; else each element's samples are added up first.
    along: bool,
}

impl Chunks {
    /// Elements of a part, and of a group where samples are not too small for that.
    const ELEMENTS: usize = 4096;
    /// The most samples of a group.
    const MOST_SAMPLES: usize = 256;
    /// The most chunks that one block of threads adds up: as many as lanes take in one go.
    #[cfg(not(target_arch = "nvptx64"))]
    const MOST: usize = crate::reduce::CHUNK;

    /// The chunks of channels of so many samples of `size` elements.
    #[inline(always)]
    pub fn new(samples: usize, size: usize) -> Self {
        let each = (Self::ELEMENTS / size.max(1)).clamp(1, Self::MOST_SAMPLES);
        let along = size >= if samples == 1 { 64 } else { 512 };
        Chunks { samples: each, groups: samples.div_ceil(each), parts: size.div_ceil(Self::ELEMENTS), along }
    }

    /// How many there are.
    #[inline(always)]
    pub fn count(&self) -> usize {
        self.groups * self.parts
    }

    /// Whether a channel is not too large for one block of threads.
    #[cfg(not(target_arch = "nvptx64"))]
    pub fn fit(&self) -> bool {
        self.count() <= Self::MOST
    }
}

/// A block for each channel.
#[cfg(not(target_arch = "nvptx64"))]
pub fn by_channel(channels: usize, chunks: &Chunks, element_bytes: usize) -> Geometry {
    let partial = chunks.count().max(1) * element_bytes;
    Geometry::linear(u32::try_from(channels).unwrap_or(u32::MAX), CHANNEL_THREADS)
        .with_shared(u32::try_from(partial).unwrap_or(u32::MAX))
}

/// The sum over a channel's elements, for all threads of its block: `$next` is `$sum` plus what the element at `$at` adds.
macro_rules! sum_of_channel {
    ($T:ident, $shape:expr, $channel:expr, |$at:ident, $sum:ident| $next:expr) => {{
        let [samples, channels, size] = $shape.map(|size| size as usize);
        let (chunks, add) = (Chunks::new(samples, size), |a: $T, b: $T| a + b);
        let count = chunks.count();
        let partial = Shared::<$T>::at(0, count.max(1));
        let sequence = thread_idx_x() as usize / LANES;
        // Another sum may still be read.
        sync_threads();
        for round in 0..count.div_ceil(SEQUENCES) {
            let chunk = round * SEQUENCES + sequence;
            let mut total = $T::ZERO;
            if chunk < count {
                let (first, start) = (chunk / chunks.parts * chunks.samples, chunk % chunks.parts * Chunks::ELEMENTS);
                let (last, end) = (samples.min(first + chunks.samples), size.min(start + Chunks::ELEMENTS));
                if chunks.along {
                    for n in first..last {
                        let row = (n * channels + $channel) * size;
                        let mut i = start + lane();
                        while i < end {
                            let ($at, $sum) = (row + i, total);
                            total = $next;
                            i += LANES;
                        }
                    }
                } else {
                    let mut i = start + lane();
                    while i < end {
                        let mut down = $T::ZERO;
                        for n in first..last {
                            let ($at, $sum) = ((n * channels + $channel) * size + i, down);
                            down = $next;
                        }
                        total += down;
                        i += LANES;
                    }
                }
            }
            let total = combine!(total, add);
            if chunk < count && lane() == 0 {
                partial.set(chunk, total);
            }
        }
        sync_threads();
        let mut total = $T::ZERO;
        let mut chunk = lane();
        while chunk < count {
            total += partial.get(chunk);
            chunk += LANES;
        }
        // Every sequence has it.
        shared(combine!(total, add))
    }};
}

/// 1/sqrt(variance + ε)
#[inline(always)]
fn scale<T: GpuFloat>(variance: T, epsilon: T) -> T {
    T::ONE / (variance + epsilon).sqrt()
}

parameters! {
    /// What normalization and its gradient have in common.
    pub struct Form<T: DeviceCopy> {
        /// Mean and biased variance of each channel (2, channels).
        moments: Global<T>,
        /// Samples, channels, elements of a channel in each sample.
        shape: [u32; 3],
        /// What is asked for: [`WEIGHT`] and the others.
        flags: u32,
        /// ε
        epsilon: T,
        /// What a sum over a channel is multiplied by to be its mean.
        share: T,
    }
}

impl<T: GpuFloat> Form<T> {
    /// The channel of element `i`.
    #[inline(always)]
    fn channel(&self, i: usize) -> usize {
        i / self.shape[2] as usize % self.shape[1] as usize
    }

    /// Mean and variance of a channel.
    #[inline(always)]
    fn moments(&self, channel: usize) -> (T, T) {
        (self.moments.get(channel), self.moments.get(self.shape[1] as usize + channel))
    }

    /// Whether that is asked for.
    #[inline(always)]
    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

kernels! {
    /// y (2, channels) = mean and biased variance of each channel of x; `shape` is (samples, channels, size).
    #[max_threads = CHANNEL_THREADS]
    pub fn moments<T: GpuFloat>(y: GlobalMut<T>, x: Global<T>, shape: [u32; 3]) for [f32, f64] {
        let [samples, channels, size] = shape;
        let (channel, count) = (block_idx_x() as usize, T::constant((samples * size) as f64));
        // Less a first element, what is added up is small, and what is constant gives exactly 0.
        let first = if samples * size == 0 { T::ZERO } else { x.get(channel * size as usize) };
        let first = if first.is_finite() { first } else { T::ZERO };
        let shifted = sum_of_channel!(T, shape, channel, |at, sum| sum + (x.get(at) - first));
        let of_shifted = shifted / count;
        let squares = sum_of_channel!(T, shape, channel, |at, sum| {
            let centered = (x.get(at) - first) - of_shifted;
            Real::mul_add(centered, centered, sum)
        });
        let (mean, variance) = (first + of_shifted, squares / count);
        if thread_idx_x() == 0 {
            y.set(channel, mean);
            y.set(channels as usize + channel, variance);
        }
    }

    /// y = activation((x − mean) / sqrt(variance + ε) · weight + bias).
    #[max_threads = THREADS]
    pub fn normalize<T: GpuFloat>(
        y: GlobalMut<T>, x: Global<T>, weight: Global<T>, bias: Global<T>, form: Form<T>
    ) for [f32, f64] {
        let i = element();
        if i >= y.len() {
            return;
        }
        let channel = form.channel(i);
        let (mean, variance) = form.moments(channel);
        let mut scale = scale(variance, form.epsilon);
        if form.has(WEIGHT) {
            scale *= weight.get(channel);
        }
        let shift = if form.has(BIAS) { bias.get(channel) } else { T::ZERO };
        let mut value = Real::mul_add(x.get(i) - mean, scale, shift);
        if form.has(RELU) {
            value = Relu::f(value, [T::ZERO; 2]);
        }
        y.set(i, value);
    }

    /// sums (2, channels) = Σ dz·x̂ and Σ dz of each channel, where x̂ is the normalized x and dz is dy before the activation.
    #[max_threads = CHANNEL_THREADS]
    pub fn normalize_sums<T: GpuFloat>(
        sums: GlobalMut<T>, x: Global<T>, y: Global<T>, dy: Global<T>, form: Form<T>
    ) for [f32, f64] {
        let channel = block_idx_x() as usize;
        let (mean, variance) = form.moments(channel);
        let slope = |at: usize| if !form.has(RELU) || y.get(at) > T::ZERO { dy.get(at) } else { T::ZERO };
        let with = sum_of_channel!(T, form.shape, channel, |at, sum| {
            Real::mul_add(slope(at), x.get(at) - mean, sum)
        });
        let of_bias = sum_of_channel!(T, form.shape, channel, |at, sum| sum + slope(at));
        // Of nothing there is no variance, but a sum.
        let of_nothing = form.shape[0] * form.shape[2] == 0;
        let of_weight = if of_nothing { T::ZERO } else { with * scale(variance, form.epsilon) };
        if thread_idx_x() == 0 {
            sums.set(channel, of_weight);
            sums.set(form.shape[1] as usize + channel, of_bias);
        }
    }

    /// dx = s·(dz − mean(dz) − x̂ · mean(dz·x̂)), or s·dz where the moments are constants; s = weight / sqrt(variance + ε), and
    /// the means are `sums` times `share`.
    #[max_threads = THREADS]
    pub fn normalize_grad<T: GpuFloat>(
        dx: GlobalMut<T>, x: Global<T>, y: Global<T>, dy: Global<T>, weight: Global<T>, sums: Global<T>,
        form: Form<T>
    ) for [f32, f64] {
        let i = element();
        if i >= dx.len() {
            return;
        }
        let channel = form.channel(i);
        let (mean, variance) = form.moments(channel);
        let inverse = scale(variance, form.epsilon);
        let scale = if form.has(WEIGHT) { weight.get(channel) * inverse } else { inverse };
        let slope = if !form.has(RELU) || y.get(i) > T::ZERO { dy.get(i) } else { T::ZERO };
        if !form.has(OWN_MOMENTS) {
            dx.set(i, slope * scale);
            return;
        }
        let through_variance = -(scale * inverse * (sums.get(channel) * form.share));
        let through_mean = -(scale * sums.get(form.shape[1] as usize + channel) * form.share);
        let rest = Real::mul_add(x.get(i) - mean, through_variance, through_mean);
        dx.set(i, Real::mul_add(slope, scale, rest));
    }
}
