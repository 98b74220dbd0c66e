//! Batch normalization.

use super::scale_shift::{Axes, ScaleShift, already_built, norm_settings};
use super::setters::setters;
use super::spatial::by_axes;
use super::weights::unbuilt;
use crate::per_sample::Recorder;
use crate::{Activation, Buffer, Ctx, Describe, Init, Layer, Module, Param};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape, Tensor};
use serde::{Deserialize, Serialize};

/// activation((x − mean) / √(variance + ε) · weight + bias), by channel of x (N, C, D…) (Ioffe and Szegedy 2015). In training
/// mean and variance are those of the batch; in evaluation, running averages of them. [`BatchNorm1d`], [`BatchNorm2d`] and
/// [`BatchNorm3d`] are its names.
///
/// By default PyTorch's: ε = 10⁻⁵, and after each training step running = 0.9 · running + 0.1 · batch, with the unbiased
/// variance, of n elements the biased one times n/(n − 1). [`keras`](BatchNorm::keras) takes Keras's: ε = 10⁻³, 0.99 and
/// 0.01, and the biased variance.
///
/// Paths are PyTorch's: `weight`, `bias`, `running_mean`, `running_var`. Its `num_batches_tracked` is passed over where one
/// of its files is loaded, and PyTorch does without it where it loads one of ours.
///
/// A normalization followed by a ReLU is best written as one layer, which is one pass over memory:
///
/// ```
/// use kiln_nn::{Activation, BatchNorm2d, Conv2d, Sequential};
/// let block = Sequential::new()
///     .push(Conv2d::new(64, 3).use_bias(false))
///     .push(BatchNorm2d::new().activation(Activation::Relu));
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings, spatial)]
pub struct BatchNorm<const N: usize> {
    #[module(flatten)]
    #[serde(flatten)]
    factors: ScaleShift,
    #[serde(skip)]
    running_mean: Option<Buffer>,
    #[serde(skip)]
    running_var: Option<Buffer>,
    momentum: f64,
    unbiased: bool,
    #[serde(default)]
    frozen: bool,
    activation: Activation,
}

/// By channel of (N, C) or sequences (N, C, L).
pub type BatchNorm1d = BatchNorm<1>;
/// By channel of images (N, C, H, W).
pub type BatchNorm2d = BatchNorm<2>;
/// By channel of volumes (N, C, D, H, W).
pub type BatchNorm3d = BatchNorm<3>;

impl<const N: usize> Default for BatchNorm<N> {
    fn default() -> Self {
        BatchNorm::new()
    }
}

impl<const N: usize> BatchNorm<N> {
    /// PyTorch's layer, to be built for its input.
    pub fn new() -> Self {
        BatchNorm {
            factors: ScaleShift::new(1e-5, true),
            running_mean: None,
            running_var: None,
            momentum: 0.1,
            unbiased: true,
            frozen: false,
            activation: Activation::Linear,
        }
    }

    /// The same layer, built for inputs of so many channels.
    ///
    /// # Errors
    /// No channels, or out of memory.
    pub fn with_input(mut self, channels: usize, init: &mut Init) -> Result<Self> {
        self.make(&Shape::new(&[channels])?, init)?;
        Ok(self)
    }

    /// Keras's constants: ε = 10⁻³, momentum 0.99 (here 0.01), running averages of the biased variance.
    #[must_use]
    pub fn keras(mut self) -> Self {
        (self.factors.epsilon, self.momentum, self.unbiased) = (1e-3, 0.01, false);
        self
    }

    norm_settings!(epsilon of "variance", factors of "(C,)");

    setters! {
        /// The weight of the batch in the running averages, from 0 to 1, as PyTorch counts it: what Keras calls momentum is 1
        /// less this.
        fn momentum(self, momentum: f64) { self.momentum = momentum }

        /// Whether the running averages serve in training too, and stay as they are: to train the rest of a network further.
        /// So it is also where the weight is frozen ([`Module::set_trainable`]), as in Keras.
        fn frozen(self, frozen: bool) { self.frozen = frozen }

        /// Applied to the output.
        fn activation(self, activation: Activation) { self.activation = activation }
    }

    /// Running mean and variance (C,), once built.
    pub fn running(&self) -> Option<(&Buffer, &Buffer)> {
        self.running_mean.as_ref().zip(self.running_var.as_ref())
    }

    fn make(&mut self, input: &Shape, init: &mut Init) -> Result<()> {
        let channels = input[0];
        if channels == 0 {
            return Err(Error::value("build", "no channels: there must be 1 or more"));
        }
        let (epsilon, momentum) = (self.factors.epsilon, self.momentum);
        if !(epsilon >= 0.0 && epsilon.is_finite() && (0.0..=1.0).contains(&momentum)) {
            let message =
                format!("an epsilon of at least 0 and a momentum from 0 to 1 are expected, got {epsilon} and {momentum}");
            return Err(Error::value("build", message));
        }
        if let Some(mean) = &self.running_mean {
            let has = mean.value().shape();
            return if has.dims() == [channels] { Ok(()) } else { Err(already_built(has, input)) };
        }
        self.factors.make(&[channels], true, input, init)?;
        self.running_mean = Some(init.buffer(&[channels], 0.0)?);
        self.running_var = Some(init.buffer(&[channels], 1.0)?);
        Ok(())
    }

    /// Whether the batch's own moments count.
    fn learns(&self, ctx: &Ctx) -> bool {
        ctx.is_training()
            && !self.frozen
            && self.weight().is_none_or(Param::trainable)
            && self.running_mean.as_ref().is_none_or(Buffer::trainable)
    }

    /// For a recorder of what the weight meets: with running averages, as the batch's own moments mix its samples.
    fn forward_recorded(
        &self,
        with: &str,
        x: &Var,
        running: (&Buffer, &Buffer),
        recorder: &Recorder,
        ctx: &Ctx,
    ) -> Result<Var> {
        if self.learns(ctx) {
            let message = "in training, batch normalization mixes the samples of a batch, so that none has a gradient of its own; take \
                           `Ctx::eval()`, `frozen(true)`, or a GroupNorm";
            return Err(Error::value("per_sample_norms", message));
        }
        let normalized =
            x.batch_norm_with(&running_moments(running, ctx)?, None, None, self.factors.epsilon, None)?;
        let y = self.factors.recorded(with, &normalized, Axes::Channels, recorder, ctx)?;
        self.activation.apply(&y)
    }

    /// Hands in the moments of a batch x, for the running averages.
    fn track(&self, x: &Var, moments: &Tensor, running: (&Buffer, &Buffer), ctx: &Ctx) -> Result<()> {
        let n = (x.shape().elements() / x.dims()[1]) as f64;
        let correction = if self.unbiased { n / (n - 1.0) } else { 1.0 };
        for (row, buffer, factor) in [(0, running.0, 1.0), (1, running.1, correction)] {
            ctx.average(buffer, moments.index(0, row)?, 1.0 - self.momentum, self.momentum * factor);
        }
        Ok(())
    }
}

/// The running averages (2, C) as this pass sees them.
fn running_moments(running: (&Buffer, &Buffer), ctx: &Ctx) -> Result<Tensor> {
    Tensor::stack(&[&ctx.value_of(running.0)?, &ctx.value_of(running.1)?], 0)
}

/// Fails where samples have other axes than the layer's.
fn expect<const N: usize>(operation: &'static str, sample: &[usize], channels: Option<usize>) -> Result<()> {
    let fits = sample.len() == N + 1 || N == 1 && sample.len() == 1;
    if fits && channels.is_none_or(|channels| sample[0] == channels) {
        return Ok(());
    }
    let got = Shape::new(sample)?;
    let axes = by_axes::<N>(["(C,) or (C, L)", "(C, H, W)", "(C, D, H, W)"]);
    let message = match channels {
        Some(channels) if fits => format!(
            "samples of {channels} channels are expected, got {got}; build the model for the shape of its data, or change \
             the layer before"
        ),
        _ => format!("samples {axes} are expected, got {got}; use the BatchNorm of another number of axes"),
    };
    Err(Error::shape(operation, message))
}

impl<const N: usize> Layer for BatchNorm<N> {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let with = by_axes::<N>(["BatchNorm1d::with_input", "BatchNorm2d::with_input", "BatchNorm3d::with_input"]);
        let Some(running) = self.running() else { return Err(unbuilt(with)) };
        let sample = x.dims().get(1..).unwrap_or(&[]);
        expect::<N>("batch_norm", sample, Some(running.0.value().elements()))?;
        if let Some(recorder) = ctx.recorder() {
            return self.forward_recorded(with, &x, running, recorder, ctx);
        }
        let (weight, bias) = self.factors.vars(with, ctx)?;
        let (weight, bias, epsilon) = (weight.as_ref(), bias.as_ref(), self.factors.epsilon);
        let activation = self.activation.fused();
        let y = if self.learns(ctx) {
            if self.unbiased && x.shape().elements() == x.dims()[1] {
                let message = format!(
                    "more than one element of each channel is needed in training, got {}; use another batch size, leave out \
                     a last batch of 1 sample with `drop_last`, or take `BatchNorm::keras`",
                    x.shape()
                );
                return Err(Error::shape("batch_norm", message));
            }
            let (y, moments) = x.batch_norm(weight, bias, epsilon, activation)?;
            self.track(&x, &moments, running, ctx)?;
            y
        } else {
            let moments = running_moments(running, ctx)?;
            x.batch_norm_with(&moments, weight, bias, epsilon, activation)?
        };
        self.activation.rest(y)
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        expect::<N>("build", input, None)?;
        self.make(input, init)?;
        Ok(*input)
    }
}
