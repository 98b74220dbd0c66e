//! What changes a row of scores beside the product: distances (ALiBi), masks, and dropout of the probabilities.

use super::form::{Dropout, Form, Mask, offset};
use super::sequence::Sequence;
use crate::random::keep_factors;
use crate::{Isa, Kernel, Simd};
use std::ops::Range;

/// The scores of a head of queries.
#[derive(Clone, Copy)]
pub(super) struct Bias<'a> {
    isa: Isa,
    form: &'a Form<'a>,
    sequence: &'a Sequence,
    mask: Mask,
    dropout: Option<Dropout>,
    batch: usize,
    head: usize,
}

impl<'a> Bias<'a> {
    pub(super) fn new(
        isa: Isa,
        form: &'a Form<'a>,
        sequence: &'a Sequence,
        (mask, dropout): (Mask, Option<Dropout>),
        (batch, head): (usize, usize),
    ) -> Self {
        Bias { isa, form, sequence, mask, dropout, batch, head }
    }

    /// Whether these queries see all of `columns`, keys from `first` on, and nothing is to be added to their scores.
    pub(super) fn is_plain(&self, first: usize, columns: &Range<usize>, queries: &Range<usize>) -> bool {
        let nothing = self.form.slopes.is_none() && matches!(self.mask, Mask::None);
        let (of_first, of_last) = (self.sequence.keys_of(queries.start), self.sequence.keys_of(queries.end - 1));
        nothing && of_last.start <= first + columns.start && first + columns.end <= of_first.end
    }

    /// What of `columns`, keys from `first` on, a query does not see becomes −∞; to the others the bias is added.
    ///
    /// # Safety
    /// The mask can be read.
    pub(super) unsafe fn apply(&self, scores: &mut [f32], first: usize, columns: &Range<usize>, query: usize) {
        let seen = self.sequence.keys_of(query);
        let within = |key: usize| key.clamp(first + columns.start, first + columns.end) - first;
        let (from, to) = (within(seen.start), within(seen.end).max(within(seen.start)));
        scores[columns.start..from].fill(f32::NEG_INFINITY);
        scores[to..columns.end].fill(f32::NEG_INFINITY);
        let scores = &mut scores[from..to];
        if let Some(slopes) = self.form.slopes {
            let distance = (self.sequence.place(query) - (first + from) as isize) as f32;
            self.isa.run(Distances { scores, distance, slope: slopes[self.head] });
        }
        let (query, key) = (self.sequence.queries.start + query, self.sequence.keys.start + first + from);
        let index = [self.batch, self.head, query, key];
        // SAFETY: the caller's promise.
        match self.mask {
            Mask::None => {}
            Mask::Seen(mask, strides) => {
                self.isa.run(Seen { scores, mask: mask.wrapping_offset(offset(index, strides)), stride: strides[3] })
            }
            Mask::Added(mask, strides) => {
                self.isa.run(Added { scores, mask: mask.wrapping_offset(offset(index, strides)), stride: strides[3] })
            }
        }
    }

    /// Dropout's factors for the keys from `first` on; whether there are any.
    pub(super) fn factors(&self, factors: &mut [f32], first: usize, query: usize) -> bool {
        let Some(Dropout { draw, rate }) = self.dropout else { return false };
        let (query, key) = (self.sequence.queries.start + query, self.sequence.keys.start + first);
        let row = (self.batch * self.form.heads + self.head) * self.form.queries + query;
        keep_factors(self.isa, factors, draw, row * self.form.keys + key, rate);
        true
    }

    /// Whether there is dropout.
    pub(super) fn drops(&self) -> bool {
        self.dropout.is_some()
    }
}

/// score − slope · |distance|, where the distance falls by 1 from key to key.
struct Distances<'a> {
    scores: &'a mut [f32],
    distance: f32,
    slope: f32,
}

impl Kernel for Distances<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (j, score) in self.scores.iter_mut().enumerate() {
            *score -= self.slope * (self.distance - j as i32 as f32).abs();
        }
    }
}

/// −∞ where the mask is 0.
struct Seen<'a> {
    scores: &'a mut [f32],
    mask: *const u8,
    stride: isize,
}

impl Kernel for Seen<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        if self.stride == 1 {
            // SAFETY: whoever gives the mask's address vouches for a byte for each score.
            let mask = unsafe { std::slice::from_raw_parts(self.mask, self.scores.len()) };
            for (score, &seen) in self.scores.iter_mut().zip(mask) {
                *score = if seen == 0 { f32::NEG_INFINITY } else { *score };
            }
            return;
        }
        for (j, score) in self.scores.iter_mut().enumerate() {
            // SAFETY: as above.
            if unsafe { *self.mask.offset(j as isize * self.stride) } == 0 {
                *score = f32::NEG_INFINITY;
            }
        }
    }
}

/// score + mask; −∞ where the mask is, whatever the score.
struct Added<'a> {
    scores: &'a mut [f32],
    mask: *const f32,
    stride: isize,
}

impl Kernel for Added<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let add = |score: &mut f32, mask: f32| {
            let sum = *score + mask;
            *score = if mask == f32::NEG_INFINITY { f32::NEG_INFINITY } else { sum };
        };
        for (j, score) in self.scores.iter_mut().enumerate() {
            // SAFETY: whoever gives the mask's address vouches for a number for each score.
            add(score, unsafe { *self.mask.offset(j as isize * self.stride) });
        }
    }
}
