//! Affine warps of images: bytes in, numbers out, each pixel sampled once between its four neighbors.

use crate::{Isa, Kernel, Simd};
use kiln_math::Real;

/// Where each pixel of a warped image comes from: with x = (a, b, c) its column is a·column + b·row + c, and its row likewise by y.
///
/// Pixels are at whole numbers, (0, 0) is the first one's center.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Affine {
    /// The source's column.
    pub x: [f64; 3],
    /// The source's row.
    pub y: [f64; 3],
}

impl Affine {
    /// Every pixel from its own place.
    pub const IDENTITY: Affine = Affine { x: [1.0, 0.0, 0.0], y: [0.0, 1.0, 0.0] };

    /// First `inner`, then `self`: the matrix product self · inner.
    #[must_use]
    pub fn after(self, inner: Affine) -> Affine {
        let row = |[a, b, c]: [f64; 3]| {
            let along = |i: usize| a * inner.x[i] + b * inner.y[i];
            [along(0), along(1), along(2) + c]
        };
        Affine { x: row(self.x), y: row(self.y) }
    }
}

/// What lies beyond an image's edges, by the names of Keras and scipy.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Fill {
    /// The nearest pixel: a a a | a b c d | d d d.
    Nearest,
    /// This value, of a byte's scale: it begins where the centers of the outermost pixels are passed.
    Constant(f32),
    /// The image mirrored at its edges: c b a | a b c d | d c b.
    Reflect,
    /// The image again, the last pixel lying on the first: b c | a b c d | b c d. The period is thus the size − 1, as scipy's
    /// `wrap`, and so Keras's, has it.
    Wrap,
}

/// An image of planes, each row-major.
#[derive(Clone, Copy, Debug)]
pub struct Planes<'a> {
    /// channels · height · width bytes.
    pub bytes: &'a [u8],
    /// Number of planes.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// Room that warps of one thread use again.
#[derive(Clone, Debug, Default)]
pub struct Room {
    /// Up to four channels of a pixel in the bytes of a word, with a column at the right and a row below that are never
    /// given any weight.
    pixels: Vec<u32>,
}

/// out (channels, height, width) = scale · sample + shift for each output pixel, sampled bilinearly; `normalize` holds
/// [scale, shift] once, or for each channel. Where sizes do not fit each other, or there are more than 2²⁴ rows or columns or
/// 2³¹ pixels, `out` is left as it is.
pub fn warp(
    isa: Isa,
    out: &mut [f32],
    image: Planes<'_>,
    from: Affine,
    fill: Fill,
    normalize: &[[f32; 2]],
    room: &mut Room,
) {
    let Planes { bytes, channels, height, width } = image;
    let size = height.saturating_mul(width);
    let all = channels.saturating_mul(size);
    let fits = out.len() == all && bytes.len() == all;
    // Places along an axis are whole numbers of f32, those in the room of i32.
    let countable =
        height.max(width) <= 1 << f32::MANTISSA_DIGITS && (height + 1).saturating_mul(width + 1) < i32::MAX as usize;
    if size == 0 || !fits || !countable || ![1, channels].contains(&normalize.len()) {
        return;
    }
    for first in (0..channels).step_by(4) {
        let planes = first * size..(first + 4).min(channels) * size;
        let normalize = if normalize.len() == 1 { normalize } else { &normalize[first..(first + 4).min(channels)] };
        let source = Planes { bytes: &bytes[planes.clone()], channels: planes.len() / size, ..image };
        isa.run(Warp { out: &mut out[planes], source, from, fill, normalize, pixels: &mut room.pixels });
    }
}

/// Pixels that go through the three steps together: rows of small images, parts of a row of large ones.
const STRIP: usize = 256;

/// What the steps of a strip leave for each other.
struct Strip {
    /// Source column and row of each pixel, clamped to the image; then what remains beside the whole number.
    x: [f32; STRIP],
    y: [f32; STRIP],
    /// 1 where the source is within the image.
    inside: [f32; STRIP],
    /// Its place in the room.
    index: [u32; STRIP],
    /// The neighbors at the left and at the right, in the row above and in the row below.
    above: [[u32; 2]; STRIP],
    below: [[u32; 2]; STRIP],
}

/// Up to four channels.
struct Warp<'a> {
    out: &'a mut [f32],
    source: Planes<'a>,
    from: Affine,
    fill: Fill,
    normalize: &'a [[f32; 2]],
    pixels: &'a mut Vec<u32>,
}

impl Kernel for Warp<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Warp { out, source, from, fill, normalize, pixels } = self;
        let Planes { channels, height, width, .. } = source;
        interleave(source, pixels);
        let mut strip = Strip {
            x: [0.0; STRIP],
            y: [0.0; STRIP],
            inside: [0.0; STRIP],
            index: [0; STRIP],
            above: [[0; 2]; STRIP],
            below: [[0; 2]; STRIP],
        };
        let across = width.min(STRIP);
        let down = (STRIP / width).max(1);
        for row in (0..height).step_by(down) {
            let rows = down.min(height - row);
            for column in (0..width).step_by(across) {
                let columns = across.min(width - column);
                for r in 0..rows {
                    let part = r * columns..(r + 1) * columns;
                    let at = (column as f64, (row + r) as f64);
                    place::<S>(&mut strip.x[part.clone()], from.x, at);
                    place::<S>(&mut strip.y[part], from.y, at);
                }
                // Several rows only where they are whole: the strip is contiguous in the output too.
                let count = rows * columns;
                let (x, y, inside) = (&mut strip.x[..count], &mut strip.y[..count], &mut strip.inside[..count]);
                if matches!(fill, Fill::Constant(_)) {
                    within(inside, x, y, (width, height));
                }
                bring_back::<S>(x, width, fill);
                bring_back::<S>(y, height, fill);
                split(x, y, &mut strip.index[..count], width);
                fetch(&mut strip, count, pixels, width + 1);
                let start = row * width + column;
                for channel in 0..channels {
                    let to = &mut out[channel * height * width + start..][..count];
                    let normalize = normalize[channel.min(normalize.len() - 1)];
                    blend::<S>(to, &strip, 8 * channel as u32, normalize);
                    if let Fill::Constant(value) = fill {
                        fill_in::<S>(to, &strip.inside[..count], value, normalize);
                    }
                }
            }
        }
    }
}

/// The planes' bytes side by side.
#[inline(always)]
fn interleave(source: Planes<'_>, pixels: &mut Vec<u32>) {
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
fn place<S: Simd>(to: &mut [f32], [step, along, offset]: [f64; 3], (column, row): (f64, f64)) {
    let start = S::F32::constant(along * row + (step * column + offset));
    let step = S::F32::constant(step);
    for (i, to) in S::f32s_mut(to).iter_mut().enumerate() {
        *to = step.mul_add(S::F32::constant(f64::from(i as i32)), start);
    }
}

/// 1 where both coordinates lie between the centers of the outermost pixels.
#[inline(always)]
fn within(inside: &mut [f32], x: &[f32], y: &[f32], (width, height): (usize, usize)) {
    let last = ((width - 1) as f32, (height - 1) as f32);
    for ((inside, &x), &y) in inside.iter_mut().zip(x).zip(y) {
        let is = (x >= 0.0) & (x <= last.0) & (y >= 0.0) & (y <= last.1);
        *inside = if is { 1.0 } else { 0.0 };
    }
}

/// Coordinates within 0 ..= size − 1 that stand for these, whatever they are.
#[inline(always)]
fn bring_back<S: Simd>(coordinates: &mut [f32], size: usize, fill: Fill) {
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

/// Coordinates as the place of the pixel at their upper left and what remains.
#[inline(always)]
fn split(x: &mut [f32], y: &mut [f32], index: &mut [u32], width: usize) {
    let stride = width as i32 + 1;
    for ((index, x), y) in index.iter_mut().zip(x).zip(y) {
        // SAFETY: `bring_back` left numbers from 0 to the size − 1, which f32 holds exactly.
        let (column, row) = unsafe { (x.to_int_unchecked::<i32>(), y.to_int_unchecked::<i32>()) };
        *x -= column as f32;
        *y -= row as f32;
        *index = (row * stride + column) as u32;
    }
}

/// The four neighbors of each place. Not inlined: with AVX-512 the compiler would make gathers of it, which take longer.
#[inline(never)]
fn fetch(strip: &mut Strip, count: usize, pixels: &[u32], stride: usize) {
    let pixels = pixels.as_ptr();
    for i in 0..count {
        let at = strip.index[i] as usize;
        // SAFETY: the row is at most height − 1 and the column at most width − 1; the room has one more of each, and two
        // words need no alignment fill that of one.
        unsafe {
            strip.above[i] = pixels.add(at).cast::<[u32; 2]>().read();
            strip.below[i] = pixels.add(at + stride).cast::<[u32; 2]>().read();
        }
    }
}

/// One channel, whose bytes lie `bits` up in the words.
#[inline(always)]
fn blend<S: Simd>(out: &mut [f32], strip: &Strip, bits: u32, [scale, shift]: [f32; 2]) {
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
fn fill_in<S: Simd>(out: &mut [f32], inside: &[f32], value: f32, [scale, shift]: [f32; 2]) {
    let number = |value: f32| S::F32::constant(value.into());
    let value = number(value).mul_add(number(scale), number(shift));
    for (to, &inside) in S::f32s_mut(out).iter_mut().zip(S::f32s(inside)) {
        *to = inside.if_less(number(0.5), value, *to);
    }
}
