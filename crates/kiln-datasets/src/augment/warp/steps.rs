//! The steps that the pixels of a strip go through.

use super::{Fill, LARGEST, Planes, STRIP, Strip};
use kiln_cpu::Simd;
use kiln_math::Real;

/// The planes' bytes side by side.
#[inline(always)]
pub(super) fn interleave(source: Planes<'_>, pixels: &mut Vec<u32>) {
    let Planes { bytes, height, width, .. } = source;
    let length = (height + 1) * (width + 1);
    if pixels.len() < length {
        pixels.resize(length, 0);
    }
    for (channel, plane) in bytes.chunks_exact(height * width).enumerate() {
        for (to, from) in pixels.chunks_exact_mut(width + 1).zip(plane.chunks_exact(width)) {
            for (to, &byte) in to.iter_mut().zip(from) {
                let byte = u32::from(byte) << (8 * channel);
                *to = if channel == 0 { byte } else { *to | byte };
            }
        }
    }
}

/// One coordinate of the sources of a row's pixels, from this column on.
#[inline(always)]
pub(super) fn place<S: Simd>(to: &mut [f32], [step, along, offset]: [f64; 3], (column, row): (f64, f64)) {
    let start = S::F32::constant(along * row + (step * column + offset));
    let step = S::F32::constant(step);
    for (i, to) in S::f32s_mut(to).iter_mut().enumerate() {
        *to = step.mul_add(S::F32::constant(f64::from(i as i32)), start);
    }
}

/// 1 where both coordinates lie between the centers of the outermost pixels.
#[inline(always)]
pub(super) fn within(inside: &mut [f32], x: &[f32], y: &[f32], (width, height): (usize, usize)) {
    let last = ((width - 1) as f32, (height - 1) as f32);
    for ((inside, &x), &y) in inside.iter_mut().zip(x).zip(y) {
        let is = (x >= 0.0) & (x <= last.0) & (y >= 0.0) & (y <= last.1);
        *inside = if is { 1.0 } else { 0.0 };
    }
}

/// Coordinates within 0 ..= size − 1 that stand for these, whatever they are.
#[inline(always)]
pub(super) fn bring_back<S: Simd>(coordinates: &mut [f32], size: usize, fill: Fill) {
    let number = |value: f64| S::F32::constant(value);
    let (zero, one, half, last) = (number(0.0), number(1.0), number(0.5), number((size - 1) as f64));
    // The first comparison is false for NaN.
    let clamp = |x: S::F32| {
        let x = zero.if_less(x, x, zero);
        last.if_less(x, last, x)
    };
    let to = S::f32s_mut(coordinates);
    match fill {
        Fill::Nearest | Fill::Constant(_) => to.iter_mut().for_each(|x| *x = clamp(*x)),
        Fill::Reflect => {
            let size = number(size as f64);
            let period = size + size;
            for x in to {
                // Counted from the edge, half a pixel before the first center.
                let edge = *x + half;
                let edge = edge - period * (edge / period).floor();
                let edge = size.if_less(edge, period - edge, edge);
                *x = clamp(edge - half);
            }
        }
        Fill::Wrap => {
            let period = if size == 1 { one } else { last };
            for x in to {
                let below = *x + period * ((-*x / period).floor() + one);
                let above = *x - period * (*x / period).floor();
                *x = clamp(x.if_less(zero, below, last.if_less(*x, above, *x)));
            }
        }
    }
}

/// From here on the numbers of f32 are whole, so a smaller one that is added to it is rounded, and its bits count from those of this.
const WHOLE: f32 = LARGEST as f32;

/// A number from 0 to `WHOLE`, rounded down. By additions: a cast to an integer, which must look at all other numbers too, does not
/// become vector code.
#[inline(always)]
fn whole(x: f32) -> f32 {
    let nearest = (x + WHOLE) - WHOLE;
    if nearest > x { nearest - 1.0 } else { nearest }
}

/// A whole number from 0 to `WHOLE` as an integer.
#[inline(always)]
fn integer(x: f32) -> u32 {
    (x + WHOLE).to_bits() - WHOLE.to_bits()
}

/// Coordinates, which `bring_back` left from 0 to the size − 1, as the place of the pixel at their upper left and what remains.
#[inline(always)]
pub(super) fn split(x: &mut [f32], y: &mut [f32], index: &mut [u32], width: usize) {
    let stride = width as u32 + 1;
    for ((index, x), y) in index.iter_mut().zip(x).zip(y) {
        let (column, row) = (whole(*x), whole(*y));
        *x -= column;
        *y -= row;
        *index = integer(row).wrapping_mul(stride).wrapping_add(integer(column));
    }
}

/// The four neighbors of each place. Not inlined: with AVX-512 the compiler would make gathers of it, which take longer. Written so
/// that one comparison a pixel is left: the sizes of the strip's arrays are known, and the sum cannot pass the largest usize.
#[inline(never)]
pub(super) fn fetch(strip: &mut Strip, count: usize, pixels: &[u32], stride: u32) {
    // From the neighbor at the upper left to that at the lower right: the room has a column and a row more than the image.
    let reach = stride as usize + 2;
    for i in 0..count.min(STRIP) {
        let at = strip.index[i] as usize;
        let Some(neighbors) = pixels.get(at..at + reach) else { return };
        if let (Some(&above), Some(&below)) = (neighbors.first_chunk(), neighbors.last_chunk()) {
            (strip.above[i], strip.below[i]) = (above, below);
        }
    }
}

/// One channel, whose bytes lie `bits` up in the words.
#[inline(always)]
pub(super) fn blend<S: Simd>(out: &mut [f32], strip: &Strip, bits: u32, [scale, shift]: [f32; 2]) {
    let (scale, shift) = (S::F32::constant(scale.into()), S::F32::constant(shift.into()));
    let (x, y) = (S::f32s(&strip.x), S::f32s(&strip.y));
    let number = |word: u32| S::F32::constant(f64::from((word >> bits) as u8));
    for (i, to) in S::f32s_mut(out).iter_mut().enumerate().take(STRIP) {
        let [[a, b], [c, d]] = [strip.above[i].map(number), strip.below[i].map(number)];
        let (left, right) = (y[i].mul_add(c - a, a), y[i].mul_add(d - b, b));
        *to = x[i].mul_add(right - left, left).mul_add(scale, shift);
    }
}

/// The value of what lies outside.
#[inline(always)]
pub(super) fn fill_in<S: Simd>(out: &mut [f32], inside: &[f32], value: f32, [scale, shift]: [f32; 2]) {
    let number = |value: f32| S::F32::constant(value.into());
    let value = number(value).mul_add(number(scale), number(shift));
    for (to, &inside) in S::f32s_mut(out).iter_mut().zip(S::f32s(inside)) {
        *to = inside.if_less(number(0.5), value, *to);
    }
}
