//! Layer and RMS normalization, and both after a residual sum.

use crate::{Backward, Function, Inputs, Var};
use kiln_math::BinaryOp;
use kiln_tensor::{Arithmetic, Result, RowNorm, Tensor, composed};

/// y = x̂ · w + b with x normalized by rows. [`kiln_tensor::RowNormGradCall`] has the gradients; a kernel also adds what is already known
/// of x's gradient, such as that of a residual sum.
struct NormalizeRows {
    form: RowNorm,
    x: Tensor,
    moments: Tensor,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
}

impl Function for NormalizeRows {
    fn name(&self) -> &'static str {
        "row_norm"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        if !pass.records() {
            let (weight, direct) = (self.weight.as_ref(), pass.take(0));
            let known = direct.as_ref().map(Var::tensor);
            if let Some(all) = self.x.row_norm_grad(&self.form, &self.moments, weight, dy.tensor(), known)? {
                if let Some(weight) = weight {
                    pass.accumulate(1, Var::constant(all.weight.to_dtype(weight.dtype())?))?;
                }
                if let Some(bias) = &self.bias {
                    pass.accumulate(self.bias_at(), Var::constant(all.bias.to_dtype(bias.dtype())?))?;
                }
                return pass.accumulate(0, Var::constant(all.dx));
            }
            direct.map_or(Ok(()), |direct| pass.accumulate(0, direct))?;
        }
        pass.differentiate(&dy, |inputs| self.composed(inputs))
    }
}

impl NormalizeRows {
    /// The bias's position among the inputs.
    fn bias_at(&self) -> usize {
        1 + usize::from(self.weight.is_some())
    }

    fn composed(&self, inputs: &mut Inputs<'_>) -> Result<Var> {
        let x = inputs.take(0, &self.x)?;
        let mut factor = |position: usize, saved: &Option<Tensor>| {
            saved.as_ref().map(|saved| inputs.take(position, saved)).transpose()
        };
        let (weight, bias) = (factor(1, &self.weight)?, factor(self.bias_at(), &self.bias)?);
        composed_rows(&self.form, &x, weight.as_ref(), bias.as_ref())
    }
}

/// The composed form, of half types in f32.
fn composed_rows(form: &RowNorm, x: &Var, weight: Option<&Var>, bias: Option<&Var>) -> Result<Var> {
    let wide = |factor: Option<&Var>| factor.map(Var::widened).transpose();
    let (weight, bias) = (wide(weight)?, wide(bias)?);
    x.in_wide(|x| composed::row_norm(form, x, weight.as_ref(), bias.as_ref()))
}

impl Var {
    /// [`Tensor::row_norm`], recorded: the sum with the residual, and the sum normalized.
    fn row_norm(
        &self,
        form: RowNorm,
        residual: Option<&Var>,
        weight: Option<&Var>,
        bias: Option<&Var>,
    ) -> Result<(Var, Var)> {
        let [with, by, plus] = [residual, weight, bias].map(|operand| operand.map(Var::tensor));
        let Some(after) = self.tensor().row_norm(&form, with, by, plus)? else {
            let sum = residual.map_or(Ok(self.clone()), |residual| self.add(residual))?;
            let y = composed_rows(&form, &sum, weight, bias)?;
            return Ok((sum, y));
        };
        let sum = match residual {
            Some(residual) => self.recorded(BinaryOp::Add, residual, after.sum),
            None => self.clone(),
        };
        let inputs: Vec<&Var> = [Some(&sum), weight, bias].into_iter().flatten().collect();
        let y = Var::record(&inputs, after.y, |_| NormalizeRows {
            form,
            x: sum.tensor().clone(),
            moments: after.moments,
            weight: by.cloned(),
            bias: plus.cloned(),
        });
        Ok((sum, y))
    }

    /// (x − mean) / sqrt(variance + ε) · weight + bias with the moments of the last `axes` axes of each sample; weight and
    /// bias have these axes' shape. Source: Ba, Kiros and Hinton, Layer Normalization, 2016.
    ///
    /// # Errors
    /// More axes than there are, none, or a weight or bias of another shape.
    pub fn layer_norm(&self, axes: usize, weight: Option<&Var>, bias: Option<&Var>, epsilon: f64) -> Result<Var> {
        Ok(self.row_norm(RowNorm { axes, centered: true, epsilon }, None, weight, bias)?.1)
    }

    /// x / sqrt(mean of x² + ε) · weight over the last `axes` axes of each sample. Source: Zhang and Sennrich, Root Mean
    /// Square Layer Normalization, 2019.
    ///
    /// # Errors
    /// As [`Var::layer_norm`].
    pub fn rms_norm(&self, axes: usize, weight: Option<&Var>, epsilon: f64) -> Result<Var> {
        Ok(self.row_norm(RowNorm { axes, centered: false, epsilon }, None, weight, None)?.1)
    }

    /// The sum x + residual, and [`Var::layer_norm`] of the sum: what a transformer's blocks compute again and again, in one pass over
    /// memory forward and one backward. Values have the bits of the two operations one after the other. Where a device has no kernel
    /// for it, as a GPU, it is the two operations.
    ///
    /// ```
    /// use kiln_autograd::Var;
    /// use kiln_tensor::{Device, Tensor};
    /// # fn main() -> kiln_tensor::Result<()> {
    /// let x = Var::variable(Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2], &Device::cpu())?);
    /// let (sum, normalized) = x.add_layer_norm(&x, 1, None, None, 1e-5)?;
    /// assert_eq!(sum.tensor().to_vec::<f32>()?, [2.0, 4.0, 6.0, 8.0]);
    /// let apart = x.add(&x)?.layer_norm(1, None, None, 1e-5)?;
    /// assert_eq!(normalized.tensor().to_vec::<f32>()?, apart.tensor().to_vec::<f32>()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Var::layer_norm`], and a residual of another shape than x's.
    pub fn add_layer_norm(
        &self,
        residual: &Var,
        axes: usize,
        weight: Option<&Var>,
        bias: Option<&Var>,
        epsilon: f64,
    ) -> Result<(Var, Var)> {
        self.row_norm(RowNorm { axes, centered: true, epsilon }, Some(residual), weight, bias)
    }

    /// The sum x + residual, and [`Var::rms_norm`] of the sum, as [`Var::add_layer_norm`].
    ///
    /// # Errors
    /// As [`Var::add_layer_norm`].
    pub fn add_rms_norm(&self, residual: &Var, axes: usize, weight: Option<&Var>, epsilon: f64) -> Result<(Var, Var)> {
        self.row_norm(RowNorm { axes, centered: false, epsilon }, Some(residual), weight, None)
    }
}
