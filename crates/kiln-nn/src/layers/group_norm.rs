//! Normalization of groups of channels of each sample.

use super::scale_shift::{Axes, ScaleShift, norm_settings};
use crate::{Ctx, Describe, Init, Layer, Module};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};

/// (x − mean) / √(variance + ε) · weight + bias, with mean and variance of each sample's groups of channels of x (N, C, …)
/// (Wu and He 2018). It does not depend on the size of the batch.
///
/// PyTorch's, ε = 10⁻⁵ (Keras's is 10⁻³); weight and bias are (C,).
///
/// ```
/// use kiln_nn::{GroupNorm, Sequential};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new().push(GroupNorm::new(4)).build([16, 8, 8], &kiln_tensor::Device::cpu(), 1)?;
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings)]
pub struct GroupNorm {
    #[module(flatten)]
    #[serde(flatten)]
    factors: ScaleShift,
    groups: usize,
}

impl GroupNorm {
    /// Channels in so many groups, to be built for its input.
    pub fn new(groups: usize) -> Self {
        GroupNorm { factors: ScaleShift::new(1e-5, true), groups }
    }

    /// The same layer, built for inputs of so many channels.
    ///
    /// # Errors
    /// Channels that the groups do not divide, or out of memory.
    pub fn with_input(mut self, channels: usize, init: &mut Init) -> Result<Self> {
        self.build(&Shape::new(&[channels])?, init)?;
        Ok(self)
    }

    norm_settings!(epsilon of "variance", factors of "(C,)");
}

/// The number of channels of a sample.
fn channels(sample: &Shape) -> Result<usize> {
    match sample.first() {
        Some(&channels) if channels > 0 => Ok(channels),
        _ => Err(Error::shape("build", format!("samples (C, …) with channels are expected, got {sample}"))),
    }
}

impl Layer for GroupNorm {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        if let Some(recorder) = ctx.recorder() {
            let normalized = x.group_norm(self.groups, None, None, self.factors.epsilon)?;
            return self.factors.recorded("GroupNorm::with_input", &normalized, Axes::Channels, recorder, ctx);
        }
        let (weight, bias) = self.factors.vars("GroupNorm::with_input", ctx)?;
        x.group_norm(self.groups, weight.as_ref(), bias.as_ref(), self.factors.epsilon)
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let channels = channels(input)?;
        if self.groups == 0 || !channels.is_multiple_of(self.groups) {
            let message =
                format!("the {channels} channels of samples {input} are not divisible by {} groups", self.groups);
            return Err(Error::value("build", message));
        }
        self.factors.make(&[channels], true, input, init)?;
        Ok(*input)
    }
}

/// (x − mean) / √(variance + ε), with mean and variance of each channel of each sample of x (N, C, …) (Ulyanov, Vedaldi and
/// Lempitsky 2016): [`GroupNorm`] with each channel a group of its own.
///
/// PyTorch's `InstanceNorm2d` and kin: ε = 10⁻⁵, and by default no weight and bias.
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings)]
pub struct InstanceNorm {
    #[module(flatten)]
    #[serde(flatten)]
    factors: ScaleShift,
}

impl Default for InstanceNorm {
    fn default() -> Self {
        InstanceNorm::new()
    }
}

impl InstanceNorm {
    /// The layer, to be built for its input.
    pub fn new() -> Self {
        InstanceNorm { factors: ScaleShift::new(1e-5, false) }
    }

    /// The same layer, built for inputs of so many channels.
    ///
    /// # Errors
    /// No channels, or out of memory.
    pub fn with_input(mut self, channels: usize, init: &mut Init) -> Result<Self> {
        self.build(&Shape::new(&[channels])?, init)?;
        Ok(self)
    }

    norm_settings!(epsilon of "variance", factors of "(C,)");
}

impl Layer for InstanceNorm {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        if let Some(recorder) = ctx.recorder() {
            let normalized = x.instance_norm(None, None, self.factors.epsilon)?;
            return self.factors.recorded("InstanceNorm::with_input", &normalized, Axes::Channels, recorder, ctx);
        }
        let (weight, bias) = self.factors.vars("InstanceNorm::with_input", ctx)?;
        x.instance_norm(weight.as_ref(), bias.as_ref(), self.factors.epsilon)
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let channels = channels(input)?;
        self.factors.make(&[channels], true, input, init)?;
        Ok(*input)
    }
}
