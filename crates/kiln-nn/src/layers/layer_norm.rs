//! Normalization of each sample's last axes.

use super::scale_shift::{Axes, ScaleShift, norm_settings};
use super::setters::setters;
use crate::{Ctx, Describe, Init, Layer, Module};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};

/// (x − mean) / √(variance + ε) · weight + bias, with mean and variance of each sample's last axes (Ba, Kiros and Hinton
/// 2016).
///
/// By default of the last axis alone, as in Keras, with PyTorch's ε = 10⁻⁵ (Keras's is 10⁻³). Weight and bias have the shape
/// of these axes.
///
/// ```
/// use kiln_nn::{LayerNorm, Module, Sequential};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new().push(LayerNorm::new()).build([16, 64], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.parameter_count(), 64 + 64);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings, elementwise)]
pub struct LayerNorm {
    #[module(flatten)]
    #[serde(flatten)]
    factors: ScaleShift,
    axes: usize,
}

impl Default for LayerNorm {
    fn default() -> Self {
        LayerNorm::new()
    }
}

impl LayerNorm {
    /// Of the last axis, to be built for its input.
    pub fn new() -> Self {
        LayerNorm { factors: ScaleShift::new(1e-5, true), axes: 1 }
    }

    /// The same layer, built for inputs whose last axes have these sizes.
    ///
    /// # Errors
    /// No axes, or out of memory.
    pub fn with_input(mut self, last: &[usize], init: &mut Init) -> Result<Self> {
        self.axes = last.len();
        self.build(&Shape::new(last)?, init)?;
        Ok(self)
    }

    setters! {
        /// How many of the last axes are normalized together.
        fn axes(self, axes: usize) { self.axes = axes }
    }

    /// The sum of x and what is added to it, and the output for the sum: one pass over memory.
    pub(crate) fn of_sum(&self, x: &Var, added: &Var, ctx: &Ctx) -> Result<(Var, Var)> {
        let (weight, bias) = self.factors.vars("LayerNorm::with_input", ctx)?;
        x.add_layer_norm(added, self.axes, weight.as_ref(), bias.as_ref(), self.factors.epsilon)
    }

    norm_settings!(epsilon of "variance", factors of "(the last axes)");
}

/// The last axes of a sample.
fn last<'s>(operation: &'static str, sample: &'s Shape, axes: usize) -> Result<&'s [usize]> {
    match sample.rank().checked_sub(axes) {
        Some(first) if axes > 0 => Ok(&sample.dims()[first..]),
        _ => {
            let message =
                format!("{axes} axes of samples {sample} are to be normalized: at least 1, and no more than there are");
            Err(Error::shape(operation, message))
        }
    }
}

impl Layer for LayerNorm {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        if let Some(recorder) = ctx.recorder() {
            let normalized = x.layer_norm(self.axes, None, None, self.factors.epsilon)?;
            return self.factors.recorded("LayerNorm::with_input", &normalized, Axes::Last(self.axes), recorder, ctx);
        }
        let (weight, bias) = self.factors.vars("LayerNorm::with_input", ctx)?;
        x.layer_norm(self.axes, weight.as_ref(), bias.as_ref(), self.factors.epsilon)
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let last = last("build", input, self.axes)?;
        self.factors.make(last, true, input, init)?;
        Ok(*input)
    }
}

/// x / √(mean of x² + ε) · weight over each sample's last axes (Zhang and Sennrich 2019): [`LayerNorm`] without the mean and
/// the bias.
///
/// By default of the last axis alone, with Keras's ε = 10⁻⁶. (PyTorch's default is the dtype's own ε, 1.2·10⁻⁷ for f32.)
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings, elementwise)]
pub struct RmsNorm {
    #[module(flatten)]
    #[serde(flatten)]
    factors: ScaleShift,
    axes: usize,
}

impl Default for RmsNorm {
    fn default() -> Self {
        RmsNorm::new()
    }
}

impl RmsNorm {
    /// Of the last axis, to be built for its input.
    pub fn new() -> Self {
        RmsNorm { factors: ScaleShift::new(1e-6, true), axes: 1 }
    }

    /// The same layer, built for inputs whose last axes have these sizes.
    ///
    /// # Errors
    /// No axes, or out of memory.
    pub fn with_input(mut self, last: &[usize], init: &mut Init) -> Result<Self> {
        self.axes = last.len();
        self.build(&Shape::new(last)?, init)?;
        Ok(self)
    }

    setters! {
        /// How many of the last axes are normalized together.
        fn axes(self, axes: usize) { self.axes = axes }
    }

    /// The sum of x and what is added to it, and the output for the sum: one pass over memory.
    pub(crate) fn of_sum(&self, x: &Var, added: &Var, ctx: &Ctx) -> Result<(Var, Var)> {
        let (weight, _) = self.factors.vars("RmsNorm::with_input", ctx)?;
        x.add_rms_norm(added, self.axes, weight.as_ref(), self.factors.epsilon)
    }

    norm_settings!(epsilon of "mean of the squares", weight of "(the last axes)");
}

impl Layer for RmsNorm {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        if let Some(recorder) = ctx.recorder() {
            let normalized = x.rms_norm(self.axes, None, self.factors.epsilon)?;
            return self.factors.recorded("RmsNorm::with_input", &normalized, Axes::Last(self.axes), recorder, ctx);
        }
        let (weight, _) = self.factors.vars("RmsNorm::with_input", ctx)?;
        x.rms_norm(self.axes, weight.as_ref(), self.factors.epsilon)
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let last = last("build", input, self.axes)?;
        self.factors.make(last, false, input, init)?;
        Ok(*input)
    }
}
