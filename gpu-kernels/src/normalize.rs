//! Moments of channels, normalisation by them, and its gradient. x is (samples, channels, size); a channel's elements are counted
//! through all samples.

use crate::lanes::{LANES, combine, lane, shared};
use crate::place::{THREADS, element};
use crate::reduce::CHUNK;
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

/// The most elements of a channel: as many chunks as one sequence adds up.
pub const MOST: usize = CHUNK * CHUNK;

/// A block for each channel of so many elements.
#[cfg(not(target_arch = "nvptx64"))]
pub fn by_channel(channels: usize, elements: usize, element_bytes: usize) -> Geometry {
    let partial = elements.div_ceil(CHUNK).max(1) * element_bytes;
    Geometry::linear(u32::try_from(channels).unwrap_or(u32::MAX), CHANNEL_THREADS)
        .with_shared(u32::try_from(partial).unwrap_or(u32::MAX))
}

/// Σ `$value` of a channel's elements, of which there are `$count`, for all threads of its block: the tree of [`crate::reduce`].
macro_rules! sum_of_channel {
    ($T:ident, $count:expr, |$i:ident| $value:expr) => {{
        let (count, add) = ($count as usize, |a: $T, b: $T| a + b);
        let chunks = count.div_ceil(CHUNK).max(1);
        let partial = Shared::<$T>::at(0, chunks);
        let sequence = thread_idx_x() as usize / LANES;
        // Another sum may still be read.
        sync_threads();
        for round in 0..chunks.div_ceil(SEQUENCES) {
            let chunk = round * SEQUENCES + sequence;
            let mut sum: $T = 0.0;
            let mut $i = chunk * CHUNK + lane();
            while $i < count.min((chunk + 1) * CHUNK) {
                sum += $value;
                $i += LANES;
            }
            let sum = combine!(sum, add);
            if chunk < chunks && lane() == 0 {
                partial.set(chunk, sum);
            }
        }
        sync_threads();
        let mut sum: $T = 0.0;
        let mut chunk = lane();
        while chunk < chunks {
            sum += partial.get(chunk);
            chunk += LANES;
        }
        // Every sequence has it.
        shared(combine!(sum, add))
    }};
}

/// Where element `i` of a channel lies.
#[inline(always)]
fn at(i: usize, channel: usize, channels: u32, size: u32) -> usize {
    let (sample, within) = (i as u32 / size, i as u32 % size);
    (sample as usize * channels as usize + channel) * size as usize + within as usize
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
                let (channel, count) = (block_idx_x() as usize, samples * size);
                let element = |i: usize| x.get(at(i, channel, channels, size));
                let mean = sum_of_channel!($T, count, |i| element(i)) / count as $T;
                let variance = sum_of_channel!($T, count, |i| {
                    let centred = element(i) - mean;
                    centred * centred
                }) / count as $T;
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
                let scale = scale(variance, epsilon);
                let mut value = (x.get(i) - moments.get(channel)) * scale;
                if flags & WEIGHT != 0 {
                    value *= weight.get(channel);
                }
                if flags & BIAS != 0 {
                    value += bias.get(channel);
                }
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
                let (channel, count) = (block_idx_x() as usize, samples * size);
                let (mean, variance) = (moments.get(channel), moments.get(channels as usize + channel));
                let scale = scale(variance, epsilon);
                let dz = |at: usize| match flags & RELU {
                    0 => dy.get(at),
                    _ => dy.get(at) * Relu::df(y.get(at), y.get(at), [0.0; 2]),
                };
                let of_weight = sum_of_channel!($T, count, |i| {
                    let at = at(i, channel, channels, size);
                    dz(at) * ((x.get(at) - mean) * scale)
                });
                let of_bias = sum_of_channel!($T, count, |i| dz(at(i, channel, channels, size)));
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
                let scale = scale(variance, epsilon);
                let mut slope = dy.get(i);
                if flags & RELU != 0 {
                    slope *= Relu::df(y.get(i), y.get(i), [0.0; 2]);
                }
                if flags & OWN_MOMENTS != 0 {
                    let normal = (x.get(i) - mean) * scale;
                    slope -= normal * (sums.get(channel) * share);
                    slope -= sums.get(channels as usize + channel) * share;
                }
                slope *= scale;
                if flags & WEIGHT != 0 {
                    slope *= weight.get(channel);
                }
                dx.set(i, slope);
            }
        }
    )+ };
}
normalisations! {
    f32 moments_f32 normalize_f32 normalize_sums_f32 normalize_grad_f32;
    f64 moments_f64 normalize_f64 normalize_sums_f64 normalize_grad_f64;
}
