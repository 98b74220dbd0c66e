//! Bytes of images in another size: each pixel the mean of those that it covers, weighted by a triangle.

use kiln_cpu::{Kernel, Simd};
use kiln_math::Real;
use std::ops::Range;

/// The pixels of an axis that each pixel of a resized axis is made of, and how much each counts.
pub(super) struct Taps {
    /// Of each resized pixel the first pixel, and its weights.
    pixels: Vec<(usize, Range<usize>)>,
    weights: Vec<f32>,
}

impl Taps {
    /// Of `from` pixels resized to `to`, for the part `seen` of those: the triangle reaches a pixel to each side, of the axis that has
    /// fewer. Weights sum to 1.
    pub(super) fn triangle(from: usize, to: usize, seen: Range<usize>) -> Self {
        let scale = from as f64 / to as f64;
        let reach = scale.max(1.0);
        let mut taps = Taps { pixels: Vec::with_capacity(seen.len()), weights: Vec::new() };
        for i in seen {
            let center = (i as f64 + 0.5) * scale;
            let weight = |at: usize| 1.0 - (at as f64 + 0.5 - center).abs() / reach;
            let covered = (center - reach).floor().max(0.0) as usize..((center + reach).ceil() as usize).min(from);
            let counts = |&at: &usize| weight(at) > 0.0;
            let first = covered.clone().find(counts).unwrap_or(covered.start);
            let sum: f64 = covered.clone().filter(counts).map(weight).sum();
            let start = taps.weights.len();
            taps.weights.extend(covered.filter(counts).map(|at| (weight(at) / sum) as f32));
            taps.pixels.push((first, start..taps.weights.len()));
        }
        taps
    }

    /// The pixels that are needed.
    fn needed(&self) -> Range<usize> {
        let first = self.pixels.iter().map(|&(first, _)| first).min().unwrap_or(0);
        let end = self.pixels.iter().map(|(first, weights)| first + weights.len()).max().unwrap_or(first);
        first..end
    }
}

/// Pixels of C channels, row by row.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, const C: usize> {
    pub(super) pixels: &'a [u8],
    pub(super) width: usize,
}

/// Fills a part of planes (C, height, width) with the resized source: row by row, first down, then across, rounded once.
pub(super) struct Resample<'a, const C: usize> {
    pub(super) planes: &'a mut [u8],
    /// Height and width of the planes.
    pub(super) size: [usize; 2],
    /// The row and the column of the first pixel.
    pub(super) place: [usize; 2],
    pub(super) source: Source<'a, C>,
    pub(super) down: &'a Taps,
    pub(super) across: &'a Taps,
}

/// Numbers that are computed together for one pixel: one more than its channels, which costs nothing.
const LANES: usize = 4;

impl<const C: usize> Kernel for Resample<'_, C> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Resample { planes, size: [height, width], place: [top, left], source, down, across } = self;
        let columns = across.needed();
        let mut row = vec![0.0; C * columns.len() + LANES];
        for (y, (first, weights)) in down.pixels.iter().enumerate() {
            row.fill(0.0);
            for (line, &weight) in (*first..).zip(&down.weights[weights.clone()]) {
                let line = &source.pixels[C * line * source.width..][C * columns.start..C * columns.end];
                add::<S>(&mut row, line, weight);
            }
            for (x, (first, weights)) in across.pixels.iter().enumerate() {
                let from = &row[C * (first - columns.start)..];
                let pixel = weighted::<S, C>(from, &across.weights[weights.clone()]);
                for channel in 0..C {
                    planes[(channel * height + top + y) * width + left + x] = (pixel[channel] + 0.5) as u8;
                }
            }
        }
    }
}

/// row += weight · line
#[inline(always)]
fn add<S: Simd>(row: &mut [f32], line: &[u8], weight: f32) {
    let weight = S::F32::constant(weight.into());
    for (sum, &byte) in S::f32s_mut(row).iter_mut().zip(line) {
        *sum = S::F32::constant(f64::from(byte)).mul_add(weight, *sum);
    }
}

/// The weighted sum of pixels of C channels, of which the lanes after those mean nothing.
#[inline(always)]
fn weighted<S: Simd, const C: usize>(pixels: &[f32], weights: &[f32]) -> [f32; LANES] {
    let mut sums = [0.0; LANES];
    let to = S::f32s_mut(&mut sums);
    for (pixel, &weight) in pixels.windows(LANES).step_by(C).zip(weights) {
        let weight = S::F32::constant(weight.into());
        for (sum, &x) in to.iter_mut().zip(S::f32s(pixel)) {
            *sum = weight.mul_add(x, *sum);
        }
    }
    sums
}
