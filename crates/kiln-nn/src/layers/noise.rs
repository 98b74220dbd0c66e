//! Noise in training.

use crate::{Ctx, Describe, Init, Layer, Module};
use kiln_autograd::Var;
use kiln_math::Purpose;
use kiln_tensor::{DType, Error, Result, Shape, Tensor};
use serde::{Deserialize, Serialize};

/// Normal numbers of the shape and type of x, by the place of the layer in the model.
fn normal(x: &Var, mean: f64, std: f64, ctx: &Ctx) -> Result<Var> {
    let stream = ctx.stream(Purpose::Dropout);
    Tensor::normal(x.shape(), mean, std, x.dtype(), x.device(), stream).map(Var::constant)
}

/// A rate of 0 to below 1.
fn below_one(operation: &'static str, rate: f64) -> Result<f64> {
    if (0.0..1.0).contains(&rate) {
        return Ok(rate);
    }
    Err(Error::value(operation, format!("a rate from 0 to below 1 is expected, got {rate}")))
}

/// In training, normal noise of mean 0 and this standard deviation is added to x (Keras's `GaussianNoise`). Otherwise x itself.
///
/// The noise is fixed by the run's seed, the step and the layer's place in the model.
#[derive(Module, Describe, Clone, Copy, Debug, Serialize, Deserialize)]
#[describe(settings)]
pub struct GaussianNoise {
    std: f64,
}

impl GaussianNoise {
    /// The layer; a standard deviation below 0 is reported when it is built or run.
    pub fn new(std: f64) -> Self {
        GaussianNoise { std }
    }

    fn checked(self) -> Result<f64> {
        if self.std >= 0.0 && self.std.is_finite() {
            return Ok(self.std);
        }
        let message = format!("a standard deviation of 0 or more is expected, got {}", self.std);
        Err(Error::value("gaussian_noise", message))
    }
}

impl Layer for GaussianNoise {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let std = self.checked()?;
        if std == 0.0 || !ctx.is_training() {
            return Ok(x);
        }
        x.add(&normal(&x, 0.0, std, ctx)?)
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        self.checked()?;
        Ok(*input)
    }
}

/// In training, each element is multiplied by a normal number of mean 1 and standard deviation √(rate / (1 − rate)): noise of the
/// strength of a [`Dropout`](crate::Dropout) of this rate (Srivastava et al. 2014; Keras's `GaussianDropout`). Otherwise x itself.
///
/// The noise is fixed by the run's seed, the step and the layer's place in the model.
#[derive(Module, Describe, Clone, Copy, Debug, Serialize, Deserialize)]
#[describe(settings)]
pub struct GaussianDropout {
    rate: f64,
}

impl GaussianDropout {
    /// The layer; a rate below 0, or of 1 or more, is reported when it is built or run.
    pub fn new(rate: f64) -> Self {
        GaussianDropout { rate }
    }
}

impl Layer for GaussianDropout {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let rate = below_one("gaussian_dropout", self.rate)?;
        if rate == 0.0 || !ctx.is_training() {
            return Ok(x);
        }
        x.mul(&normal(&x, 1.0, (rate / (1.0 - rate)).sqrt(), ctx)?)
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        below_one("gaussian_dropout", self.rate)?;
        Ok(*input)
    }
}

/// Dropout for SELU networks (Klambauer et al. 2017): in training, each element becomes α′ = −1.7581 with probability `rate`, and
/// then all are scaled and shifted, a·x + b, so that mean 0 and variance 1 stay what they are. Otherwise x itself.
///
/// a = ((1 − rate)·(1 + rate·α′²))^−½, b = −a·α′·rate. PyTorch's and Keras's `AlphaDropout`. What is dropped is fixed by the run's
/// seed, the step and the layer's place in the model.
#[derive(Module, Describe, Clone, Copy, Debug, Serialize, Deserialize)]
#[describe(settings)]
pub struct AlphaDropout {
    rate: f64,
}

/// What SELU approaches at −∞: −scale·α.
const SELU_FLOOR: f64 = -1.758_099_340_847_376_6;

impl AlphaDropout {
    /// The layer; a rate below 0, or of 1 or more, is reported when it is built or run.
    pub fn new(rate: f64) -> Self {
        AlphaDropout { rate }
    }
}

impl Layer for AlphaDropout {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let rate = below_one("alpha_dropout", self.rate)?;
        if rate == 0.0 || !ctx.is_training() {
            return Ok(x);
        }
        let (device, dtype) = (x.device(), x.dtype());
        let draw = Tensor::uniform(x.shape(), 0.0, 1.0, DType::F32, device, ctx.stream(Purpose::Dropout))?;
        let keep = draw.ge(&Tensor::full((), rate, DType::F32, device)?)?;
        let scale = ((1.0 - rate) * (1.0 + rate * SELU_FLOOR * SELU_FLOOR)).powf(-0.5);
        let shift = -scale * SELU_FLOOR * rate;
        let dropped = Var::constant(Tensor::full((), scale * SELU_FLOOR + shift, dtype, device)?);
        Var::select(&keep, &x.affine(scale, shift)?, &dropped)
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        below_one("alpha_dropout", self.rate)?;
        Ok(*input)
    }
}
