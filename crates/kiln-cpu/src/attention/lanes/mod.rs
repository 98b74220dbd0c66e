//! What is done to scores row by row, in vector code.
//!
//! Columns come in groups of [`LANES`], counted from the first key of a block: sums have that many lanes and the tree of
//! [`crate::reduce`], on every instruction set.

mod few;
mod gradient;
mod softmax;

pub(super) use few::{Merge, Scores, Tail};
pub(super) use gradient::{Dot, DroppedGradient, Probabilities, ScoreGradient};
pub(super) use softmax::{Finish, Softmax};

use crate::operand::Number;
use crate::reduce::{LANES, Sum, combine_lanes};
use crate::{Kernel, Simd};
use kiln_math::Real;
use std::ops::Range;

/// eˣ for x up to 88, within two units of the last place near 0; 0 below −86.
///
/// Scores are compared with the largest one, so that what is far below 0 hardly counts: one constant is enough for ln 2, and
/// denormal numbers can be 0. It takes half of the instructions of [`Real::exp`].
#[inline(always)]
fn exp<S: Simd>(x: f32) -> f32 {
    /// Adding it rounds to an integer, and leaves in the low bits the exponent of that power of two.
    const ROUND: f64 = 12_582_912.0 + 127.0;
    let y = x.enter::<S>();
    let shifted = y.mul_add(S::F32::constant(std::f64::consts::LOG2_E), S::F32::constant(ROUND));
    let n = shifted - S::F32::constant(ROUND);
    let r = n.mul_add(S::F32::constant(-std::f64::consts::LN_2), y);
    let p = S::F32::constant(1.987_569_2e-4).mul_add(r, S::F32::constant(1.398_199_9e-3));
    let p = p.mul_add(r, S::F32::constant(8.333_452e-3));
    let p = p.mul_add(r, S::F32::constant(4.166_579_6e-2));
    let p = p.mul_add(r, S::F32::constant(1.666_666_5e-1));
    let p = p.mul_add(r, S::F32::constant(0.5));
    let p = (p * r).mul_add(r, r) + S::F32::constant(1.0);
    let power = f32::from_bits(f32::leave::<S>(shifted).to_bits() << 23);
    let y = f32::leave::<S>(p) * power;
    if x < -86.0 { 0.0 } else { y }
}

/// The columns of a row in groups of lanes. Loops take a group's numbers out and put them back: over references the compiler would
/// make vectors of several groups' numbers, by gathering.
#[inline(always)]
fn groups<'a>(block: &'a mut [f32], stride: usize, row: usize, columns: &Range<usize>) -> &'a mut [[f32; LANES]] {
    block[row * stride..][columns.clone()].as_chunks_mut().0
}

/// a · b + c
#[inline(always)]
fn fma<S: Simd>(a: f32, b: f32, c: f32) -> f32 {
    f32::leave::<S>(a.enter::<S>().mul_add(b.enter::<S>(), c.enter::<S>()))
}

/// Σ a · b, by lanes.
#[inline(always)]
fn dot<S: Simd>(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            lanes[i] = fma::<S>(a[i], b[i], lanes[i]);
        }
    }
    for (lane, (&a, &b)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane = fma::<S>(a, b, *lane);
    }
    combine_lanes::<_, Sum>(lanes)
}

/// Each row times a number of its own.
pub(super) struct ScaleRows<'a> {
    pub(super) rows: &'a mut [f32],
    pub(super) width: usize,
    pub(super) factors: &'a [f32],
}

impl Kernel for ScaleRows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (row, factor) in self.rows.chunks_exact_mut(self.width).zip(self.factors) {
            for x in row {
                *x *= factor;
            }
        }
    }
}

/// x · y elementwise, in the place of x.
pub(super) struct Times<'a>(pub(super) &'a mut [f32], pub(super) &'a [f32]);

impl Kernel for Times<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (x, y) in self.0.iter_mut().zip(self.1) {
            *x *= y;
        }
    }
}
