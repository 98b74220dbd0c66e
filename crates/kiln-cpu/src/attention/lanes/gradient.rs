//! Probabilities and the gradients of scores.

use super::{dot, exp, groups};
use crate::reduce::LANES;
use crate::{Kernel, Simd};
use std::ops::Range;

/// Scores become probabilities exp(score − lse).
pub(in crate::attention) struct Probabilities<'a> {
    pub(in crate::attention) scores: &'a mut [f32],
    pub(in crate::attention) stride: usize,
    pub(in crate::attention) columns: Range<usize>,
    pub(in crate::attention) lse: &'a [f32],
}

impl Kernel for Probabilities<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (row, &lse) in self.lse.iter().enumerate() {
            for group in groups(self.scores, self.stride, row, &self.columns) {
                let mut x = *group;
                for x in &mut x {
                    *x = exp::<S>(*x - lse);
                }
                *group = x;
            }
        }
    }
}

/// dS = P · (dP − δ), in the place of dP; 0 where P is 0, whatever dP is.
pub(in crate::attention) struct ScoreGradient<'a> {
    pub(in crate::attention) probabilities: &'a mut [f32],
    pub(in crate::attention) gradient: &'a mut [f32],
    pub(in crate::attention) stride: usize,
    pub(in crate::attention) columns: Range<usize>,
    pub(in crate::attention) delta: &'a [f32],
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
pub(in crate::attention) struct DroppedGradient<'a> {
    pub(in crate::attention) probabilities: &'a mut [f32],
    pub(in crate::attention) gradient: &'a mut [f32],
    pub(in crate::attention) factors: &'a [f32],
    pub(in crate::attention) delta: f32,
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

/// Σ a · b, by lanes.
pub(in crate::attention) struct Dot<'a>(pub(in crate::attention) &'a [f32], pub(in crate::attention) &'a [f32]);

impl Kernel for Dot<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<S: Simd>(self) -> f32 {
        dot::<S>(self.0, self.1)
    }
}
