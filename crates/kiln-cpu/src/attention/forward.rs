//! The forward pass.

use super::form::offset;
use super::sequence::Sequence;
use super::{Form, Mask, OperandMut, Operands};
use crate::operand::Stored;
use crate::random::kept;
use crate::{Isa, check, team};

/// out = dropout(softmax(scale · q·kᵀ + bias)) · v, and for each row of queries the logarithm of Σ exp(score).
///
/// A query that sees no key gives 0, and −∞ in `lse` (batch, heads, queries).
///
/// # Safety
/// All rows that the form reaches can be read, or for `out` written by this call alone; no row of `out` is among those that are read.
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
    let _ = isa;
    let lse = crate::operand::Output::from_slice(lse);
    let sequences = Sequence::count(form);
    team::parallel(form.batch * form.heads, |task| {
        let (batch, head) = (task / form.heads, task % form.heads);
        for s in 0..sequences {
            let sequence = Sequence::new(form, s);
            for query in 0..sequence.queries.len() {
                // SAFETY: the caller's promise; this row is this task's alone.
                unsafe {
                    let row = [batch, head, sequence.queries.start + query];
                    let scores = scores(form, operands, &sequence, batch, head, query);
                    let max = scores.iter().map(|&(_, s)| s).fold(f32::NEG_INFINITY, f32::max);
                    let max = if max == f32::NEG_INFINITY { 0.0 } else { max };
                    let sum: f32 = scores.iter().map(|&(_, s)| (s - max).exp()).sum();
                    let to = std::slice::from_raw_parts_mut(out.row(row), form.value_width);
                    let mut total = vec![0.0; form.value_width];
                    for &(key, score) in &scores {
                        let from = operands.value.row([batch, head / form.group(), key]);
                        let p = if sum == 0.0 { 0.0 } else { (score - max).exp() / sum };
                        let p = p * keep(form, operands, batch, head, row[2], key);
                        for (x, total) in total.iter_mut().enumerate() {
                            *total += p * (*from.add(x)).load();
                        }
                    }
                    T::store_all(&total, to);
                    let at = (batch * form.heads + head) * form.queries + row[2];
                    lse.part(at, 1)[0] = max + sum.ln();
                }
            }
        }
    });
}

/// What dropout multiplies a probability by.
pub(super) fn keep<T>(form: &Form<'_>, o: &Operands<T>, batch: usize, head: usize, query: usize, key: usize) -> f32 {
    let Some(dropout) = o.dropout else { return 1.0 };
    let at = ((batch * form.heads + head) * form.queries + query) * form.keys + key;
    kept(dropout.draw, dropout.rate, at)
}

/// The keys that a query sees, and their scores.
///
/// # Safety
/// As [`forward`].
pub(super) unsafe fn scores<T: Stored<Compute = f32>>(
    form: &Form<'_>,
    o: &Operands<T>,
    sequence: &Sequence,
    batch: usize,
    head: usize,
    query: usize,
) -> Vec<(usize, f32)> {
    let at = sequence.queries.start + query;
    let q = o.query.row([batch, head, at]);
    let mut scores = Vec::new();
    for j in sequence.keys_of(query) {
        let key = sequence.keys.start + j;
        let k = o.key.row([batch, head / form.group(), key]);
        // SAFETY: the caller's promise.
        let mut score: f32 =
            unsafe { (0..form.width).map(|x| (*q.add(x)).load() * form.scale * (*k.add(x)).load()).sum() };
        if let Some(slopes) = form.slopes {
            score -= slopes[head] * (sequence.place(query) - j as isize).unsigned_abs() as f32;
        }
        let index = [batch, head, at, key];
        match o.mask {
            // SAFETY: the caller's promise.
            Mask::Seen(first, strides) if unsafe { *first.wrapping_offset(offset(index, strides)) } == 0 => continue,
            // SAFETY: the caller's promise.
            Mask::Added(first, strides) => score += unsafe { *first.wrapping_offset(offset(index, strides)) },
            _ => {}
        }
        scores.push((key, score));
    }
    scores
}
