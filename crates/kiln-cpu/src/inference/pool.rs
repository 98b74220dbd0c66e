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

/// Lines of maxima, and the taps that each meets.
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

    /// The pixel of x that outputs (depth, height, width) of an image meet by some taps.
    #[inline(always)]
    fn at(&self, image: usize, outputs: [usize; 3], taps: [usize; 3]) -> usize {
        let mut at = image;
        for axis in 0..3 {
            let Pool { size, stride, dilation, before, .. } = self.pool;
            at = at * size[axis] + outputs[axis] * stride[axis] + taps[axis] * dilation[axis] - before[axis];
        }
        at
    }
}

impl Kernel for Lines<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Pool { size, dilation, out: [deep, high, wide], .. } = *self.pool;
        // From a tap to the next.
        let (column, line) = (dilation[2] * self.pixel, dilation[1] * size[2] * self.pixel);
        let slice = dilation[0] * size[1] * size[2] * self.pixel;
        for number in self.numbers.clone() {
            let (image, depth, height) = (number / (deep * high), number / high % deep, number % high);
            let (depths, heights) = (self.taps(0, depth), self.taps(1, height));
            for width in 0..wide {
                let widths = self.taps(2, width);
                let firsts = [depths.start, heights.start, widths.start];
                let first = self.at(image, [depth, height, width], firsts) * self.pixel;
                for channel in (0..self.pixel).step_by(GROUP) {
                    let mut best = [f32::NEG_INFINITY; GROUP];
                    for z in 0..depths.len() {
                        for y in 0..heights.len() {
                            for x in 0..widths.len() {
                                let at = first + channel + z * slice + y * line + x * column;
                                debug_assert!(at + GROUP <= self.x.len());
                                // SAFETY: places that a tap meets are within the map, whose length was checked.
                                let x: &[f32; GROUP] = unsafe { &*self.x.as_ptr().add(at).cast() };
                                for (best, &x) in best.iter_mut().zip(x) {
                                    #[allow(clippy::eq_op)] // NaN differs from itself
                                    let better = (x > *best) | (x != x);
                                    *best = if better { x } else { *best };
                                }
                            }
                        }
                    }
                    // SAFETY: the task's own line of y.
                    unsafe { *self.y.at((number * wide + width) * self.pixel + channel).cast() = best };
                }
            }
        }
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
    by_parts(batch * pool.out[0] * pool.out[1], reads, |numbers| isa.run(Lines { pool, pixel, x, y, numbers }));
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
