//! What is done to scores row by row, in vector code.
//!
//! Columns come in groups of [`LANES`], counted from the first key of a block: sums have that many lanes and the tree of
//! [`crate::reduce`], on every instruction set.

use super::blocks::Block;
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

/// What sums are multiplied by where the maximum changes.
#[inline(always)]
fn shrink<S: Simd>(from: f32, to: f32) -> f32 {
    exp::<S>(from - base(to))
}

/// What is subtracted from scores: their maximum, or 0 where no key is seen.
#[inline(always)]
fn base(max: f32) -> f32 {
    if max == f32::NEG_INFINITY { 0.0 } else { max }
}

/// The columns of a row in groups of lanes. Loops take a group's numbers out and put them back: over references the compiler would
/// make vectors of several groups' numbers, by gathering.
#[inline(always)]
fn groups<'a>(block: &'a mut [f32], stride: usize, row: usize, columns: &Range<usize>) -> &'a mut [[f32; LANES]] {
    block[row * stride..][columns.clone()].as_chunks_mut().0
}

/// One step of an online softmax over a block of scores: they become exp(score − max), where max is the row's maximum so
/// far; what was summed up before is to be multiplied by `shrink`.
///
/// A NaN is no maximum, but gives a sum that is NaN.
pub(super) struct Softmax<'a> {
    pub(super) scores: &'a mut [f32],
    /// From a row of scores to the next.
    pub(super) stride: usize,
    /// Multiples of LANES.
    pub(super) columns: Range<usize>,
    pub(super) max: &'a mut [f32],
    pub(super) sum: &'a mut [f32],
    pub(super) shrink: &'a mut [f32],
}

impl Kernel for Softmax<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for row in 0..self.max.len() {
            let scores = groups(self.scores, self.stride, row, &self.columns);
            let old = self.max[row];
            let max = maximum(scores, old);
            let base = base(max);
            let mut lanes = [0.0f32; LANES];
            for group in scores {
                let mut x = *group;
                for i in 0..LANES {
                    x[i] = exp::<S>(x[i] - base);
                    lanes[i] += x[i];
                }
                *group = x;
            }
            let shrink = shrink::<S>(old, max);
            self.sum[row] = self.sum[row] * shrink + combine_lanes::<_, Sum>(lanes);
            self.max[row] = max;
            self.shrink[row] = shrink;
        }
    }
}

/// The largest of all and of `old`; NaN is passed over.
#[inline(always)]
fn maximum(scores: &[[f32; LANES]], old: f32) -> f32 {
    // Four groups at once: one maximum takes several cycles.
    let mut lanes = [[old; LANES]; 4];
    let (fours, rest) = scores.as_chunks::<4>();
    for four in fours {
        for (lanes, group) in lanes.iter_mut().zip(four) {
            for i in 0..LANES {
                lanes[i] = if group[i] > lanes[i] { group[i] } else { lanes[i] };
            }
        }
    }
    for group in rest {
        for i in 0..LANES {
            lanes[0][i] = if group[i] > lanes[0][i] { group[i] } else { lanes[0][i] };
        }
    }
    let mut width = 2 * LANES;
    let lanes = lanes.as_flattened_mut();
    while width > 0 {
        for i in 0..width {
            lanes[i] = if lanes[i + width] > lanes[i] { lanes[i + width] } else { lanes[i] };
        }
        width /= 2;
    }
    lanes[0]
}

/// Scores become probabilities exp(score − lse).
pub(super) struct Probabilities<'a> {
    pub(super) scores: &'a mut [f32],
    pub(super) stride: usize,
    pub(super) columns: Range<usize>,
    pub(super) lse: &'a [f32],
}

impl Kernel for Probabilities<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (row, &lse) in self.lse.iter().enumerate() {
            for group in groups(self.scores, self.stride, row, &self.columns) {
                let mut x = *group;
                for i in 0..LANES {
                    x[i] = exp::<S>(x[i] - lse);
                }
                *group = x;
            }
        }
    }
}

/// dS = P · (dP − δ), in the place of dP; 0 where P is 0, whatever dP is.
pub(super) struct ScoreGradient<'a> {
    pub(super) probabilities: &'a mut [f32],
    pub(super) gradient: &'a mut [f32],
    pub(super) stride: usize,
    pub(super) columns: Range<usize>,
    pub(super) delta: &'a [f32],
}

impl Kernel for ScoreGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (row, &delta) in self.delta.iter().enumerate() {
            let p = groups(self.probabilities, self.stride, row, &self.columns);
            let ds = groups(self.gradient, self.stride, row, &self.columns);
            for (ds, p) in ds.iter_mut().zip(p) {
                let (p, mut slopes) = (*p, *ds);
                for i in 0..LANES {
                    let slope = p[i] * (slopes[i] - delta);
                    slopes[i] = if p[i] == 0.0 { 0.0 } else { slope };
                }
                *ds = slopes;
            }
        }
    }
}

/// As [`ScoreGradient`] with dropout's factors: dS = P · (factor · dP − δ), P becomes factor · P. Of one row.
pub(super) struct DroppedGradient<'a> {
    pub(super) probabilities: &'a mut [f32],
    pub(super) gradient: &'a mut [f32],
    pub(super) factors: &'a [f32],
    pub(super) delta: f32,
}

impl Kernel for DroppedGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for ((p, ds), factor) in self.probabilities.iter_mut().zip(self.gradient).zip(self.factors) {
            let slope = *p * (factor * *ds - self.delta);
            *ds = if *p == 0.0 { 0.0 } else { slope };
            *p *= factor;
        }
    }
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

/// What a block of rows leaves: lse = max + ln(sum), −∞ without a sum, and the sums' inverses in their places, 0 without a sum.
pub(super) struct Finish<'a> {
    pub(super) max: &'a [f32],
    pub(super) sum: &'a mut [f32],
    pub(super) lse: &'a mut [f32],
}

impl Kernel for Finish<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for ((sum, lse), &max) in self.sum.iter_mut().zip(self.lse).zip(self.max) {
            let whole = max + f32::leave::<S>(sum.enter::<S>().ln());
            let inverse = 1.0 / *sum;
            *lse = if *sum == 0.0 { f32::NEG_INFINITY } else { whole };
            *sum = if *sum == 0.0 { 0.0 } else { inverse };
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

/// Σ a · b, by lanes.
pub(super) struct Dot<'a>(pub(super) &'a [f32], pub(super) &'a [f32]);

impl Kernel for Dot<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<S: Simd>(self) -> f32 {
        dot::<S>(self.0, self.1)
    }
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

/// a · b + c
#[inline(always)]
fn fma<S: Simd>(a: f32, b: f32, c: f32) -> f32 {
    f32::leave::<S>(a.enter::<S>().mul_add(b.enter::<S>(), c.enter::<S>()))
}

/// Scores of a query with keys where they lie.
pub(super) struct Scores<'a> {
    pub(super) query: &'a [f32],
    pub(super) keys: Block,
    pub(super) scores: &'a mut [f32],
}

impl Kernel for Scores<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (key, score) in self.scores.iter_mut().enumerate() {
            // SAFETY: whoever gives the keys vouches for one of the query's width for each score.
            *score = dot::<S>(self.query, unsafe { self.keys.row(key, self.query.len()) });
        }
    }
}

/// Sums of probability times value, of the numbers of values from `skip` on.
pub(super) struct Tail<'a> {
    pub(super) probabilities: &'a [f32],
    pub(super) values: Block,
    pub(super) skip: usize,
    pub(super) sums: &'a mut [f32],
}

impl Kernel for Tail<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        self.sums.fill(0.0);
        for (key, &p) in self.probabilities.iter().enumerate() {
            // SAFETY: whoever gives the values vouches for one of this width for each probability.
            let value = unsafe { self.values.row(key, self.skip + self.sums.len()) };
            for (sum, &x) in self.sums.iter_mut().zip(&value[self.skip..]) {
                *sum = fma::<S>(p, x, *sum);
            }
        }
    }
}

/// Adds a block's values to those of the blocks before, from the block's maximum to that of all; gives the sum with that of
/// the block.
pub(super) struct Merge<'a> {
    pub(super) out: &'a mut [f32],
    pub(super) values: &'a [f32],
    /// The block's maximum, and that of all.
    pub(super) max: (f32, f32),
    /// The sum of the blocks before, and the block's.
    pub(super) sums: (f32, f32),
}

impl Kernel for Merge<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<S: Simd>(self) -> f32 {
        let factor = shrink::<S>(self.max.0, self.max.1);
        for (out, &value) in self.out.iter_mut().zip(self.values) {
            *out = fma::<S>(factor, value, *out);
        }
        fma::<S>(factor, self.sums.1, self.sums.0)
    }
}
