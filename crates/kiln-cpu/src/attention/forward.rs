//! The forward pass: blocks of queries, each against one block of keys after the other, with an online softmax.

use super::bias::Bias;
use super::blocks::{Block, Source};
use super::decode::{self, Decode};
use super::form::{Form, OperandMut, Operands};
use super::keys::Keys;
use super::lanes::{Finish, ScaleRows, Softmax, Times};
use super::scratch::{self, Head, Local};
use super::sequence::Sequence;
use super::share::{self, Part};
use crate::gemm::{GemmFloat, Packed, StridedLeft, Target, equal_parts};
use crate::operand::{Output, Stored};
use crate::reduce::LANES;
use crate::{Isa, check, team};
use std::ops::Range;

/// Keys of a block: one step of the online softmax, and one block of the sums over keys.
pub(super) const KEYS: usize = kiln_math::K_BLOCK;
/// Queries that meet a block of keys while it is in the caches. The results do not depend on it.
const QUERIES: usize = 96;

/// From a row of scores to the next: rows do not begin at the same place of a page.
const STRIDE: usize = KEYS + LANES;

/// The most rows of a tile.
const TILE: usize = 8;

/// out = dropout(softmax(scale · q·kᵀ + bias)) · v, and for each row of queries the logarithm of Σ exp(score).
///
/// A query that sees no key gives 0, and −∞ in `lse` (batch, heads, queries). A key that a query does not see has the probability 0; but
/// where its value is NaN or infinite, queries near it may become NaN (0 · NaN), unless a mask of padding hides it that all query heads of
/// the key head share.
///
/// # Safety
/// All rows that the form reaches can be read, or for `out` written by this call alone, and so can the mask; no row of `out` is among
/// those that are read.
///
/// # Panics
/// Where `lse` has another length, or the form's sizes do not go together.
pub unsafe fn forward<T: Stored<Compute = f32>>(
    isa: Isa,
    form: &Form<'_>,
    operands: &Operands<T>,
    out: &OperandMut<T>,
    lse: &mut [f32],
) {
    form.check("attention");
    check::length("attention", "lse", lse.len(), form.rows());
    let lse = Output::from_slice(lse);
    if decode::suits(form) {
        // SAFETY: the caller's promise.
        return unsafe { Decode { isa, form, operands, out, lse: &lse }.run() };
    }
    let pass = Forward { isa, form, operands, out, lse };
    share::run(form, 2, |part| {
        // SAFETY: the caller's promise; a part's queries are of no other part.
        scratch::head(|head| unsafe { pass.part(&part, head) });
    });
}

struct Forward<'a, T> {
    isa: Isa,
    form: &'a Form<'a>,
    operands: &'a Operands<T>,
    out: &'a OperandMut<T>,
    lse: Output<'a, f32>,
}

/// A block of queries on its way through the keys.
struct Queries<'a> {
    isa: Isa,
    sequence: &'a Sequence,
    bias: Bias<'a>,
    rows: Range<usize>,
    queries: Block,
    scores: &'a mut [f32],
    factors: &'a mut [f32],
    max: &'a mut [f32],
    sum: &'a mut [f32],
    out: &'a mut [f32],
    /// From a row of `out` to the next.
    out_row: usize,
}

impl<T: Stored<Compute = f32>> Forward<'_, T> {
    /// The queries that share a key head.
    ///
    /// # Safety
    /// As [`forward`]; nobody else writes these rows.
    unsafe fn part(&self, part: &Part, head: &mut Head) {
        let form = self.form;
        let sequence = Sequence::new(form, part.sequence);
        let count = sequence.keys.len();
        let keys = Keys::new(self.isa, count, (form.width, form.value_width), head);
        let sources = Source::both(form, self.operands, &sequence, (part.batch, part.key_head));
        team::parallel(count.div_ceil(KEYS), |n| {
            // SAFETY: the caller's promise; each block is packed once.
            scratch::local(|local| unsafe { keys.pack(n, &sources, local) });
        });
        let blocks = sequence.queries.len().div_ceil(QUERIES);
        team::parallel(form.group() * blocks, |task| {
            let head = part.key_head * form.group() + task / blocks;
            let bound = |block: usize| block * sequence.queries.len() / blocks;
            let rows = bound(task % blocks)..bound(task % blocks + 1);
            // SAFETY: the caller's promise; all keys are packed.
            scratch::local(|local| unsafe { self.block(&keys, &sequence, (part.batch, head), rows, local) });
        });
    }

    /// A block of queries of one head.
    ///
    /// # Safety
    /// As [`Forward::part`]; the keys are packed.
    unsafe fn block(
        &self,
        keys: &Keys,
        sequence: &Sequence,
        (batch, head): (usize, usize),
        rows: Range<usize>,
        local: &mut Local,
    ) {
        let (form, isa, operands) = (self.form, self.isa, self.operands);
        let out_row = Packed::<f32>::elements(isa, 1, form.value_width);
        let index = [batch, head, sequence.queries.start + rows.start];
        // SAFETY: the caller's promise; the scratch's rooms are this thread's, and apart from one another.
        unsafe {
            let sequence = sequence.without_padding(operands.mask, batch, head);
            let bias = Bias::new(isa, form, &sequence, (operands.mask, operands.dropout), (batch, head));
            let queries = Block::of(&operands.query, index, (rows.len(), form.width), &mut local.rows);
            let (max, sum) = local.sums.filled(2 * rows.len(), 0.0).split_at_mut(rows.len());
            max.fill(f32::NEG_INFINITY);
            let mut block = Queries {
                isa,
                sequence: &sequence,
                bias,
                rows: rows.clone(),
                queries,
                scores: local.scores.filled(TILE * STRIDE, 0.0),
                factors: local.factors.filled(KEYS, 0.0),
                max,
                sum,
                out: local.out.filled(rows.len() * out_row, 0.0),
                out_row,
            };
            let seen = sequence.keys_of_all(&rows);
            for n in seen.start / KEYS..seen.end.div_ceil(KEYS) {
                block.meet(keys, n);
            }
            self.store(&mut block, index);
        }
    }

    /// Divides by the sums and writes the rows from `index` on.
    ///
    /// # Safety
    /// As [`Forward::block`].
    unsafe fn store(&self, block: &mut Queries<'_>, [batch, head, first]: [usize; 3]) {
        let at = (batch * self.form.heads + head) * self.form.queries + first;
        // SAFETY: the caller's promise; these rows are this block's alone.
        let lse = unsafe { self.lse.part(at, block.max.len()) };
        self.isa.run(Finish { max: block.max, sum: block.sum, lse });
        self.isa.run(ScaleRows { rows: block.out, width: block.out_row.max(1), factors: block.sum });
        for row in 0..block.rows.len() {
            // SAFETY: the caller's promise.
            let to = unsafe {
                std::slice::from_raw_parts_mut(self.out.row([batch, head, first + row]), self.form.value_width)
            };
            T::store_all(&block.out[row * block.out_row..][..self.form.value_width], to);
        }
    }
}

impl Queries<'_> {
    /// All rows meet block `n` of the keys.
    ///
    /// # Safety
    /// The keys are packed, and what the bias reads can be read.
    unsafe fn meet(&mut self, keys: &Keys, n: usize) {
        let (block, across, values) = keys.block(n);
        for (i, count) in equal_parts(self.rows.len(), f32::kernels(self.isa).0.rows()) {
            let first = self.rows.start + i;
            let seen = self.sequence.keys_of_all(&(first..first + count));
            let seen = seen.start.max(block.start)..seen.end.min(block.end);
            if seen.is_empty() {
                continue;
            }
            let seen = seen.start - block.start..seen.end - block.start;
            let columns = seen.start / LANES * LANES..seen.end.next_multiple_of(LANES);
            let to_scores = Target { rows: count, c: self.scores.as_mut_ptr(), c_row: STRIDE, accumulate: false };
            // SAFETY: the caller's promise; there is room for a tile of a whole block.
            unsafe { across.multiply_strided(0..keys.width, seen.clone(), &self.queries.left(i), &to_scores) };
            let plain = self.bias.is_plain(block.start, &columns, &(first..first + count));
            for row in 0..if plain { 0 } else { count } {
                // SAFETY: the caller's promise.
                unsafe { self.bias.apply(&mut self.scores[row * STRIDE..], block.start, &columns, first + row) };
            }
            self.soften(i..i + count, &columns, block.start);
            let (a, c) = (&raw const self.scores[seen.start], self.out.as_mut_ptr().wrapping_add(i * self.out_row));
            let left = StridedLeft { a, row: STRIDE as isize, column: 1 };
            let to_out = Target { rows: count, c, c_row: self.out_row, accumulate: true };
            // SAFETY: the caller's promise; the rows' outputs have room for whole registers.
            unsafe { values.multiply_strided(seen, 0..keys.value_width, &left, &to_out) };
        }
    }

    /// Scores become exp(score − max), and what is there is scaled to the new maximum.
    fn soften(&mut self, rows: Range<usize>, columns: &Range<usize>, first_key: usize) {
        let mut shrink = [0.0; TILE];
        let shrink = &mut shrink[..rows.len()];
        let (max, sum) = (&mut self.max[rows.clone()], &mut self.sum[rows.clone()]);
        self.isa.run(Softmax { scores: self.scores, stride: STRIDE, columns: columns.clone(), max, sum, shrink });
        if self.bias.drops() {
            for (i, row) in rows.clone().enumerate() {
                let factors = &mut self.factors[..columns.len()];
                self.bias.factors(factors, first_key + columns.start, self.rows.start + row);
                self.isa.run(Times(&mut self.scores[i * STRIDE..][columns.clone()], factors));
            }
        }
        if shrink.iter().any(|&shrink| shrink != 1.0) {
            let out = &mut self.out[rows.start * self.out_row..rows.end * self.out_row];
            self.isa.run(ScaleRows { rows: out, width: self.out_row.max(1), factors: shrink });
        }
    }
}
