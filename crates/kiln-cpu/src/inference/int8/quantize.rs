//! Maps of floats to maps of words.

use super::registers::Integers;
use crate::inference::layout::{map_len, padded};
use crate::inference::slots::Place;
use crate::{Isa, Kernel, Simd, check, team};
use std::ops::Range;

/// Floats of a part: what it takes stays in the first-level cache.
const PART: usize = 4 << 10;
/// Floats that are worth a second thread.
const PARALLEL: usize = 1 << 15;

/// How the small integers of a map lie in words of 32 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Words {
    /// Two channels in 16 bits each.
    Pairs,
    /// Four channels in 8 bits each.
    Quads,
}

impl Words {
    /// Channels of a word.
    pub fn each(self) -> usize {
        match self {
            Words::Pairs => 2,
            Words::Quads => 4,
        }
    }

    /// Words of a pixel of so many channels: the channels of the map of words.
    pub fn of_channels(self, channels: usize) -> usize {
        channels.div_ceil(self.each())
    }
}

/// What numbers a map's integers stand for: x = scale·(q − zero), with q from 0 to 255.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Quantization {
    /// The distance of neighbors, more than 0.
    pub scale: f32,
    /// The integer of 0.
    pub zero: u8,
}

impl Quantization {
    /// For numbers in a range. 0 is always exact, so the range is extended to it.
    pub fn of_range(least: f32, most: f32) -> Self {
        let (least, most) = (least.min(0.0), most.max(0.0));
        let scale = (most - least) / 255.0;
        if !(scale.is_finite() && scale > f32::MIN_POSITIVE) {
            return Quantization { scale: 1.0, zero: 0 };
        }
        Quantization { scale, zero: (-least / scale).round_ties_even() as u8 }
    }
}

/// What makes integers of numbers.
#[derive(Clone, Copy)]
pub(in crate::inference) struct Rounding {
    pub(super) inverse: f32,
    pub(super) zero: f32,
}

impl Rounding {
    fn new(by: Quantization) -> Self {
        Rounding { inverse: by.scale.recip(), zero: f32::from(by.zero) }
    }

    /// The integer of a number: the one nearest to x·(1/scale) + zero, the even one of two. NaN has that of 0.
    #[inline(always)]
    pub(super) fn integer(self, x: f32) -> u8 {
        let scaled = x * self.inverse;
        let scaled = if scaled.is_nan() { 0.0 } else { scaled };
        (scaled.clamp(-self.zero, 255.0 - self.zero) + self.zero).round_ties_even() as u8
    }
}

/// Where quantized pixels go.
#[derive(Clone, Copy)]
pub(in crate::inference) struct QuantizedTo {
    words: Words,
    by: Rounding,
    to: Place,
    channels: usize,
}

impl QuantizedTo {
    pub(super) fn new(words: Words, by: Quantization, to: Place, channels: usize) -> Self {
        QuantizedTo { words, by: Rounding::new(by), to, channels }
    }

    /// Quantizes registers of adjacent channels of a pixel, the first at a multiple of their width.
    ///
    /// # Safety
    /// The channels are there, and as words this call's alone; the instruction set of `V` is available.
    #[inline(always)]
    pub(in crate::inference) unsafe fn store_row<V: Integers>(&self, row: &[V], pixel: usize, channel: usize) {
        // SAFETY: as the caller promises.
        unsafe { V::write_integers(row, self.by, self.words, self.at(pixel, channel)) }
    }

    /// Where the integer of a channel of a pixel goes, the first of its word.
    #[inline(always)]
    pub(in crate::inference) fn at(&self, pixel: usize, channel: usize) -> *mut u8 {
        let row = padded(self.words.of_channels(self.channels));
        self.to.at(pixel * row).cast::<u8>().wrapping_add(channel * 4 / self.words.each())
    }

    /// Quantizes columns of pixels, which are whole words.
    ///
    /// # Safety
    /// `x` has these pixels, a padded row of channels each; the pixels' words of these columns are this call's alone.
    #[inline(always)]
    pub(in crate::inference) unsafe fn store(&self, x: *const f32, pixels: Range<usize>, columns: Range<usize>) {
        let from = padded(self.channels);
        let columns = columns.start..columns.end.min(self.channels.next_multiple_of(self.words.each()));
        for pixel in pixels {
            // SAFETY: as the caller promises; channels after the last one are zeros of the padding.
            unsafe {
                let x = std::slice::from_raw_parts(x.wrapping_add(pixel * from + columns.start), columns.len());
                let to = self.at(pixel, columns.start);
                match self.words {
                    Words::Pairs => {
                        let to = std::slice::from_raw_parts_mut(to.cast::<u16>(), columns.len());
                        to.iter_mut().zip(x).for_each(|(to, &x)| *to = u16::from(self.by.integer(x)));
                    }
                    Words::Quads => {
                        let to = std::slice::from_raw_parts_mut(to, columns.len());
                        to.iter_mut().zip(x).for_each(|(to, &x)| *to = self.by.integer(x));
                    }
                }
            }
        }
    }
}

/// Some pixels.
struct Part<'a> {
    of: &'a QuantizedTo,
    x: &'a [f32],
    pixels: Range<usize>,
}

impl Kernel for Part<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        // SAFETY: the lengths were checked; each part has pixels of its own.
        unsafe { self.of.store(self.x.as_ptr(), self.pixels, 0..padded(self.of.channels)) }
    }
}

/// The words of a map of so many channels and pixels an image.
///
/// # Panics
/// Slices that are not whole images, or not as many.
pub fn quantize(
    isa: Isa,
    words: Words,
    (channels, pixels): (usize, usize),
    by: Quantization,
    x: &[f32],
    y: &mut [f32],
) {
    let batch = check::rows("quantize", "x", x.len(), map_len(1, channels, pixels));
    check::length("quantize", "y", y.len(), map_len(batch, words.of_channels(channels), pixels));
    let each = (PART / padded(channels).max(1)).max(1);
    let parts = (batch * pixels).div_ceil(each);
    let of = QuantizedTo::new(words, by, Place(y.as_mut_ptr()), channels);
    let one = |part: usize| {
        let pixels = part * each..((part + 1) * each).min(batch * pixels);
        isa.run(Part { of: &of, x, pixels });
    };
    if x.len() < PARALLEL { (0..parts).for_each(one) } else { team::parallel(parts, one) }
}
