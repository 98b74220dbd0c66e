//! How attention is computed of its inputs and of what it carries.

use super::MultiHeadAttention;
use super::aligned::Aligned;
use super::inputs::{AttentionInputs, check_key_mask, joined, of_four_axes};
use super::positions::{Counts, Positions, carries_documents};
use crate::Ctx;
use kiln_autograd::Var;
use kiln_math::Purpose;
use kiln_tensor::{Error, Result};

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
    /// A layer that is not built; inputs or masks that do not fit; in a pass that carries, causal attention with a memory, or packed
    /// documents.
    pub fn attend(&self, query: &Var, key: &Var, value: &Var, inputs: &AttentionInputs<'_>, ctx: &Ctx) -> Result<Var> {
        if let Some(mask) = inputs.key_mask {
            check_key_mask(mask, key)?;
        }
        self.projections.check([query, key, value])?;
        let (heads, carries) = (self.projections.heads()?, ctx.carries(self.settings.stateful));
        let mask = inputs.mask.map(|mask| of_four_axes(mask, query.dims()[0], heads.heads)).transpose()?;
        let inputs = &AttentionInputs { mask: mask.as_ref(), ..*inputs };
        let own = std::ptr::eq(query, key) && std::ptr::eq(key, value);
        match inputs.documents {
            Some(_) if carries => Err(carries_documents("attention")),
            Some(documents) => self.of_documents([query, key, value], own, documents, inputs, ctx),
            None if own => self.of_itself(query, inputs, self.settings.causal && carries, ctx),
            None => self.of_another([query, key, value], inputs, carries, ctx),
        }
    }

    /// Self-attention of x (N, T, width).
    fn of_itself(&self, x: &Var, inputs: &AttentionInputs<'_>, carries: bool, ctx: &Ctx) -> Result<Var> {
        // In a pass that carries, a mask that hides nothing need not be kept.
        let key_mask = match inputs.key_mask {
            Some(mask) if carries && mask.all([0, 1])?.item()? != 0.0 => None,
            mask => mask,
        };
        let moves = self.settings.goes_by_places() && key_mask.is_some() && (carries || inputs.mask.is_none());
        if moves && inputs.mask.is_some() {
            let message = "in a pass that carries, `window` and `alibi` move the steps that count together, where a mask of queries and keys \
                           does not fit them: give the mask of the keys alone";
            return Err(Error::value("attention", message));
        }
        let aligned = key_mask.filter(|_| moves).map(Aligned::new).transpose()?;
        let moved = aligned.as_ref().map(|aligned| aligned.of(x)).transpose()?;
        let key_mask = aligned.as_ref().map(|aligned| &aligned.mask).or(key_mask);
        let (heads, x) = (self.projections.heads()?, moved.as_ref().unwrap_or(x));
        let [q, k, v] = self.projections.of_one(x, ctx)?;
        let (q, k) = (split(&q, heads.heads)?, split(&k, heads.key_heads)?);
        let v = split(&v, heads.key_heads)?.transpose(1, 2)?;
        let inputs = AttentionInputs { key_mask, ..*inputs };
        let y = if carries {
            self.go_on([&q, &k, &v], &inputs, ctx)?
        } else {
            let counted = key_mask.filter(|_| self.settings.rotary.is_some());
            let positions = Counts::default().positions([q.dims()[0], q.dims()[1]], counted, q.device())?;
            let (q, k) = (self.turned(&q, &positions)?, self.turned(&k, &positions)?);
            self.seen(&q, &k, &v, &Placed { inputs: &inputs, packed: None }, ctx)?
        };
        let y = self.output(&y, x, ctx)?;
        aligned.map_or(Ok(y.clone()), |aligned| aligned.undone(&y))
    }

    /// Attention to other inputs than the queries'.
    fn of_another(&self, qkv: [&Var; 3], inputs: &AttentionInputs<'_>, carries: bool, ctx: &Ctx) -> Result<Var> {
        let [query, key, value] = qkv;
        if self.settings.causal && carries {
            let message = "causal attention carries the keys and values of one input: give that input once, not as queries and as a memory";
            return Err(Error::value("attention", message));
        }
        let q = split(&self.projections.queries(query, ctx)?, self.projections.heads()?.heads)?;
        // Causal attention aligns queries with the last keys.
        let first = if self.settings.causal { key.dims()[1].saturating_sub(query.dims()[1]) } else { 0 };
        let q = self.turned(&q, &Positions::Range(first..first + q.dims()[1]))?;
        // What is kept has no gradient.
        let kept = self.memory_stays && carries && !ctx.records() && !key.requires_grad();
        let [k, v] = match kept {
            true => self.cache.of_memory(key, ctx, || self.of_memory(key, value, ctx))?,
            false => self.of_memory(key, value, ctx)?,
        };
        let y = self.seen(&q, &k, &v, &Placed { inputs, packed: None }, ctx)?;
        self.output(&y, query, ctx)
    }

    /// Keys and values (N, key heads, S, width) of other inputs than the queries'.
    fn of_memory(&self, key: &Var, value: &Var, ctx: &Ctx) -> Result<[Var; 2]> {
        let heads = self.projections.heads()?.key_heads;
        let k = split(&self.projections.keys(key, ctx)?, heads)?;
        let k = self.turned(&k, &Positions::Range(0..k.dims()[1]))?;
        Ok([k, split(&self.projections.values(value, ctx)?, heads)?.transpose(1, 2)?])
    }

    /// The output of the heads, (N, heads, T, value width) or that of all rows one after the other, joined for x (N, T, width) and
    /// projected.
    pub(super) fn output(&self, y: &Var, x: &Var, ctx: &Ctx) -> Result<Var> {
        let (&[_, heads, _, width], &[batch, steps, _]) = (y.dims(), x.dims()) else { return Ok(y.clone()) };
        self.projections.out(y.transpose(1, 2)?.reshape([batch, steps, heads * width])?, ctx)
    }

    /// Queries or keys (N, T, heads, width), turned by these positions, as (N, heads, T, width).
    pub(super) fn turned(&self, x: &Var, positions: &Positions) -> Result<Var> {
        match &self.settings.rotary {
            Some(rotary) => rotary.rotate_at(x, positions)?.transpose(1, 2),
            None => x.transpose(1, 2),
        }
    }

    /// What the queries see of these keys and values: (N, heads, T, value width).
    pub(super) fn seen(&self, q: &Var, k: &Var, v: &Var, placed: &Placed<'_>, ctx: &Ctx) -> Result<Var> {
        let Placed { inputs, packed } = placed;
        let mut options = self.settings.options();
        if self.settings.dropout > 0.0 && ctx.is_training() {
            options = options.dropout(self.settings.dropout, &ctx.stream_tensor(Purpose::Dropout, q.device())?);
        }
        if let Some([queries, keys]) = packed {
            options = options.packed(queries, keys);
        }
        q.attention(k, v, joined(inputs.mask, inputs.key_mask)?.as_ref(), &options)
    }
}

/// What the queries can see.
pub(super) struct Placed<'a> {
    pub(super) inputs: &'a AttentionInputs<'a>,
    /// Where the documents of queries and keys begin, where they are packed.
    pub(super) packed: Option<[&'a [usize]; 2]>,
}

/// (N, T, heads · width) as (N, T, heads, width).
pub(super) fn split(x: &Var, heads: usize) -> Result<Var> {
    let &[batch, steps, width] = x.dims() else { return Ok(x.clone()) };
    x.reshape([batch, steps, heads, width / heads])
}
