//! Scaled dot-product attention.

use crate::{Backward, Function, Inputs, Var};
use kiln_tensor::{Attended, AttentionGradients, AttentionOptions, Result, Tensor, composed};

/// y = softmax(s) · v of the scores s = scale · q·kᵀ + bias. With the probabilities p and dp = dy·vᵀ: dv = pᵀ·dy,
/// ds = p · (dp − Σ dy·y), dq = scale · ds·k, dk = scale · dsᵀ·q, and ds is a mask's gradient. A kernel computes p again, from the
/// saved sums; the mask's gradient, and gradients of gradients, go through the composed form.
struct Attention {
    /// The operands as they were given, and what was left in the type that is computed in.
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Option<Tensor>,
    options: AttentionOptions,
    after: Attended,
}

/// The mask's position among the inputs.
const MASK: usize = 3;

/// In the type that is computed in.
fn wide(x: &Tensor) -> Result<Tensor> {
    x.to_dtype(x.dtype().computed_in())
}

impl Attention {
    /// What a kernel gives, if there is one.
    fn gradients(&self, dy: &Tensor) -> Result<Option<AttentionGradients>> {
        let [query, key, value, dy] = [&self.query, &self.key, &self.value, dy].map(wide);
        let mask = self.mask.as_ref().map(wide).transpose()?;
        self.after.grad([&query?, &key?, &value?], mask.as_ref(), &self.options, &dy?)
    }

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
        if !pass.records()
            && !pass.needs(MASK)
            && let Some(gradients) = self.gradients(dy.tensor())?
        {
            let mut rounded = |position: usize, gradient: Tensor| {
                pass.accumulate(position, Var::constant(gradient.to_dtype(self.query.dtype())?))
            };
            rounded(0, gradients.query)?;
            rounded(1, gradients.key)?;
            return rounded(2, gradients.value);
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
        let inputs: Vec<&Var> = [Some(self), Some(key), Some(value), mask].into_iter().flatten().collect();
        // The gradient goes through the output, which must not be rounded for that.
        let recorded = inputs.iter().any(|input| input.requires_grad());
        // Operands of several dtypes are refused as they are.
        let fits = inputs.iter().all(|input| input.dtype() == self.dtype() || !input.dtype().is_float());
        let operand = |x: &Var| if recorded && fits { wide(x.tensor()) } else { Ok(x.tensor().clone()) };
        let mask_tensor = mask.map(operand).transpose()?;
        let after = operand(self)?.attend(&operand(key)?, &operand(value)?, mask_tensor.as_ref(), options)?;
        let y = after.out.to_dtype(self.dtype())?;
        Ok(Var::record(&inputs, y, |_| Attention {
            query: self.tensor().clone(),
            key: key.tensor().clone(),
            value: value.tensor().clone(),
            mask: mask.map(|mask| mask.tensor().clone()),
            options: options.clone(),
            after,
        }))
    }
}
