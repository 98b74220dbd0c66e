//! Convolutions of bf16 by the processor's dot products: two elements that a sum meets one after the other are a word, and the
//! convolution is that of the words, as of numbers; see [`crate::gemm::pairs`].
//!
//! Forward, the sum's pairs are of input channels, for the input's gradient of output channels, for the weight's gradient of images.
//! An odd last one is paired with zeros. Sums are f32.

use super::scratch::Place;
use super::{Conv, forward_by, grad_input_by, grad_weight_by};
use crate::gemm::pairs::{interleave, word, words};
use crate::gemm::{GemmEpilogue, MatrixElement, Operands, bf16_dots};
use crate::isa::Isa;
use crate::{Kernel, Simd, team};
use half::bf16;
use std::ops::Range;

/// Elements that a task makes words of at least.
const TASK: usize = 16 << 10;

impl Conv {
    /// Whether this convolution of bf16 is computed by the processor's dot products. Depthwise ones are not: their sums are too short.
    pub fn by_bf16_dots(&self, isa: Isa) -> bool {
        bf16_dots(isa) && !self.is_depthwise()
    }

    /// Words of both operands of [`forward_bf16`].
    pub fn forward_words(&self) -> [usize; 2] {
        let groups = self.groups * words(self.inputs);
        [self.batch * groups * self.plane(), self.outputs * groups * self.taps()]
    }

    /// Words of both operands of [`grad_input_bf16`].
    pub fn grad_input_words(&self) -> [usize; 2] {
        let groups = self.groups * words(self.outputs);
        [self.batch * groups * self.out_plane(), groups * self.inputs * self.taps()]
    }

    /// Words of both operands of [`grad_weight_bf16`].
    pub fn grad_weight_words(&self) -> [usize; 2] {
        let images = words(self.batch) * self.groups;
        [images * self.inputs * self.plane(), images * self.outputs * self.out_plane()]
    }
}

/// Slices (outer, count, inner) whose elements along `count` become pairs.
struct Paired<'a> {
    of: &'a [bf16],
    count: usize,
    inner: usize,
}

impl Paired<'_> {
    /// Their words, (outer, count / 2 rounded up, inner).
    fn write(&self, isa: Isa, to: &mut [f32]) {
        let row = self.inner;
        if row == 0 || to.is_empty() {
            return;
        }
        // Parts of long rows, and runs of short ones.
        let rows = to.len() / row;
        let (parts, runs) = (row.div_ceil(TASK), rows.div_ceil((TASK / row).max(1)));
        let place = Place(to.as_mut_ptr());
        team::parallel(parts * runs, |task| {
            let (run, part) = (task / parts, task % parts);
            let columns = part * row / parts..(part + 1) * row / parts;
            for number in run * rows / runs..(run + 1) * rows / runs {
                let to = place.at(number * row + columns.start);
                // SAFETY: within the words; each row's columns are one task's own.
                let to = unsafe { std::slice::from_raw_parts_mut(to, columns.len()) };
                let (lower, upper) = self.rows(number, columns.clone());
                isa.run(Interleave { lower, upper, to });
            }
        });
    }

    /// Some columns of the rows of a pair; none where an odd last one has no second.
    fn rows(&self, number: usize, columns: Range<usize>) -> (&[bf16], Option<&[bf16]>) {
        let pairs = words(self.count);
        let (outer, lower) = (number / pairs, number % pairs * 2);
        let row = |at: usize| &self.of[(outer * self.count + at) * self.inner..][columns.clone()];
        (row(lower), (lower + 1 < self.count).then(|| row(lower + 1)))
    }
}

struct Interleave<'a> {
    lower: &'a [bf16],
    upper: Option<&'a [bf16]>,
    to: &'a mut [f32],
}

impl Kernel for Interleave<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let lower: &[u16] = bytemuck::cast_slice(self.lower);
        match self.upper {
            Some(upper) => {
                let upper: &[u16] = bytemuck::cast_slice(upper);
                // The taps of the usual kernel are unrolled.
                match (lower.first_chunk::<9>(), upper.first_chunk::<9>(), self.to.first_chunk_mut::<9>()) {
                    (Some(a), Some(b), Some(to)) if lower.len() == 9 => *to = std::array::from_fn(|i| word(a[i], b[i])),
                    _ => interleave::<16>(lower, upper, self.to),
                }
            }
            None => self.to.iter_mut().zip(lower).for_each(|(to, &lower)| *to = word(lower, 0)),
        }
    }
}

/// The kernels of words. Without dot products there are none, and no right result: callers ask [`Conv::by_bf16_dots`] first.
#[track_caller]
fn kernels(isa: Isa) -> Operands<f32> {
    let dots = crate::gemm::kernels::bf16_operands(isa);
    assert!(dots.is_some(), "this processor has no dot products of bf16 with {isa:?}");
    dots.unwrap_or_else(|| f32::operands(isa)).of_words()
}

/// The words of two operands in `room`, which has room for so many.
fn operands<'r>(isa: Isa, of: [Paired<'_>; 2], lengths: [usize; 2], room: &'r mut [f32]) -> [&'r [f32]; 2] {
    let (first, rest) = room.split_at_mut(lengths[0]);
    let second = &mut rest[..lengths[1]];
    of[0].write(isa, first);
    of[1].write(isa, second);
    [first, second]
}

/// [`super::forward`] of bf16, where [`Conv::by_bf16_dots`]. `room` holds the operands' words, [`Conv::forward_words`], meanwhile.
///
/// # Panics
/// As there; too little room; a processor without these.
pub fn forward_bf16(
    isa: Isa,
    conv: &Conv,
    (x, weight): (&[bf16], &[bf16]),
    room: &mut [f32],
    y: &mut [f32],
    epilogue: &GemmEpilogue<'_, f32>,
) {
    super::check(conv, x.len(), weight.len(), y.len());
    let x = Paired { of: x, count: conv.inputs, inner: conv.plane() };
    let weight = Paired { of: weight, count: conv.inputs, inner: conv.taps() };
    let [x, weight] = operands(isa, [x, weight], conv.forward_words(), room);
    let conv = Conv { inputs: words(conv.inputs), ..*conv };
    forward_by(isa, kernels(isa), &conv, x, weight, y, epilogue);
}

/// [`super::grad_input`] of bf16, where [`Conv::by_bf16_dots`]. `room` holds the operands' words, [`Conv::grad_input_words`],
/// meanwhile.
///
/// # Panics
/// As there; too little room; a processor without these.
pub fn grad_input_bf16(isa: Isa, conv: &Conv, (dy, weight): (&[bf16], &[bf16]), room: &mut [f32], dx: &mut [f32]) {
    super::check(conv, dx.len(), weight.len(), dy.len());
    let dy = Paired { of: dy, count: conv.outputs, inner: conv.out_plane() };
    let weight = Paired { of: weight, count: conv.outputs, inner: conv.inputs * conv.taps() };
    let [dy, weight] = operands(isa, [dy, weight], conv.grad_input_words(), room);
    let conv = Conv { outputs: words(conv.outputs), ..*conv };
    grad_input_by(isa, kernels(isa), &conv, dy, weight, dx);
}

/// [`super::grad_weight`] of bf16, where [`Conv::by_bf16_dots`]. `room` holds the operands' words, [`Conv::grad_weight_words`],
/// meanwhile.
///
/// # Panics
/// As there; too little room; a processor without these.
pub fn grad_weight_bf16(isa: Isa, conv: &Conv, (x, dy): (&[bf16], &[bf16]), room: &mut [f32], dw: &mut [f32]) {
    super::check(conv, x.len(), dw.len(), dy.len());
    let x = Paired { of: x, count: conv.batch, inner: conv.groups * conv.inputs * conv.plane() };
    let dy = Paired { of: dy, count: conv.batch, inner: conv.groups * conv.outputs * conv.out_plane() };
    let [x, dy] = operands(isa, [x, dy], conv.grad_weight_words(), room);
    let conv = Conv { batch: words(conv.batch), ..*conv };
    grad_weight_by(isa, kernels(isa), &conv, x, dy, dw);
}
