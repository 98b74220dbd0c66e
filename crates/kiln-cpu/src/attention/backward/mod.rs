//! The backward pass: blocks of keys, each against the blocks of queries that see some of them.
//!
//! With P the probabilities and δ the sum of out · d(out) over a row: dV = Pᵀ · dO, dS = P · (dO · Vᵀ − δ), dK = dSᵀ · Q, dQ = dS · K.

mod pair;
mod sums;

use super::blocks::Block;
use super::form::{Form, Operand, OperandMut, Operands};
use super::lanes::Dot;
use super::scratch::{self, Head, Local};
use super::share::{self, Part};
use crate::operand::Stored;
use crate::reduce::LANES;
use crate::{Isa, check, team};
use sums::Sums;

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
}
