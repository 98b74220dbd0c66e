//! Few queries against many keys: decoding with a cache of keys.
//!
//! Each key meets so few queries that packing it would cost more than the products: keys and values are read once, where they lie. The
//! blocks of keys are dealt out to threads, each block has a softmax of its own, and these are combined in the order of the blocks.

use super::bias::Bias;
use super::blocks::{Block, Source};
use super::form::{Form, OperandMut, Operands};
use super::forward::KEYS;
use super::lanes::{Finish, Merge, ScaleRows, Scores, Softmax, Tail, Times};
use super::scratch::{self, Local};
use super::sequence::Sequence;
use crate::gemm::tile::{Held, Span, Tile};
use crate::gemm::{GemmFloat, equal_parts, worth_a_region};
use crate::operand::{Output, Stored};
use crate::reduce::LANES;
use crate::{Isa, team};

/// The most rows of queries of a key head: a tile's.
const ROWS: usize = 6;
/// From a row of scores to the next.
const STRIDE: usize = KEYS + LANES;

/// Whether a form is of this kind.
pub(super) fn suits(form: &Form<'_>) -> bool {
    form.packed.is_none() && form.group() * form.queries <= ROWS
}

pub(super) struct Decode<'a, T> {
    pub(super) isa: Isa,
    pub(super) form: &'a Form<'a>,
    pub(super) operands: &'a Operands<T>,
    pub(super) out: &'a OperandMut<T>,
    pub(super) lse: &'a Output<'a, f32>,
}

/// What each block of keys gives for each row: a sum of values, the largest score, and the sum of exp(score − largest).
struct Partial {
    first: *mut f32,
    width: usize,
    rows: usize,
    blocks: usize,
}

// SAFETY: an address; each block is written by one task, and read after all are.
unsafe impl Sync for Partial {}

impl Partial {
    /// Numbers of all blocks of `parts` parts.
    fn elements(&self, parts: usize) -> usize {
        parts * self.blocks * self.rows * (self.width + 2)
    }

    /// The numbers of block `n` of a part: (rows, width) sums of values, (rows,) maxima, (rows,) sums.
    ///
    /// # Safety
    /// Nobody else has them.
    unsafe fn block<'a>(&self, part: usize, n: usize) -> [&'a mut [f32]; 3] {
        let each = self.rows * (self.width + 2);
        // SAFETY: the caller's promise.
        let all = unsafe { std::slice::from_raw_parts_mut(self.first.add((part * self.blocks + n) * each), each) };
        let (values, sums) = all.split_at_mut(self.rows * self.width);
        let (max, sum) = sums.split_at_mut(self.rows);
        [values, max, sum]
    }
}

impl<T: Stored<Compute = f32>> Decode<'_, T> {
    /// All of it.
    ///
    /// # Safety
    /// As [`forward`](super::forward).
    pub(super) unsafe fn run(&self) {
        let form = self.form;
        let parts = form.batch * form.key_heads;
        let (blocks, rows) = (form.keys.div_ceil(KEYS), form.group() * form.queries);
        let all = || {
            scratch::head(|head| {
                let mut partial = Partial { first: std::ptr::null_mut(), width: form.value_width, rows, blocks };
                partial.first = head.partial.room(partial.elements(parts));
                team::parallel(parts * blocks, |i| {
                    // SAFETY: the caller's promise; each block of keys is one task's.
                    scratch::local(|local| unsafe { self.block(&partial, i / blocks, i % blocks, local) });
                });
                team::parallel(parts, |part| {
                    // SAFETY: the caller's promise; all blocks are done.
                    scratch::local(|local| unsafe { self.merge(&partial, part, local) });
                });
            });
        };
        let work = form.rows().saturating_mul(form.keys).saturating_mul(form.width + form.value_width);
        if worth_a_region(work) { all() } else { team::serial(all) }
    }

    /// One block of keys of a key head.
    ///
    /// # Safety
    /// As [`Decode::run`]; nobody else has this block.
    unsafe fn block(&self, partial: &Partial, part: usize, n: usize, local: &mut Local) {
        let (form, isa, operands) = (self.form, self.isa, self.operands);
        let (batch, key_head) = (part / form.key_heads, part % form.key_heads);
        let keys = n * KEYS..form.keys.min((n + 1) * KEYS);
        let sequence = Sequence::new(form, 0);
        let seen = sequence.keys_of_all(&(0..form.queries));
        let seen = seen.start.max(keys.start)..seen.end.min(keys.end);
        // SAFETY: the caller's promise; the rooms are this thread's, apart from one another, and large enough.
        unsafe {
            let [values_sum, max, sum] = partial.block(part, n);
            max.fill(f32::NEG_INFINITY);
            sum.fill(0.0);
            if seen.is_empty() {
                return values_sum.fill(0.0);
            }
            let sources = Source::both(form, operands, &sequence, (batch, key_head));
            let [keys, values] = [Source { scale: 1.0, ..sources[0] }, Source { ..sources[1] }];
            let keys = keys.load(isa, &seen, &mut local.key_rows);
            let values = values.load(isa, &seen, &mut local.value_rows);
            let columns = 0..seen.len().next_multiple_of(LANES);
            let scores = local.scores.filled(ROWS * STRIDE, 0.0);
            let factors = local.factors.filled(KEYS, 0.0);
            for row in 0..partial.rows {
                let (head, query) = (key_head * form.group() + row / form.queries, row % form.queries);
                let q = Block::of(&operands.query, [batch, head, query], (1, form.width), &mut local.rows);
                let scaled = local.grad_rows.filled(form.width, 0.0);
                scaled.copy_from_slice(q.row(0, form.width));
                isa.run(ScaleRows { width: scaled.len().max(1), rows: scaled, factors: &[form.scale] });
                let scores = &mut scores[row * STRIDE..][..STRIDE];
                isa.run(Scores { query: scaled, keys, scores: &mut scores[..seen.len()] });
                let of_head = sequence.without_padding(operands.mask, batch, head);
                let bias = Bias::new(isa, form, &of_head, (operands.mask, operands.dropout), (batch, head));
                bias.apply(scores, seen.start, &(0..seen.len()), query);
                // The rest of the last group: no keys, or the next block's.
                scores[seen.len()..columns.end].fill(f32::NEG_INFINITY);
                let state = (&mut max[row..=row], &mut sum[row..=row], &mut [0.0][..]);
                isa.run(Softmax {
                    scores,
                    stride: STRIDE,
                    columns: columns.clone(),
                    max: state.0,
                    sum: state.1,
                    shrink: state.2,
                });
                if bias.factors(&mut factors[..columns.len()], seen.start, query) {
                    isa.run(Times(&mut scores[columns.clone()], &factors[..columns.len()]));
                }
            }
            self.weighted(scores, &values, seen.len(), values_sum);
        }
    }

    /// The sums of probability times value, of rows of probabilities and `count` values.
    ///
    /// # Safety
    /// The values can be read.
    unsafe fn weighted(&self, scores: &[f32], values: &Block, count: usize, sums: &mut [f32]) {
        let (kernels, width) = (f32::kernels(self.isa).0, self.form.value_width);
        let rows = sums.len() / width.max(1);
        let whole = width - width % kernels.lanes;
        let mut j = 0;
        while j < whole {
            let panel = kernels.width(whole - j);
            let spans = [Span::new(scores.as_ptr(), values.first.wrapping_add(j), count)];
            for (i, part) in equal_parts(rows, panel.tiles.len()) {
                let tile = Tile {
                    spans: &spans,
                    a_offset: (i * STRIDE) as isize,
                    a_row: STRIDE as isize,
                    a_col: 1,
                    b_row: values.stride,
                    c: sums.as_mut_ptr().wrapping_add(i * width + j),
                    c_row: width as isize,
                    held: Held::Nothing,
                };
                // SAFETY: the caller's promise: whole registers of a value's row; the instruction set is available.
                unsafe { panel.tiles[part - 1](&tile) };
            }
            j += panel.vectors * kernels.lanes;
        }
        if whole == width {
            return;
        }
        for (row, sums) in sums.chunks_exact_mut(width).enumerate() {
            let tail = &mut sums[whole..];
            self.isa.run(Tail {
                probabilities: &scores[row * STRIDE..][..count],
                values: *values,
                skip: whole,
                sums: tail,
            });
        }
    }

    /// Combines the blocks of a part and writes its rows.
    ///
    /// # Safety
    /// As [`Decode::run`]; nobody else has these rows, and all blocks are done.
    unsafe fn merge(&self, partial: &Partial, part: usize, local: &mut Local) {
        let (form, isa, width) = (self.form, self.isa, self.form.value_width);
        let (batch, key_head) = (part / form.key_heads, part % form.key_heads);
        for row in 0..partial.rows {
            let (head, query) = (key_head * form.group() + row / form.queries, row % form.queries);
            let out = local.out.filled(width, 0.0);
            let (mut max, mut sum) = ([f32::NEG_INFINITY], [0.0]);
            for n in 0..partial.blocks {
                // SAFETY: the caller's promise: nobody else reads or writes them.
                let [_, of_block, _] = unsafe { partial.block(part, n) };
                max[0] = if of_block[row] > max[0] { of_block[row] } else { max[0] };
            }
            for n in 0..partial.blocks {
                // SAFETY: as above.
                let [values, of_block, sums] = unsafe { partial.block(part, n) };
                let values = &values[row * width..(row + 1) * width];
                sum[0] = isa.run(Merge { out, values, max: (of_block[row], max[0]), sums: (sum[0], sums[row]) });
            }
            let at = (batch * form.heads + head) * form.queries + query;
            // SAFETY: the caller's promise; this row is this task's alone.
            let (lse, to) = unsafe {
                let to = self.out.row([batch, head, query]);
                (self.lse.part(at, 1), std::slice::from_raw_parts_mut(to, width))
            };
            isa.run(Finish { max: &max, sum: &mut sum, lse });
            isa.run(ScaleRows { width: out.len().max(1), rows: out, factors: &sum });
            T::store_all(out, to);
        }
    }
}
