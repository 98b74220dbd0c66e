//! Random numbers and dropout, from counters: element i of a draw is word i of the stream from its first counter on, so
//! any number of threads gives the same.

use crate::elementwise::{gather_block, in_chunks};
use crate::operand::{BLOCK, Number, Output, Strided};
use crate::{Isa, Kernel, Simd, check};
use kiln_math::Law;
use kiln_math::draws::{kept_scale, normal_pair, normal_pair_f64, unit_f32, unit_f64};
use kiln_math::laws::integer_between;
use kiln_math::philox::philox;

/// A key, and the first counter of a draw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Draw {
    /// Names the stream.
    pub key: u64,
    /// Block of four words that the draw begins at.
    pub counter: u64,
}

/// Blocks computed together, so that they become vector code.
const BLOCKS: usize = 16;

impl Draw {
    #[inline(always)]
    fn block(self, i: u64) -> [u32; 4] {
        let counter = self.counter.wrapping_add(i);
        philox([counter as u32, (counter >> 32) as u32, 0, 0], [self.key as u32, (self.key >> 32) as u32])
    }
}

/// Words `first..first + words.len()` of a draw; `first` is a multiple of 4.
struct Words<'a> {
    draw: Draw,
    first: u64,
    words: &'a mut [[u32; 4]; BLOCKS],
}

impl Kernel for Words<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (i, block) in self.words.iter_mut().enumerate() {
            *block = self.draw.block(self.first / 4 + i as u64);
        }
    }
}

/// Calls `f(first element, words)` for groups of 4 · BLOCKS words that make up a chunk.
fn words(isa: Isa, draw: Draw, start: usize, count: usize, mut f: impl FnMut(usize, &[u32])) {
    let mut block = [[0; 4]; BLOCKS];
    let group = 4 * BLOCKS;
    let mut at = start / group * group; // groups are aligned, so a chunk may begin inside one
    while at < start + count {
        isa.run(Words { draw, first: at as u64, words: &mut block });
        let flat = block.as_flattened();
        let low = start.max(at) - at;
        let high = (start + count - at).min(group);
        f(at + low, &flat[low..high]);
        at += group;
    }
}

/// Uniform in [low, high), f32 of 24 bits.
pub fn uniform(isa: Isa, out: &mut [f32], draw: Draw, low: f64, high: f64) {
    let to = Output::from_slice(out);
    in_chunks(to.len(), |start, count| {
        words(isa, draw, start, count, |at, words| {
            // SAFETY: within this chunk's own part.
            let to = unsafe { to.part(at, words.len()) };
            for (to, &word) in to.iter_mut().zip(words) {
                // Rounding may reach the upper end, which is excluded.
                let x = (low + (high - low) * f64::from(unit_f32(word))) as f32;
                *to = if x >= high as f32 && high > low { (high as f32).next_down() } else { x };
            }
        });
    });
}

/// Uniform in [low, high), f64 of 53 bits: element i takes words 2i and 2i + 1.
pub fn uniform_f64(out: &mut [f64], draw: Draw, low: f64, high: f64) {
    let out = Output::from_slice(out);
    in_chunks(out.len(), |start, count| {
        // SAFETY: this chunk's own part.
        for (i, to) in (start..).zip(unsafe { out.part(start, count) }) {
            let block = draw.block(i as u64 / 2);
            let pair = if i % 2 == 0 { [block[0], block[1]] } else { [block[2], block[3]] };
            let x = low + (high - low) * unit_f64(u64::from(pair[0]) | u64::from(pair[1]) << 32);
            *to = if x >= high && high > low { high.next_down() } else { x };
        }
    });
}

/// Normal of a mean and a standard deviation: elements 2i and 2i + 1 are the pair of words 2i and 2i + 1 (Box and Muller).
pub fn normal(out: &mut [f32], draw: Draw, mean: f64, std: f64) {
    let to = Output::from_slice(out);
    in_chunks(to.len().div_ceil(2), |start, pairs| {
        for pair in start..start + pairs {
            let block = draw.block(pair as u64 / 2);
            let words = if pair % 2 == 0 { [block[0], block[1]] } else { [block[2], block[3]] };
            let (a, b) = normal_pair(words[0], words[1]);
            let n = (to.len() - 2 * pair).min(2);
            // SAFETY: this pair's own part of the output.
            let to = unsafe { to.part(2 * pair, n) };
            for (to, z) in to.iter_mut().zip([a, b]) {
                *to = (mean + std * f64::from(z)) as f32;
            }
        }
    });
}

/// As [`normal`], in f64: a pair takes a block.
pub fn normal_f64(out: &mut [f64], draw: Draw, mean: f64, std: f64) {
    let out = Output::from_slice(out);
    in_chunks(out.len().div_ceil(2), |start, pairs| {
        for pair in start..start + pairs {
            let [a, b, c, d] = draw.block(pair as u64);
            let z = normal_pair_f64(u64::from(a) | u64::from(b) << 32, u64::from(c) | u64::from(d) << 32);
            // SAFETY: this pair's own part of the output.
            let to = unsafe { out.part(2 * pair, (out.len() - 2 * pair).min(2)) };
            for (to, z) in to.iter_mut().zip([z.0, z.1]) {
                *to = mean + std * z;
            }
        }
    });
}

/// Integers from `low` to below `high`, each equally likely; element i has words of its own.
pub fn integers(out: &mut [i64], draw: Draw, low: i64, high: i64) {
    let to = Output::from_slice(out);
    in_chunks(to.len(), |start, count| {
        // SAFETY: this chunk's own part.
        for (i, to) in unsafe { to.part(start, count) }.iter_mut().enumerate() {
            *to = integer_between(draw.key, draw.counter.wrapping_add((start + i) as u64), low, high);
        }
    });
}

/// Numbers of a law; element i has parameters and words of its own.
///
/// # Panics
/// Where a parameter has another number of elements than `out`.
pub fn sample(isa: Isa, law: Law, out: &mut [f64], parameters: [Strided<'_, f64>; 2], draw: Draw) {
    for parameter in &parameters {
        check::length("sample", "parameter", parameter.elements(), out.len());
    }
    let to = Output::from_slice(out);
    in_chunks(to.len(), |start, count| {
        let mut rooms = [[0.0; BLOCK]; 2];
        for done in (0..count).step_by(BLOCK) {
            let n = BLOCK.min(count - done);
            for (parameter, room) in parameters.iter().zip(&mut rooms) {
                gather_block(*parameter, start + done, n, room);
            }
            // SAFETY: within this chunk's own part.
            let out = unsafe { to.part(start + done, n) };
            let first = draw.counter.wrapping_add((start + done) as u64);
            isa.run(Sample { law, out, parameters: &rooms, key: draw.key, first });
        }
    });
}

struct Sample<'a> {
    law: Law,
    out: &'a mut [f64],
    parameters: &'a [[f64; BLOCK]; 2],
    key: u64,
    first: u64,
}

impl Kernel for Sample<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let [a, b] = self.parameters;
        for (i, to) in self.out.iter_mut().enumerate() {
            *to = self.law.sample(self.key, self.first.wrapping_add(i as u64), [a[i], b[i]]);
        }
    }
}

/// What dropout compares a word with: it keeps an element whose word is at least this.
///
/// A uniform f32 of 24 bits is compared with the rate in f32, as a device does that has no dropout of its own; here as
/// integers: fraction · 2²⁴ ≥ ⌈rate · 2²⁴⌉.
fn threshold(rate: f64) -> u64 {
    ((f64::from(rate as f32) * 16_777_216.0).ceil() as u64) << 8
}

/// What dropout multiplies the elements `first..first + out.len()` of a draw by.
pub(crate) fn keep_factors(isa: Isa, out: &mut [f32], draw: Draw, first: usize, rate: f64) {
    let (threshold, scale) = (threshold(rate), kept_scale(rate) as f32);
    words(isa, draw, first, out.len(), |at, words| {
        let out = &mut out[at - first..][..words.len()];
        isa.run(Keep { out, x: &[1.0; 4 * BLOCKS][..words.len()], words, threshold, scale });
    });
}

/// out = x / (1 − rate) where uniform number i of the draw is at least `rate`; else 0.
///
/// # Panics
/// Where `x` has another number of elements than `out`.
pub fn dropout<T: Number>(isa: Isa, out: &mut [T], x: &[T], draw: Draw, rate: f64) {
    check::length("dropout", "x", x.len(), out.len());
    let to = Output::from_slice(out);
    let scale = T::from_f64(kept_scale(rate));
    let threshold = threshold(rate);
    in_chunks(to.len(), |start, count| {
        words(isa, draw, start, count, |at, words| {
            // SAFETY: within this chunk's own part.
            let out = unsafe { to.part(at, words.len()) };
            isa.run(Keep { out, x: &x[at..at + words.len()], words, threshold, scale });
        });
    });
}

struct Keep<'a, T> {
    out: &'a mut [T],
    x: &'a [T],
    words: &'a [u32],
    threshold: u64,
    scale: T,
}

impl<T: Number> Kernel for Keep<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let scale = self.scale.enter::<S>();
        for ((to, &x), &word) in self.out.iter_mut().zip(self.x).zip(self.words) {
            let kept = T::leave::<S>(x.enter::<S>() * scale);
            *to = if u64::from(word) >= self.threshold { kept } else { T::default() };
        }
    }
}
