//! A block of queries and one of keys.

use super::sums::Sums;
use super::{Backward, KEYS, QUERIES, STRIDE, TILE};
use crate::Isa;
use crate::attention::bias::Bias;
use crate::attention::blocks::{Block, Source, pack_columns, pack_rows};
use crate::attention::lanes::{DroppedGradient, Probabilities, ScoreGradient};
use crate::attention::scratch::Local;
use crate::attention::sequence::Sequence;
use crate::gemm::{GemmFloat, Packed, StridedLeft, Target, equal_parts};
use crate::operand::Stored;
use crate::reduce::LANES;
use std::ops::Range;

/// A block of keys, multiplied by the scale, and values: as columns of the scores and their gradients, and the keys as what the
/// queries' gradients sum over.
pub(super) struct PackedKeys<'a> {
    across: Packed<'a, f32>,
    down: Packed<'a, f32>,
    values_across: Packed<'a, f32>,
}

impl<T: Stored<Compute = f32>> Backward<'_, T> {
    /// Packs block `n` of keys and values.
    ///
    /// # Safety
    /// As [`Backward::part`].
    pub(super) unsafe fn pack<'p>(&self, sums: &Sums, n: usize, local: &mut Local) -> PackedKeys<'p> {
        let (isa, width, value_width, rows) = (self.isa, self.form.width, self.form.value_width, sums.keys(n));
        let count = rows.len();
        let head = (sums.part.batch, sums.part.key_head);
        let [keys, values] = Source::both(self.form, self.operands, &sums.sequence, head);
        let elements = Packed::<f32>::elements;
        let across = local.keys_across.room(elements(isa, width, count));
        let down = local.keys.room(elements(isa, count, width));
        let values_across = local.values_across.room(elements(isa, value_width, count));
        // SAFETY: the caller's promise; the rooms are as large as the panels.
        unsafe {
            let keys = keys.load(isa, &rows, &mut local.key_rows);
            let values = values.load(isa, &rows, &mut local.value_rows);
            PackedKeys {
                across: pack_columns(isa, keys, (count, width), across),
                down: pack_rows(isa, keys, (count, width), down),
                values_across: pack_columns(isa, values, (count, value_width), values_across),
            }
        }
    }

    /// What block `n` of the keys and block `x` of the queries add to the gradients of both.
    ///
    /// # Safety
    /// As [`Backward::part`]; nobody else has either block.
    pub(super) unsafe fn pair(&self, sums: &Sums, packed: &PackedKeys<'_>, n: usize, x: usize, local: &mut Local) {
        let (isa, form, operands) = (self.isa, self.form, self.operands);
        let (head, queries) = sums.queries(form, x);
        let keys = sums.keys(n);
        // SAFETY: the caller's promise; the rooms are this thread's, apart from one another, and as large as a block.
        unsafe {
            let sequence = sums.sequence.without_padding(operands.mask, sums.part.batch, head);
            let seeing = sequence.queries_of_all(&keys);
            let rows = seeing.start.max(queries.start)..seeing.end.min(queries.end);
            if rows.is_empty() {
                return;
            }
            let (count, width, value_width) = (rows.len(), form.width, form.value_width);
            let index = [sums.part.batch, head, sequence.queries.start + rows.start];
            let q = Block::of(&operands.query, index, (count, width), &mut local.rows);
            let grads = Block::of(&self.saved.out_grad, index, (count, value_width), &mut local.grad_rows);
            let place = sums.place(x, rows.start);
            let pair = Pair {
                isa,
                sequence: &sequence,
                bias: Bias::new(isa, form, &sequence, (operands.mask, operands.dropout), (sums.part.batch, head)),
                keys: keys.clone(),
                rows: rows.clone(),
                lse: std::slice::from_raw_parts(sums.lse.add(place), count),
                delta: std::slice::from_raw_parts(sums.delta.add(place), count),
                scores: local.scores.room(QUERIES * STRIDE),
                score_grads: local.score_grads.room(QUERIES * STRIDE),
                factors: local.factors.room(KEYS),
            };
            let query_grad = Target { rows: 0, c: sums.query.add(place * sums.row), c_row: sums.row, accumulate: true };
            pair.scores(packed, (width, value_width), (&q, &grads), &query_grad);
            let room = local.queries.room(Packed::<f32>::elements(isa, count, width));
            let q = pack_rows(isa, q, (count, width), room);
            let room = local.grads.room(Packed::<f32>::elements(isa, count, value_width));
            let grads = pack_rows(isa, grads, (count, value_width), room);
            let to =
                |c: *mut f32, c_row: usize| Target { rows: 0, c: c.add(keys.start * c_row), c_row, accumulate: true };
            pair.sum(pair.score_grads, (&q, width), &to(sums.key, sums.row));
            pair.sum(pair.scores, (&grads, value_width), &to(sums.value, sums.value_row));
        }
    }
}

/// A block of queries and one of keys.
struct Pair<'a> {
    isa: Isa,
    sequence: &'a Sequence,
    bias: Bias<'a>,
    keys: Range<usize>,
    rows: Range<usize>,
    lse: &'a [f32],
    delta: &'a [f32],
    /// Scores, which become probabilities, and their gradients; dropout's factors.
    scores: *mut f32,
    score_grads: *mut f32,
    factors: *mut f32,
}

impl Pair<'_> {
    /// Probabilities and the gradients of the scores, and what these add to the queries' gradients.
    ///
    /// # Safety
    /// Keys are packed, all rooms are as large as a block and this thread's, and what the bias reads can be read.
    unsafe fn scores(
        &self,
        packed: &PackedKeys<'_>,
        (width, value_width): (usize, usize),
        (queries, grads): (&Block, &Block),
        query_grad: &Target<f32>,
    ) {
        for (i, count) in equal_parts(self.rows.len(), f32::kernels(self.isa).0.rows()) {
            let first = self.rows.start + i;
            let seen = self.sequence.keys_of_all(&(first..first + count));
            let seen = seen.start.max(self.keys.start)..seen.end.min(self.keys.end);
            if seen.is_empty() {
                continue;
            }
            let seen = seen.start - self.keys.start..seen.end - self.keys.start;
            // Beside what is seen there are zeros, as far as a tile of keys may reach.
            let end = self.keys.len().min(seen.end + TILE);
            let columns = seen.start.saturating_sub(TILE) / LANES * LANES..end.next_multiple_of(LANES);
            let at = |block: *mut f32| block.wrapping_add(i * STRIDE);
            let to = |block: *mut f32| Target { rows: count, c: at(block), c_row: STRIDE, accumulate: false };
            // SAFETY: the caller's promise.
            unsafe {
                packed.across.multiply_strided(0..width, seen.clone(), &queries.left(i), &to(self.scores));
                packed.values_across.multiply_strided(
                    0..value_width,
                    seen.clone(),
                    &grads.left(i),
                    &to(self.score_grads),
                );
                self.differentiate(i..i + count, &columns);
                let a = at(self.score_grads).wrapping_add(seen.start).cast_const();
                let left = StridedLeft { a, row: STRIDE as isize, column: 1 };
                let c = query_grad.c.wrapping_add(i * query_grad.c_row);
                packed.down.multiply_strided(seen, 0..width, &left, &Target { rows: count, c, ..*query_grad });
            }
        }
    }

    /// From scores and the gradients of probabilities to probabilities and the gradients of scores.
    ///
    /// # Safety
    /// As [`Pair::scores`].
    unsafe fn differentiate(&self, rows: Range<usize>, columns: &Range<usize>) {
        let (stride, count) = (STRIDE, rows.len() * STRIDE);
        // SAFETY: the caller's promise.
        let (probabilities, gradient, factors) = unsafe {
            (
                std::slice::from_raw_parts_mut(self.scores.add(rows.start * STRIDE), count),
                std::slice::from_raw_parts_mut(self.score_grads.add(rows.start * STRIDE), count),
                std::slice::from_raw_parts_mut(self.factors, columns.len()),
            )
        };
        let queries = self.rows.start + rows.start..self.rows.start + rows.end;
        let plain = self.bias.is_plain(self.keys.start, columns, &queries);
        for (i, row) in rows.clone().enumerate().filter(|_| !plain) {
            // SAFETY: the caller's promise.
            unsafe {
                self.bias.apply(&mut probabilities[i * STRIDE..], self.keys.start, columns, self.rows.start + row)
            };
        }
        let (lse, delta) = (&self.lse[rows.clone()], &self.delta[rows.clone()]);
        self.isa.run(Probabilities { scores: probabilities, stride, columns: columns.clone(), lse });
        if !self.bias.drops() {
            return self.isa.run(ScoreGradient { probabilities, gradient, stride, columns: columns.clone(), delta });
        }
        for (i, row) in rows.enumerate() {
            self.bias.factors(factors, self.keys.start + columns.start, self.rows.start + row);
            let part = i * STRIDE + columns.start..i * STRIDE + columns.end;
            let (probabilities, gradient) = (&mut probabilities[part.clone()], &mut gradient[part]);
            self.isa.run(DroppedGradient { probabilities, gradient, factors, delta: delta[i] });
        }
    }

    /// Adds the transpose of a block times rows of queries to the rows of keys.
    ///
    /// # Safety
    /// As [`Pair::scores`]; nobody else has the target.
    unsafe fn sum(&self, block: *mut f32, (b, width): (&Packed<'_, f32>, usize), target: &Target<f32>) {
        for (i, count) in equal_parts(self.keys.len(), f32::kernels(self.isa).0.rows()) {
            let first = self.keys.start + i;
            let seeing = self.sequence.queries_of_all(&(first..first + count));
            let seeing = seeing.start.max(self.rows.start)..seeing.end.min(self.rows.end);
            if seeing.is_empty() {
                continue;
            }
            let seeing = seeing.start - self.rows.start..seeing.end - self.rows.start;
            let a = block.wrapping_add(seeing.start * STRIDE + i).cast_const();
            let left = StridedLeft { a, row: 1, column: STRIDE as isize };
            let c = target.c.wrapping_add(i * target.c_row);
            // SAFETY: the caller's promise.
            unsafe { b.multiply_strided(seeing, 0..width, &left, &Target { rows: count, c, ..*target }) };
        }
    }
}
