//! Few queries against keys and values where they lie.

use super::softmax::shrink;
use super::{dot, fma};
use crate::attention::blocks::Block;
use crate::{Kernel, Simd};

/// Scores of a query with keys where they lie.
pub(in crate::attention) struct Scores<'a> {
    pub(in crate::attention) query: &'a [f32],
    pub(in crate::attention) keys: Block,
    pub(in crate::attention) scores: &'a mut [f32],
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
pub(in crate::attention) struct Tail<'a> {
    pub(in crate::attention) probabilities: &'a [f32],
    pub(in crate::attention) values: Block,
    pub(in crate::attention) skip: usize,
    pub(in crate::attention) sums: &'a mut [f32],
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
pub(in crate::attention) struct Merge<'a> {
    pub(in crate::attention) out: &'a mut [f32],
    pub(in crate::attention) values: &'a [f32],
    /// The block's maximum, and that of all.
    pub(in crate::attention) max: (f32, f32),
    /// The sum of the blocks before, and the block's.
    pub(in crate::attention) sums: (f32, f32),
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
