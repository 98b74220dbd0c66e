//! The backward pass: blocks of keys, each against the blocks of queries that see some of them.
//!
//! With P the probabilities and δ the sum of out · d(out) over a row: dV = Pᵀ · dO, dS = P · (dO · Vᵀ − δ), dK = dSᵀ · Q, dQ = dS · K.

use super::bias::Bias;
use super::blocks::{Block, Source, pack_columns, pack_rows};
use super::form::{Form, Operand, OperandMut, Operands};
use super::lanes::{Dot, DroppedGradient, Probabilities, ScoreGradient};
use super::scratch::{self, Head, Local};
use super::sequence::Sequence;
use super::share::{self, Part};
use crate::gemm::{GemmFloat, Packed, StridedLeft, Target, equal_parts};
use crate::operand::Stored;
use crate::reduce::LANES;
use crate::{Isa, check, team};
use std::ops::Range;

/// Keys of a block, and queries of one: blocks of the sums over keys and over queries.
const KEYS: usize = 64;
const QUERIES: usize = 96;
/// From a row of probabilities to the next: rows do not begin at the same place of a page.
const STRIDE: usize = KEYS + LANES;

/// The most rows of a tile.
const TILE: usize = 8;

/// What the forward pass left, and the gradient of its output.
#[derive(Clone, Copy, Debug)]
pub struct Saved<'a, T> {
    /// (batch, heads, queries, value_width): the output.
    pub out: Operand<T>,
    /// (batch, heads, queries): the logarithm of each row's sum.
    pub lse: &'a [f32],
    /// (batch, heads, queries, value_width): the output's gradient.
    pub out_grad: Operand<T>,
}

/// Where the gradients go. What is there before does not matter.
#[derive(Clone, Copy, Debug)]
pub struct Gradients<T> {
    /// (batch, heads, queries, width)
    pub query: OperandMut<T>,
    /// (batch, key_heads, keys, width): the sum over the query heads that share the key head, in their order.
    pub key: OperandMut<T>,
    /// (batch, key_heads, keys, value_width): as that of the key.
    pub value: OperandMut<T>,
}

/// The gradients of query, key and value.
///
/// # Safety
/// As [`forward`](super::forward), for what it left, the output's gradient and the rows of the gradients; the operands are those of the
/// forward pass.
///
/// # Panics
/// Where `lse` has another length, or the form's sizes do not go together.
pub unsafe fn backward<T: Stored<Compute = f32>>(
    isa: Isa,
    form: &Form<'_>,
    operands: &Operands<T>,
    saved: &Saved<'_, T>,
    gradients: &Gradients<T>,
) {
    form.check("attention");
    check::length("attention", "lse", saved.lse.len(), form.rows());
    let pass = Backward { isa, form, operands, saved, gradients };
    share::run(form, 5, |part| {
        // SAFETY: the caller's promise; a part's queries and keys are of no other part.
        scratch::head(|head| unsafe { pass.part(part, head) });
    });
}

struct Backward<'a, T> {
    isa: Isa,
    form: &'a Form<'a>,
    operands: &'a Operands<T>,
    saved: &'a Saved<'a, T>,
    gradients: &'a Gradients<T>,
}

/// The sums of the gradients of a part, and what is known of each of its queries.
struct Sums {
    part: Part,
    sequence: Sequence,
    /// Blocks of queries of a head, and of keys.
    query_blocks: usize,
    key_blocks: usize,
    /// From a row of the sums to the next.
    row: usize,
    value_row: usize,
    /// The heads' queries, one head after the other.
    query: *mut f32,
    key: *mut f32,
    value: *mut f32,
    lse: *mut f32,
    delta: *mut f32,
}

// SAFETY: addresses; tasks that run at the same time write other blocks.
unsafe impl Sync for Sums {}

impl Sums {
    fn new(isa: Isa, form: &Form<'_>, part: Part, head: &mut Head) -> Self {
        let sequence = Sequence::new(form, part.sequence);
        let queries = form.group() * sequence.queries.len();
        let [row, value_row] = [form.width, form.value_width].map(|width| Packed::<f32>::elements(isa, 1, width));
        Sums {
            query_blocks: sequence.queries.len().div_ceil(QUERIES),
            key_blocks: sequence.keys.len().div_ceil(KEYS),
            row,
            value_row,
            query: head.query_grad.filled(queries * row, 0.0).as_mut_ptr(),
            key: head.key_grad.filled(sequence.keys.len() * row, 0.0).as_mut_ptr(),
            value: head.value_grad.filled(sequence.keys.len() * value_row, 0.0).as_mut_ptr(),
            lse: head.lse.room(queries),
            delta: head.delta.room(queries),
            part,
            sequence,
        }
    }

    /// The query head, and the queries, of block `x` of all.
    fn queries(&self, form: &Form<'_>, x: usize) -> (usize, Range<usize>) {
        let (head, block) = (x / self.query_blocks, x % self.query_blocks);
        let end = self.sequence.queries.len().min((block + 1) * QUERIES);
        (self.part.key_head * form.group() + head, block * QUERIES..end)
    }

    fn keys(&self, n: usize) -> Range<usize> {
        n * KEYS..self.sequence.keys.len().min((n + 1) * KEYS)
    }

    /// The place of a query of block `x` among the heads' queries.
    fn place(&self, x: usize, query: usize) -> usize {
        x / self.query_blocks * self.sequence.queries.len() + query
    }
}

impl<T: Stored<Compute = f32>> Backward<'_, T> {
    /// All queries that share a key head.
    ///
    /// # Safety
    /// As [`backward`]; nobody else writes these gradients.
    unsafe fn part(&self, part: Part, head: &mut Head) {
        let sums = Sums::new(self.isa, self.form, part, head);
        let (blocks, keys) = (self.form.group() * sums.query_blocks, sums.key_blocks);
        // SAFETY: the caller's promise; each block's numbers are written by one task.
        team::parallel(blocks, |x| scratch::local(|local| unsafe { self.begin(&sums, x, local) }));
        if team::threads() == 1 {
            for n in 0..keys {
                scratch::local(|local| {
                    // SAFETY: the caller's promise; the keys stay packed while the blocks of queries pass.
                    unsafe {
                        let packed = self.pack(&sums, n, local);
                        (0..blocks).for_each(|x| self.pair(&sums, &packed, n, x, local));
                    }
                });
            }
        } else {
            // Pairs of blocks on one diagonal have neither keys nor queries in common. A block of keys meets those of queries in
            // their order, and the other way round: so the order of all sums is that of the loops above.
            for diagonal in 0..(keys + blocks).saturating_sub(1) {
                let first = (diagonal + 1).saturating_sub(blocks);
                team::parallel(keys.min(diagonal + 1) - first, |i| {
                    let (n, x) = (first + i, diagonal - first - i);
                    if self.sees(&sums, n, x) {
                        // SAFETY: the caller's promise; see above.
                        scratch::local(|local| unsafe {
                            let packed = self.pack(&sums, n, local);
                            self.pair(&sums, &packed, n, x, local);
                        });
                    }
                });
            }
        }
        // SAFETY: the caller's promise; all sums are complete.
        team::parallel(blocks + keys, |i| unsafe { self.store(&sums, i, blocks) });
    }

    /// Whether a query of block `x` may see a key of block `n`.
    fn sees(&self, sums: &Sums, n: usize, x: usize) -> bool {
        let (_, queries) = sums.queries(self.form, x);
        let seeing = sums.sequence.queries_of_all(&sums.keys(n));
        seeing.start.max(queries.start) < seeing.end.min(queries.end)
    }

    /// δ, and the logarithms of the sums: ∞ of those queries that see nothing, so that their probabilities are 0.
    ///
    /// # Safety
    /// As [`Backward::part`]; nobody else has this block.
    unsafe fn begin(&self, sums: &Sums, x: usize, local: &mut Local) {
        let width = self.form.value_width;
        let (head, rows) = sums.queries(self.form, x);
        let index = [sums.part.batch, head, sums.sequence.queries.start + rows.start];
        let at = (index[0] * self.form.heads + head) * self.form.queries + index[2];
        // SAFETY: the caller's promise.
        unsafe {
            let grads = Block::of(&self.saved.out_grad, index, (rows.len(), width), &mut local.grad_rows);
            let out = Block::of(&self.saved.out, index, (rows.len(), width), &mut local.out_rows);
            for row in 0..rows.len() {
                let place = sums.place(x, rows.start + row);
                let lse = self.saved.lse[at + row];
                *sums.lse.add(place) = if lse == f32::NEG_INFINITY { f32::INFINITY } else { lse };
                *sums.delta.add(place) = self.isa.run(Dot(grads.row(row, width), out.row(row, width)));
            }
        }
    }

    /// Packs block `n` of keys and values.
    ///
    /// # Safety
    /// As [`Backward::part`].
    unsafe fn pack<'p>(&self, sums: &Sums, n: usize, local: &mut Local) -> PackedKeys<'p> {
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

    /// Writes the sums: the first `blocks` of queries, then those of keys.
    ///
    /// # Safety
    /// As [`Backward::part`]; nobody else has this block.
    unsafe fn store(&self, sums: &Sums, i: usize, blocks: usize) {
        let (form, gradients, part) = (self.form, self.gradients, &sums.part);
        // SAFETY: the caller's promise.
        unsafe {
            if i < blocks {
                let (head, queries) = sums.queries(form, i);
                for query in queries {
                    let row = [part.batch, head, sums.sequence.queries.start + query];
                    put(sums.query.add(sums.place(i, query) * sums.row), form.width, 1.0, gradients.query.row(row));
                }
                return;
            }
            for key in sums.keys(i - blocks) {
                let row = [part.batch, part.key_head, sums.sequence.keys.start + key];
                put(sums.key.add(key * sums.row), form.width, form.scale, gradients.key.row(row));
                put(sums.value.add(key * sums.value_row), form.value_width, 1.0, gradients.value.row(row));
            }
        }
    }
}

/// Writes `width` sums, times a number.
///
/// # Safety
/// They can be read and written by nobody else, and be written at `to`.
unsafe fn put<T: Stored<Compute = f32>>(sums: *mut f32, width: usize, scale: f32, to: *mut T) {
    // SAFETY: the caller's promise.
    let (sums, to) =
        unsafe { (std::slice::from_raw_parts_mut(sums, width), std::slice::from_raw_parts_mut(to, width)) };
    if scale != 1.0 {
        sums.iter_mut().for_each(|x| *x *= scale);
    }
    T::store_all(sums, to);
}

/// A block of keys, multiplied by the scale, and values: as columns of the scores and their gradients, and the keys as what the
/// queries' gradients sum over.
struct PackedKeys<'a> {
    across: Packed<'a, f32>,
    down: Packed<'a, f32>,
    values_across: Packed<'a, f32>,
}

impl<T: Stored<Compute = f32>> Backward<'_, T> {
    /// What block `n` of the keys and block `x` of the queries add to the gradients of both.
    ///
    /// # Safety
    /// As [`Backward::part`]; nobody else has either block.
    unsafe fn pair(&self, sums: &Sums, packed: &PackedKeys<'_>, n: usize, x: usize, local: &mut Local) {
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
