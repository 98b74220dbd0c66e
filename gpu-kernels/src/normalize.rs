//! Moments of channels, normalisation by them, and its gradient. x is (samples, channels, size).
//!
//! A channel is added up as on the CPU, so that the bits are the same: in [`Chunks`] of samples or of parts of one, each of which
//! sixteen threads add up.

use crate::lanes::{LANES, combine, lane, shared};
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
    ($T:ident, $samples:expr, $channels:expr, $size:expr, $channel:expr, |$at:ident, $sum:ident| $next:expr) => {{
        let (samples, channels, size) = ($samples as usize, $channels as usize, $size as usize);
        let (chunks, add) = (Chunks::new(samples, size), |a: $T, b: $T| a + b);
        let count = chunks.count();
        let partial = Shared::<$T>::at(0, count.max(1));
        let sequence = thread_idx_x() as usize / LANES;
        // Another sum may still be read.
        sync_threads();
        for round in 0..count.div_ceil(SEQUENCES) {
            let chunk = round * SEQUENCES + sequence;
            let mut total: $T = 0.0;
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
                        let mut down: $T = 0.0;
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
        let mut total: $T = 0.0;
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
fn scale<R: Real>(variance: R, epsilon: R) -> R {
    R::constant(1.0) / (variance + epsilon).sqrt()
}

macro_rules! normalisations {
    ($($T:ident $moments:ident $normalize:ident $sums:ident $gradient:ident;)+) => { $(
        kernel! {
            /// y (2, channels) = mean and biased variance of each channel of x.
            #[name = stringify!($moments)]
            #[max_threads = CHANNEL_THREADS]
            pub fn $moments(y: GlobalMut<$T>, x: Global<$T>, samples: u32, channels: u32, size: u32) {
                let (channel, count) = (block_idx_x() as usize, (samples * size) as $T);
                // Less a first element, what is added up is small, and what is constant gives exactly 0.
                let first: $T = if samples * size == 0 { 0.0 } else { x.get(channel * size as usize) };
                let first = if first.is_finite() { first } else { 0.0 };
                let shifted = sum_of_channel!($T, samples, channels, size, channel, |at, sum| sum + (x.get(at) - first));
                let of_shifted = shifted / count;
                let squares = sum_of_channel!($T, samples, channels, size, channel, |at, sum| {
                    let centred = (x.get(at) - first) - of_shifted;
                    Real::mul_add(centred, centred, sum)
                });
                let (mean, variance) = (first + of_shifted, squares / count);
                if thread_idx_x() == 0 {
                    y.set(channel, mean);
                    y.set(channels as usize + channel, variance);
                }
            }
        }

        kernel! {
            /// y = activation((x − mean) / sqrt(variance + ε) · weight + bias), moments (2, channels) and what `flags` say.
            #[name = stringify!($normalize)]
            #[max_threads = THREADS]
            pub fn $normalize(
                y: GlobalMut<$T>, x: Global<$T>, moments: Global<$T>, weight: Global<$T>, bias: Global<$T>,
                channels: u32, size: u32, epsilon: $T, flags: u32
            ) {
                let i = element();
                if i >= y.len() {
                    return;
                }
                let channel = i / size as usize % channels as usize;
                let variance = moments.get(channels as usize + channel);
                let mut scale = scale(variance, epsilon);
                if flags & WEIGHT != 0 {
                    scale *= weight.get(channel);
                }
                let shift: $T = if flags & BIAS != 0 { bias.get(channel) } else { 0.0 };
                let mut value = Real::mul_add(x.get(i) - moments.get(channel), scale, shift);
                if flags & RELU != 0 {
                    value = Relu::f(value, [0.0; 2]);
                }
                y.set(i, value);
            }
        }

        kernel! {
            /// sums (2, channels) = Σ dz·x̂ and Σ dz of each channel, where x̂ is the normalised x and dz is dy before the activation.
            #[name = stringify!($sums)]
            #[max_threads = CHANNEL_THREADS]
            pub fn $sums(
                sums: GlobalMut<$T>, x: Global<$T>, y: Global<$T>, dy: Global<$T>, moments: Global<$T>,
                samples: u32, channels: u32, size: u32, epsilon: $T, flags: u32
            ) {
                let channel = block_idx_x() as usize;
                let (mean, variance) = (moments.get(channel), moments.get(channels as usize + channel));
                let slope = |at: usize| if flags & RELU == 0 || y.get(at) > 0.0 { dy.get(at) } else { 0.0 };
                let with = sum_of_channel!($T, samples, channels, size, channel, |at, sum| {
                    Real::mul_add(slope(at), x.get(at) - mean, sum)
                });
                let of_bias = sum_of_channel!($T, samples, channels, size, channel, |at, sum| sum + slope(at));
                // Of nothing there is no variance, but a sum.
                let of_weight: $T = if samples * size == 0 { 0.0 } else { with * scale(variance, epsilon) };
                if thread_idx_x() == 0 {
                    sums.set(channel, of_weight);
                    sums.set(channels as usize + channel, of_bias);
                }
            }
        }

        kernel! {
            /// dx = s·(dz − mean(dz) − x̂ · mean(dz·x̂)), or s·dz where the moments are constants; s = weight / sqrt(variance + ε), and
            /// the means are `sums` times `share`.
            #[name = stringify!($gradient)]
            #[max_threads = THREADS]
            pub fn $gradient(
                dx: GlobalMut<$T>, x: Global<$T>, y: Global<$T>, dy: Global<$T>, moments: Global<$T>, weight: Global<$T>,
                sums: Global<$T>, channels: u32, size: u32, epsilon: $T, share: $T, flags: u32
            ) {
                let i = element();
                if i >= dx.len() {
                    return;
                }
                let channel = i / size as usize % channels as usize;
                let (mean, variance) = (moments.get(channel), moments.get(channels as usize + channel));
                let inverse = scale(variance, epsilon);
                let scale = if flags & WEIGHT != 0 { weight.get(channel) * inverse } else { inverse };
                let slope: $T = if flags & RELU == 0 || y.get(i) > 0.0 { dy.get(i) } else { 0.0 };
                if flags & OWN_MOMENTS == 0 {
                    dx.set(i, slope * scale);
                    return;
                }
                let through_variance = -(scale * inverse * (sums.get(channel) * share));
                let through_mean = -(scale * sums.get(channels as usize + channel) * share);
                let rest = Real::mul_add(x.get(i) - mean, through_variance, through_mean);
                dx.set(i, Real::mul_add(slope, scale, rest));
            }
        }
    )+ };
}
normalisations! {
    f32 moments_f32 normalize_f32 normalize_sums_f32 normalize_grad_f32;
    f64 moments_f64 normalize_f64 normalize_sums_f64 normalize_grad_f64;
}
