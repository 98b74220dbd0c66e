//! How attention is computed of its inputs and of what it carries.

use super::MultiHeadAttention;
use super::cache::Past;
use super::inputs::{AttentionInputs, check_key_mask, joined};
use crate::Ctx;
use kiln_autograd::Var;
use kiln_math::Purpose;
use kiln_tensor::{Error, Result, Tensor};

impl MultiHeadAttention {
    /// The output (N, T, width) of queries made of `query` (N, T, width), keys of `key` (N, S, …) and values of `value` (N, S, …), with
    /// masks.
    ///
    /// ```
    /// # use kiln_autograd::Var;
    /// # use kiln_nn::{AttentionInputs, Ctx, Init, MultiHeadAttention};
    /// # use kiln_tensor::{DType, Device, Tensor};
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// # let cpu = Device::cpu();
    /// let attention = MultiHeadAttention::new(2).with_input(8, &mut Init::new(1, &cpu))?;
    /// let x = Var::constant(Tensor::ones([1, 3, 8], DType::F32, &cpu)?);
    /// let seen = Tensor::from_slice(&[true, false, false, true, true, false, true, true, true], [3, 3], &cpu)?;
    /// let y = attention.attend(&x, &x, &x, &AttentionInputs::new().mask(&Var::constant(seen)), &Ctx::eval())?;
    /// assert_eq!(y.dims(), [1, 3, 8]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A layer that is not built; inputs or masks that do not fit; in a pass that carries, causal attention with a memory.
    pub fn attend(&self, query: &Var, key: &Var, value: &Var, inputs: &AttentionInputs<'_>, ctx: &Ctx) -> Result<Var> {
        if let Some(mask) = inputs.key_mask {
            check_key_mask(mask, key)?;
        }
        let (heads, carries) = (self.projections.heads()?, ctx.carries(self.settings.stateful));
        let own = std::ptr::eq(query, key) && std::ptr::eq(key, value);
        let y = if own {
            let [q, k, v] = self.projections.of_one(query, ctx)?;
            let (q, k) = (split(&q, heads.heads)?, split(&k, heads.key_heads)?);
            let v = split(&v, heads.key_heads)?.transpose(1, 2)?;
            match self.settings.causal && carries {
                true => self.go_on(&q, &k, &v, inputs, ctx)?,
                false => self.seen(&self.turned(&q, 0)?, &self.turned(&k, 0)?, &v, inputs, ctx)?,
            }
        } else if self.settings.causal && carries {
            let message = "causal attention carries the keys and values of one input: give that input once, not as queries and as a memory";
            return Err(Error::value("attention", message));
        } else {
            // Causal attention aligns queries with the last keys.
            let first = if self.settings.causal { key.dims()[1].saturating_sub(query.dims()[1]) } else { 0 };
            let q = self.turned(&split(&self.projections.queries(query, ctx)?, heads.heads)?, first)?;
            // What is kept has no gradient.
            let kept = self.memory_stays && carries && !ctx.records() && !key.requires_grad();
            let [k, v] = match kept {
                true => self.cache.of_memory(key, || self.of_memory(key, value, ctx))?,
                false => self.of_memory(key, value, ctx)?,
            };
            self.seen(&q, &k, &v, inputs, ctx)?
        };
        self.output(&y, ctx)
    }

    /// Keys and values (N, key heads, S, width) of other inputs than the queries'.
    fn of_memory(&self, key: &Var, value: &Var, ctx: &Ctx) -> Result<[Var; 2]> {
        let heads = self.projections.heads()?.key_heads;
        let k = self.turned(&split(&self.projections.keys(key, ctx)?, heads)?, 0)?;
        Ok([k, split(&self.projections.values(value, ctx)?, heads)?.transpose(1, 2)?])
    }

    /// The output of the heads (N, heads, T, value width), joined and projected.
    fn output(&self, y: &Var, ctx: &Ctx) -> Result<Var> {
        let &[batch, heads, steps, width] = y.dims() else { return Ok(y.clone()) };
        self.projections.out(y.transpose(1, 2)?.reshape([batch, steps, heads * width])?, ctx)
    }

    /// Queries or keys (N, T, heads, width), turned by their positions from `first` on, as (N, heads, T, width).
    fn turned(&self, x: &Var, first: usize) -> Result<Var> {
        match &self.settings.rotary {
            Some(rotary) => rotary.rotate(x, first)?.transpose(1, 2),
            None => x.transpose(1, 2),
        }
    }

    /// What the queries see of these keys and values: (N, heads, T, value width).
    fn seen(&self, q: &Var, k: &Var, v: &Var, inputs: &AttentionInputs<'_>, ctx: &Ctx) -> Result<Var> {
        let mut options = self.settings.options();
        if self.settings.dropout > 0.0 && ctx.is_training() {
            options = options.dropout(self.settings.dropout, &ctx.stream_tensor(Purpose::Dropout, q.device())?);
        }
        q.attention(k, v, joined(inputs.mask, inputs.key_mask)?.as_ref(), &options)
    }

    /// The same, with keys and values of past steps too; those of these steps are added to them.
    fn go_on(&self, q: &Var, k: &Var, v: &Var, inputs: &AttentionInputs<'_>, ctx: &Ctx) -> Result<Var> {
        let like = k.tensor().transpose(1, 2)?;
        let mut past = match self.cache.take(&like)? {
            Some(past) => past,
            None => Past::new(&like, v.tensor())?,
        };
        let (q, k) = (self.turned(q, past.steps())?, self.turned(k, past.steps())?);
        let seen = past.add(k.tensor(), v.tensor(), inputs.key_mask, self.settings.window)?;
        let inputs = AttentionInputs { key_mask: seen.mask.as_ref(), ..*inputs };
        let y = self.seen(&q, &with_gradient(seen.keys, &k)?, &with_gradient(seen.values, v)?, &inputs, ctx)?;
        self.cache.put(past)?;
        Ok(y)
    }
}

/// (N, T, heads · width) as (N, T, heads, width).
fn split(x: &Var, heads: usize) -> Result<Var> {
    let &[batch, steps, width] = x.dims() else { return Ok(x.clone()) };
    x.reshape([batch, steps, heads, width / heads])
}

/// All of the keys or values (N, heads, S, width), of which the last are `new`: those have their gradient, where they want one.
fn with_gradient(all: Tensor, new: &Var) -> Result<Var> {
    if !new.requires_grad() {
        return Ok(Var::constant(all));
    }
    let past = Var::constant(all.slice(2, 0..all.dims()[2] - new.dims()[2])?);
    Var::concat(&[&past, new], 2)
}
