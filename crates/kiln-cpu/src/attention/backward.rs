//! The backward pass.

use super::forward::{keep, scores};
use super::sequence::Sequence;
use super::{Form, Operand, OperandMut, Operands};
use crate::operand::Stored;
use crate::{Isa, check, team};

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
    let _ = isa;
    team::parallel(form.batch * form.key_heads, |task| {
        // SAFETY: the caller's promise; the gradients of a key head and its query heads are this task's alone.
        unsafe { key_head(form, operands, saved, gradients, task / form.key_heads, task % form.key_heads) };
    });
}

/// One key head.
///
/// # Safety
/// As [`backward`].
unsafe fn key_head<T: Stored<Compute = f32>>(
    form: &Form<'_>,
    o: &Operands<T>,
    saved: &Saved<'_, T>,
    gradients: &Gradients<T>,
    batch: usize,
    key_head: usize,
) {
    // SAFETY: within a row, by the caller's promise.
    let load = |row: *const T, x: usize| unsafe { (*row.add(x)).load() };
    let (mut dk, mut dv) = (vec![0.0; form.keys * form.width], vec![0.0; form.keys * form.value_width]);
    for head in key_head * form.group()..(key_head + 1) * form.group() {
        for s in 0..Sequence::count(form) {
            let sequence = Sequence::new(form, s);
            for query in 0..sequence.queries.len() {
                let row = [batch, head, sequence.queries.start + query];
                let (q, out, dout) = (o.query.row(row), saved.out.row(row), saved.out_grad.row(row));
                let delta: f32 = (0..form.value_width).map(|x| load(out, x) * load(dout, x)).sum();
                let lse = saved.lse[(batch * form.heads + head) * form.queries + row[2]];
                let mut dq = vec![0.0; form.width];
                // SAFETY: the caller's promise.
                for (key, score) in unsafe { scores(form, o, &sequence, batch, head, query) } {
                    if lse == f32::NEG_INFINITY {
                        continue;
                    }
                    let (k, v) = (o.key.row([batch, key_head, key]), o.value.row([batch, key_head, key]));
                    let (p, keep) = ((score - lse).exp(), keep(form, o, batch, head, row[2], key));
                    let dp: f32 = (0..form.value_width).map(|x| load(dout, x) * load(v, x)).sum();
                    let ds = p * (dp * keep - delta) * form.scale;
                    for x in 0..form.value_width {
                        dv[key * form.value_width + x] += p * keep * load(dout, x);
                    }
                    for x in 0..form.width {
                        dq[x] += ds * load(k, x);
                        dk[key * form.width + x] += ds * load(q, x);
                    }
                }
                // SAFETY: the caller's promise.
                T::store_all(&dq, unsafe { std::slice::from_raw_parts_mut(gradients.query.row(row), form.width) });
            }
        }
    }
    for key in 0..form.keys {
        let row = [batch, key_head, key];
        // SAFETY: the caller's promise.
        let (to_key, to_value) = unsafe {
            (
                std::slice::from_raw_parts_mut(gradients.key.row(row), form.width),
                std::slice::from_raw_parts_mut(gradients.value.row(row), form.value_width),
            )
        };
        T::store_all(&dk[key * form.width..][..form.width], to_key);
        T::store_all(&dv[key * form.value_width..][..form.value_width], to_value);
    }
}
