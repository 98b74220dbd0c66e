//! The terms of a direct convolution's sum.

use crate::conv::Conv;
use crate::inference::field::Pitches;
use kiln_math::{K_BLOCK, taps_in_block};
use std::ops::Range;

/// A run of the sum: `k` terms from float `a` of the input on, as seen from the first tap, and from weight row `b` on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    pub(super) a: usize,
    pub(super) b: usize,
    pub(super) k: usize,
    /// Whether a block ends here.
    pub(super) ends: bool,
}

/// The terms of a sum, those that lie one after the other as one.
pub(super) fn terms(form: &Conv, pitches: &Pitches) -> Vec<Term> {
    let (channels, each) = (form.inputs, taps_in_block(form.inputs));
    let [_, high, wide] = form.kernel;
    let mut terms: Vec<Term> = Vec::new();
    for tap in 0..form.taps() {
        let (depth, height, width) = (tap / (high * wide), tap / wide % high, tap % wide);
        let first =
            depth * pitches.depth + height * form.dilation[1] * pitches.line + width * form.dilation[2] * pitches.pixel;
        // A tap of many channels in parts, of whole blocks but for the last.
        for skip in (0..channels.max(1)).step_by(2 * K_BLOCK) {
            let k = (channels - skip).min(2 * K_BLOCK);
            let term = Term { a: first + skip, b: tap * channels + skip, k, ends: (tap + 1).is_multiple_of(each) };
            match terms.last_mut() {
                Some(last) if !last.ends && last.a + last.k == term.a => {
                    (last.k, last.ends) = (last.k + k, term.ends);
                }
                _ => terms.push(term),
            }
        }
    }
    terms
}

/// Whole blocks of terms, of at most `most` rows of weights where a block has no more.
pub(super) fn chunks(terms: &[Term], most: usize) -> Vec<Range<usize>> {
    let (mut chunks, mut start, mut end, mut rows) = (Vec::new(), 0, 0, 0_usize);
    let mut block = 0;
    for (number, term) in terms.iter().enumerate() {
        block += term.k;
        if !term.ends && number + 1 < terms.len() {
            continue;
        }
        if rows > 0 && rows + block > most {
            chunks.push(start..end);
            (start, rows) = (end, 0);
        }
        (rows, block, end) = (rows + block, 0, number + 1);
    }
    chunks.push(start..terms.len());
    chunks
}
