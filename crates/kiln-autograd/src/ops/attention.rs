//! Scaled dot-product attention.

use crate::{Backward, Function, Inputs, Var};
use kiln_tensor::{Attended, AttentionOptions, Result, Tensor, composed};

/// y = softmax(s) · v of the scores s = scale · q·kᵀ + bias. With the probabilities p and dp = dy·vᵀ: dv = pᵀ·dy,
/// ds = p · (dp − Σ dy·y), dq = scale · ds·k, dk = scale · dsᵀ·q, and ds is a mask's gradient. A kernel computes p again, from the
/// saved sums; the mask's gradient, and gradients of gradients, go through the composed form.
struct Attention {
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Option<Tensor>,
    options: AttentionOptions,
    after: Attended,
}

/// The mask's position among the inputs.
const MASK: usize = 3;

impl Attention {
    fn composed(&self, inputs: &mut Inputs<'_>) -> Result<Var> {
        let (query, key, value) =
            (inputs.take(0, &self.query)?, inputs.take(1, &self.key)?, inputs.take(2, &self.value)?);
        let mask = self.mask.as_ref().map(|mask| inputs.take(MASK, mask)).transpose()?;
        composed::attention(&query, &key, &value, mask.as_ref(), &self.options)
    }
}

impl Function for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let operands = [&self.query, &self.key, &self.value];
        if !pass.records()
            && !pass.needs(MASK)
            && let Some(gradients) = self.after.grad(operands, self.mask.as_ref(), &self.options, dy.tensor())?
        {
            pass.accumulate(0, Var::constant(gradients.query))?;
            pass.accumulate(1, Var::constant(gradients.key))?;
            return pass.accumulate(2, Var::constant(gradients.value));
        }
        pass.differentiate(&dy, |inputs| self.composed(inputs))
    }
}

impl Var {
    /// Scaled dot-product attention: softmax(scale · q·kᵀ + bias) · v, of this as the query.
    ///
    /// query (batch, heads, queries, width), key (batch, key heads, keys, width), value (batch, key heads, keys, value width) give
    /// (batch, heads, queries, value width); [`Tensor::attention`] says the rest. The mask gets a gradient where it is added and wants
    /// one; that takes memory for all scores, as gradients of gradients do.
    ///
    /// ```
    /// use kiln_autograd::Var;
    /// use kiln_tensor::{AttentionOptions, DType, Device, Tensor};
    /// # fn main() -> kiln_tensor::Result<()> {
    /// let x = Var::variable(Tensor::ones([2, 4, 10, 8], DType::F32, &Device::cpu())?);
    /// let y = x.attention(&x, &x, None, &AttentionOptions::new().causal(true))?;
    /// assert_eq!(y.sum_all()?.backward()?.of(&x).unwrap().dims(), [2, 4, 10, 8]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::attention`].
    pub fn attention(&self, key: &Var, value: &Var, mask: Option<&Var>, options: &AttentionOptions) -> Result<Var> {
        let after = self.tensor().attend(key.tensor(), value.tensor(), mask.map(Var::tensor), options)?;
        let inputs: Vec<&Var> = [Some(self), Some(key), Some(value), mask].into_iter().flatten().collect();
        Ok(Var::record(&inputs, after.out.clone(), |_| Attention {
            query: self.tensor().clone(),
            key: key.tensor().clone(),
            value: value.tensor().clone(),
            mask: mask.map(|mask| mask.tensor().clone()),
            options: options.clone(),
            after,
        }))
    }
}
