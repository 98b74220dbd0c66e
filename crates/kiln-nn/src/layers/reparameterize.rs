//! The latent values of a variational autoencoder.

use super::setters::setters;
use crate::{Ctx, Describe, Init, Layer, MaskRule, Module};
use kiln_autograd::Var;
use kiln_math::Purpose;
use kiln_tensor::{Arithmetic, Error, Result, Shape, Tensor};
use serde::{Deserialize, Serialize};

/// z = μ + exp(½ ln σ²) · ε, where x (N, 2K) is μ and then ln σ², and ε is drawn from the standard normal distribution (Kingma and
/// Welling 2013): the layer between the encoder and the decoder of a variational autoencoder. In evaluation z = μ.
///
/// The divergence from the standard normal distribution, ½ Σ (μ² + σ² − 1 − ln σ²), its mean over the samples times
/// [`weight`](Reparameterize::weight), is added to the loss (Keras's `add_loss`), in training and in evaluation.
///
/// What is drawn is fixed by the run's seed, the step and the layer's place in the model.
#[derive(Module, Describe, Clone, Copy, Debug, Serialize, Deserialize)]
#[describe(settings)]
pub struct Reparameterize {
    weight: f64,
}

impl Default for Reparameterize {
    fn default() -> Self {
        Reparameterize::new()
    }
}

impl Reparameterize {
    /// The layer, whose divergence counts once.
    pub fn new() -> Self {
        Reparameterize { weight: 1.0 }
    }

    setters! {
        /// What the divergence is multiplied by in the loss. By default 1. Beside a reconstruction loss that is a mean over n
        /// elements, 1/n gives the evidence lower bound, divided by n.
        fn weight(self, weight: f64) { self.weight = weight }
    }

    fn check(&self) -> Result<()> {
        if (0.0..f64::INFINITY).contains(&self.weight) {
            return Ok(());
        }
        Err(Error::value("reparameterize", format!("a weight of 0 or more and finite is expected, got {}", self.weight)))
    }
}

/// K, of samples (2K,).
fn latent(sample: &[usize]) -> Result<usize> {
    match sample {
        [both] if *both > 0 && both.is_multiple_of(2) => Ok(both / 2),
        _ => Err(Error::shape(
            "reparameterize",
            format!("samples (2K,), means and logarithms of variances, are expected, got {}", Shape::new(sample)?),
        )),
    }
}

/// Σ (μ² + σ² − 1 − ln σ²).
fn divergence(x: &Var, size: usize) -> Result<Var> {
    let (mean, log_variance) = (x.slice(1, 0..size)?, x.slice(1, size..2 * size)?);
    mean.square()?.add(&log_variance.exp()?)?.sub(&log_variance)?.add_scalar(-1.0)?.sum_all()
}

impl Layer for Reparameterize {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        self.check()?;
        let size = latent(x.dims().get(1..).unwrap_or(&[]))?;
        let (mean, log_variance) = (x.slice(1, 0..size)?, x.slice(1, size..2 * size)?);
        // In f32 of half types, which variances and sums easily leave.
        let factor = 0.5 * self.weight / x.dims()[0].max(1) as f64;
        ctx.add_loss(x.in_wide(|x| divergence(x, size)?.mul_scalar(factor))?);
        if !ctx.is_training() {
            return Ok(mean);
        }
        let noise = Tensor::normal(mean.shape(), 0.0, 1.0, x.dtype(), x.device(), ctx.stream(Purpose::Dropout))?;
        log_variance.mul_scalar(0.5)?.exp()?.mul(&Var::constant(noise))?.add(&mean)
    }

    fn mask(&self) -> MaskRule {
        MaskRule::Drop
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        self.check()?;
        Shape::new(&[latent(input)?])
    }
}
