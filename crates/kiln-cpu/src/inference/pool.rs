//! Pools of maps.

use super::layout::{GROUP, map_len, padded};
use super::panels::part;
use super::slots::Place;
use crate::pool::Pool;
use crate::reduce::{CHUNK, LANES};
use crate::{Isa, Kernel, Simd, check, operand::Number, team};
use kiln_math::Real;
use std::ops::Range;

/// Floats read that are worth a second thread.
const PARALLEL: usize = 1 << 16;

/// Calls `f` with parts of `0..count`, each of which reads so many floats.
fn by_parts(count: usize, reads: usize, f: impl Fn(Range<usize>) + Sync) {
    if count.saturating_mul(reads) < PARALLEL {
        return f(0..count);
    }
    let tasks = count.min(4 * team::threads());
    team::parallel(tasks, |task| f(part(count, task, tasks)));
}

/// # Panics
/// A form that makes no sense, and slices of other lengths.
fn check_maps(function: &str, pool: &Pool, (batch, channels): (usize, usize), x: &[f32], y: &[f32]) {
    pool.check();
    check::length(function, "x", x.len(), map_len(batch, channels, pool.plane()));
    check::length(function, "y", y.len(), map_len(batch, channels, pool.outputs()));
}

/// Lines of outputs, and the taps that each output meets.
struct Lines<'a> {
    pool: &'a Pool,
    pixel: usize,
    x: &'a [f32],
    y: Place,
    numbers: Range<usize>,
}

impl Lines<'_> {
    /// The taps of an axis by which an output meets elements.
    #[inline(always)]
    fn taps(&self, axis: usize, output: usize) -> Range<usize> {
        let reached = (self.pool.size[axis] + self.pool.before[axis]).saturating_sub(output * self.pool.stride[axis]);
        let end = reached.div_ceil(self.pool.dilation[axis]).min(self.pool.kernel[axis]);
        self.pool.first_tap(axis, output)..end
    }

    /// The float of x where 16 channels begin that outputs (depth, height, width) of an image meet by some taps.
    #[inline(always)]
    fn at(&self, image: usize, outputs: [usize; 3], taps: [usize; 3]) -> usize {
        let mut at = image;
        for axis in 0..3 {
            let Pool { size, stride, dilation, before, .. } = self.pool;
            at = at * size[axis] + outputs[axis] * stride[axis] + taps[axis] * dilation[axis] - before[axis];
        }
        at * self.pixel
    }

    /// 16 channels of x.
    #[inline(always)]
    fn group(&self, at: usize) -> [f32; GROUP] {
        debug_assert!(at + GROUP <= self.x.len());
        // SAFETY: places that a tap meets are within the map, whose length was checked.
        unsafe { *self.x.as_ptr().add(at).cast() }
    }

    /// Calls `f(image, outputs)` for all outputs, and stores the 16 channels that it gives for each group of channels.
    #[inline(always)]
    fn each(&self, f: impl Fn(usize, [usize; 3], usize) -> [f32; GROUP]) {
        let [deep, high, wide] = self.pool.out;
        for number in self.numbers.clone() {
            let (image, depth, height) = (number / (deep * high), number / high % deep, number % high);
            for width in 0..wide {
                for channel in (0..self.pixel).step_by(GROUP) {
                    let group = f(image, [depth, height, width], channel);
                    // SAFETY: the task's own line of y.
                    unsafe { *self.y.at((number * wide + width) * self.pixel + channel).cast() = group };
                }
            }
        }
    }
}

/// Maxima of windows.
struct Maxima<'a>(Lines<'a>);

impl Kernel for Maxima<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let lines = self.0;
        lines.each(|image, outputs, channel| {
            let [depths, heights, widths]: [Range<usize>; 3] =
                std::array::from_fn(|axis| lines.taps(axis, outputs[axis]));
            let mut best = [f32::NEG_INFINITY; GROUP];
            for depth in depths {
                for height in heights.clone() {
                    for width in widths.clone() {
                        let x = lines.group(lines.at(image, outputs, [depth, height, width]) + channel);
                        for i in 0..GROUP {
                            #[allow(clippy::eq_op)] // NaN differs from itself
                            let better = (x[i] > best[i]) | (x[i] != x[i]);
                            best[i] = if better { x[i] } else { best[i] };
                        }
                    }
                }
            }
            best
        });
    }
}

/// y = the largest x in each window, of maps of `batch` images: the values of [`max_pool`](crate::pool::max_pool).
///
/// # Panics
/// A form that makes no sense, a window that meets no element, and slices of other lengths.
pub fn max_pool(isa: Isa, pool: &Pool, (batch, channels): (usize, usize), x: &[f32], y: &mut [f32]) {
    check_maps("max_pool", pool, (batch, channels), x, y);
    let (pixel, y) = (padded(channels), Place(y.as_mut_ptr()));
    let reads = pool.out[2] * pool.taps() * pixel;
    by_parts(batch * pool.out[0] * pool.out[1], reads, |numbers| isa.run(Maxima(Lines { pool, pixel, x, y, numbers })));
}

/// The mean of 16 channels over all pixels of an image.
struct Mean<'a> {
    /// From the first pixel's group on.
    x: &'a [f32],
    pixel: usize,
    pixels: usize,
    to: &'a mut [f32],
}

impl Kernel for Mean<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let zero = S::F32::constant(0.0);
        let mut chunks = [[zero; GROUP]; LANES];
        let mut sum = [zero; GROUP];
        for (number, start) in (0..self.pixels).step_by(CHUNK).enumerate() {
            let mut lanes = [[zero; GROUP]; LANES];
            for pixel in start..self.pixels.min(start + CHUNK) {
                let lane = &mut lanes[pixel % LANES];
                for (sum, x) in lane.iter_mut().zip(&self.x[pixel * self.pixel..][..GROUP]) {
                    *sum = *sum + x.enter::<S>();
                }
            }
            sum = combined::<S>(&mut lanes);
            let lane = &mut chunks[number % LANES];
            for (lane, sum) in lane.iter_mut().zip(sum) {
                *lane = *lane + sum;
            }
        }
        if self.pixels > CHUNK {
            sum = combined::<S>(&mut chunks);
        }
        let count = S::F32::constant(self.pixels as f64);
        for (to, sum) in self.to.iter_mut().zip(sum) {
            *to = f32::leave::<S>(sum / count);
        }
    }
}

/// Each channel's lanes as one sum, by the tree of [`crate::reduce`].
#[inline(always)]
fn combined<S: Simd>(lanes: &mut [[S::F32; GROUP]; LANES]) -> [S::F32; GROUP] {
    let mut width = LANES / 2;
    while width > 0 {
        let (low, high) = lanes.split_at_mut(width);
        for (low, high) in low.iter_mut().zip(high) {
            for (low, high) in low.iter_mut().zip(high) {
                *low = *low + *high;
            }
        }
        width /= 2;
    }
    lanes[0]
}

/// y (N, 1, channels) = the mean of each channel over the pixels of an image: the bits of the reduction of planes. NaN of no pixels.
///
/// # Panics
/// Slices of other lengths, and more than 2²⁴ pixels.
pub fn global_average_pool(isa: Isa, (channels, pixels): (usize, usize), x: &[f32], y: &mut [f32]) {
    let pixel = padded(channels);
    let batch = check::rows("global_average_pool", "y", y.len(), pixel);
    check::length("global_average_pool", "x", x.len(), map_len(batch, channels, pixels));
    assert!(pixels <= CHUNK * CHUNK, "global_average_pool takes {} pixels at most, got {pixels}", CHUNK * CHUNK);
    let groups = pixel / GROUP;
    let place = Place(y.as_mut_ptr());
    by_parts(batch * groups, GROUP * pixels, |range| {
        for task in range {
            let (image, group) = (task / groups, task % groups);
            let count = GROUP.min(channels - group * GROUP);
            // SAFETY: this task's own channels of y; those after the last are zeros.
            let to = unsafe {
                let first = place.at(image * pixel + group * GROUP);
                std::slice::from_raw_parts_mut(first, GROUP)
            };
            to[count..].fill(0.0);
            let x = &x[(image * pixels * pixel + group * GROUP).min(x.len())..];
            isa.run(Mean { x, pixel, pixels, to: &mut to[..count] });
        }
    });
}
