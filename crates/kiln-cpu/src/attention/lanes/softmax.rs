//! An online softmax.

use super::{exp, groups};
use crate::operand::Number;
use crate::reduce::{LANES, Sum, combine_lanes};
use crate::{Kernel, Simd};
use kiln_math::Real;
use std::ops::Range;

/// One step of an online softmax over a block of scores: they become exp(score − max), where max is the row's maximum so
/// far; what was summed up before is to be multiplied by `shrink`.
///
/// NaN is not taken as the maximum, but makes the sum NaN.
pub(in crate::attention) struct Softmax<'a> {
    pub(in crate::attention) scores: &'a mut [f32],
    /// From a row of scores to the next.
    pub(in crate::attention) stride: usize,
    /// Multiples of LANES.
    pub(in crate::attention) columns: Range<usize>,
    pub(in crate::attention) max: &'a mut [f32],
    pub(in crate::attention) sum: &'a mut [f32],
    pub(in crate::attention) shrink: &'a mut [f32],
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

/// What sums are multiplied by where the maximum changes.
#[inline(always)]
pub(super) fn shrink<S: Simd>(from: f32, to: f32) -> f32 {
    exp::<S>(from - base(to))
}

/// What is subtracted from scores: their maximum, or 0 where no key is seen.
#[inline(always)]
fn base(max: f32) -> f32 {
    if max == f32::NEG_INFINITY { 0.0 } else { max }
}

/// The largest of all and of `old`; NaN is ignored.
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

/// What a block of rows leaves: lse = max + ln(sum), −∞ without a sum, and the sums' inverses in their places, 0 without a sum.
pub(in crate::attention) struct Finish<'a> {
    pub(in crate::attention) max: &'a [f32],
    pub(in crate::attention) sum: &'a mut [f32],
    pub(in crate::attention) lse: &'a mut [f32],
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
