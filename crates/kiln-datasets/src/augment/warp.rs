//! Affine warps of images: bytes in, numbers out, each pixel sampled once between its four neighbors.

mod steps;

use kiln_cpu::{Isa, Kernel, Simd};
use steps::{blend, bring_back, fetch, fill_in, interleave, place, split, within};

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
pub(crate) struct Room {
    /// Up to four channels of a pixel in the bytes of a word, with a column at the right and a row below that are never
    /// given any weight.
    pixels: Vec<u32>,
}

/// out (channels, height, width) = scale · sample + shift for each output pixel, sampled bilinearly; `normalize` holds
/// [scale, shift] once, or for each channel. Where sizes do not fit each other, or there are more than 2²³ rows or columns or
/// 2³¹ pixels, `out` is left as it is.
pub(crate) fn warp(
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
    // Places along an axis are counted by f32, those in the room by i32.
    let countable = height.max(width) <= LARGEST && (height + 1).saturating_mul(width + 1) < i32::MAX as usize;
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

/// The most rows or columns: 2²³, to which f32 counts by half numbers.
const LARGEST: usize = 1 << (f32::MANTISSA_DIGITS - 1);

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
                fetch(&mut strip, count, pixels, width as u32 + 1);
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

#[cfg(test)]
mod tests;
