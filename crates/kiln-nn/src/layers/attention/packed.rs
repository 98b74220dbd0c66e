//! Attention that keeps to documents, of rows that hold several documents each.

use super::MultiHeadAttention;
use super::attend::{Placed, split};
use super::inputs::AttentionInputs;
use super::positions::Positions;
use crate::Ctx;
use crate::value::Documents;
use kiln_autograd::Var;
use kiln_tensor::{Error, Result};

impl MultiHeadAttention {
    /// The output (N, T, width), where a query sees the keys of its own document: all rows are computed as one sequence with offsets.
    pub(super) fn of_documents(
        &self,
        [query, key, value]: [&Var; 3],
        own: bool,
        [queries, keys]: [&Documents; 2],
        inputs: &AttentionInputs<'_>,
        ctx: &Ctx,
    ) -> Result<Var> {
        if inputs.mask.is_some() {
            let message = "packed documents say which keys a query sees: give no mask of queries and keys with them";
            return Err(Error::value("attention", message));
        }
        expect_of(queries, query)?;
        expect_of(keys, key)?;
        if self.settings.causal && queries.offsets() != keys.offsets() {
            let message = "causal attention to a memory of packed documents needs documents of the same lengths in both";
            return Err(Error::value("attention", message));
        }
        let heads = self.projections.heads()?;
        let [q, k, v] = match own {
            true => self.projections.of_one(query, ctx)?,
            false => {
                let (q, k) = (self.projections.queries(query, ctx)?, self.projections.keys(key, ctx)?);
                [q, k, self.projections.values(value, ctx)?]
            }
        };
        let q = self.turned(&as_one_row(&q, heads.heads)?, &positions(queries)?)?;
        let k = self.turned(&as_one_row(&k, heads.key_heads)?, &positions(keys)?)?;
        let v = as_one_row(&v, heads.key_heads)?.transpose(1, 2)?;
        let key_mask = inputs.key_mask.map(|mask| mask.reshape([1, mask.elements()])).transpose()?;
        let inputs = AttentionInputs { key_mask: key_mask.as_ref(), ..*inputs };
        let packed = Some([queries.offsets(), keys.offsets()]);
        let y = self.seen(&q, &k, &v, &Placed { inputs: &inputs, packed }, ctx)?;
        self.output(&y, query, ctx)
    }
}

/// (N, T, heads · width) as (1, N · T, heads, width).
fn as_one_row(x: &Var, heads: usize) -> Result<Var> {
    let x = split(x, heads)?;
    let &[batch, steps, heads, width] = x.dims() else { return Ok(x) };
    x.reshape([1, batch * steps, heads, width])
}

/// The positions of all rows one after the other.
fn positions(documents: &Documents) -> Result<Positions> {
    let positions = documents.positions();
    Ok(Positions::Each(positions.reshape([1, positions.elements()])?, documents.longest()))
}

/// Fails of documents in rows of other sizes than x (N, T, …).
fn expect_of(documents: &Documents, x: &Var) -> Result<()> {
    let rows = documents.positions().shape();
    if x.dims().get(..2) == Some(rows.dims()) {
        return Ok(());
    }
    let message = format!("documents are packed in rows of {rows}, (batch, steps), and the values are {}", x.shape());
    Err(Error::shape("attention", message))
}
