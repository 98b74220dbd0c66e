//! Huber's loss.

use super::{Loss, pair};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Tensor};

/// ½ d² where |d| ≤ δ, and δ·(|d| − ½ δ) beyond, of each d = p − t; targets of the predictions' shape, or (n,) with (n, 1). Numbers
/// that are far off pull no harder than those at δ (Huber 1964; Keras's `Huber`, PyTorch's `HuberLoss`).
///
/// ```
/// use kiln_nn::{Huber, Loss};
/// use kiln_tensor::{Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let cpu = Device::cpu();
/// let (p, t) = (Tensor::from_slice(&[0.5f32, 4.0], [2], &cpu)?, Tensor::from_slice(&[0.0f32, 0.0], [2], &cpu)?);
/// assert_eq!(Huber::new().forward(&p.into(), &t)?.item()?, (0.125 + 3.5) / 2.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Huber {
    delta: f64,
}

impl Default for Huber {
    fn default() -> Self {
        Huber::new()
    }
}

impl Huber {
    /// The loss with δ = 1, as in Keras and PyTorch.
    pub const fn new() -> Self {
        Huber { delta: 1.0 }
    }

    /// δ, above 0; another one is reported when the loss is computed.
    #[must_use]
    pub const fn delta(self, delta: f64) -> Self {
        Huber { delta }
    }
}

impl Loss for Huber {
    fn each(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        if !(self.delta > 0.0 && self.delta.is_finite()) {
            return Err(Error::value(self.name(), format!("a δ above 0 and finite is expected, got {}", self.delta)));
        }
        let (p, t) = pair(self.name(), prediction, target)?;
        let distance = p.sub(&Var::constant(t))?.abs()?;
        // ½ near² + δ·far, with near = min(|d|, δ): the same on both sides.
        let near = distance.clamp(0.0, self.delta)?;
        near.square()?.mul_scalar(0.5)?.add(&distance.sub(&near)?.mul_scalar(self.delta)?)
    }
    fn name(&self) -> &'static str {
        "huber"
    }
}
