//! Losses that are quadratic near 0 and linear far off.

use super::{Loss, pair};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result};

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
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        if !(self.delta > 0.0 && self.delta.is_finite()) {
            return Err(Error::value(self.name(), format!("a δ above 0 and finite is expected, got {}", self.delta)));
        }
        let (p, t) = pair(self.name(), prediction, target)?;
        let distance = p.sub(&t)?.abs()?;
        // ½ near² + δ·far, with near = min(|d|, δ): the same on both sides.
        let near = distance.clamp(0.0, self.delta)?;
        near.square()?.mul_scalar(0.5)?.add(&distance.sub(&near)?.mul_scalar(self.delta)?)
    }
    fn name(&self) -> &'static str {
        "huber"
    }
}

/// ½ d²/β where |d| < β, and |d| − ½ β beyond, of each d = p − t: [`Huber`] over β (Girshick 2015; PyTorch's `SmoothL1Loss`). Targets
/// of the predictions' shape, or (n,) with (n, 1).
#[derive(Clone, Copy, Debug)]
pub struct SmoothL1 {
    beta: f64,
}

impl Default for SmoothL1 {
    fn default() -> Self {
        SmoothL1::new()
    }
}

impl SmoothL1 {
    /// The loss with β = 1, as in PyTorch.
    pub const fn new() -> Self {
        SmoothL1 { beta: 1.0 }
    }

    /// β, above 0; another one is reported when the loss is computed. For β = 0 use [`MeanAbsoluteError`](super::all::MeanAbsoluteError).
    #[must_use]
    pub const fn beta(self, beta: f64) -> Self {
        SmoothL1 { beta }
    }
}

impl Loss for SmoothL1 {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        if !(self.beta > 0.0 && self.beta.is_finite()) {
            return Err(Error::value(self.name(), format!("a β above 0 and finite is expected, got {}", self.beta)));
        }
        let (p, t) = pair(self.name(), prediction, target)?;
        let distance = p.sub(&t)?.abs()?;
        let near = distance.clamp(0.0, self.beta)?;
        near.square()?.mul_scalar(0.5 / self.beta)?.add(&distance.sub(&near)?)
    }
    fn name(&self) -> &'static str {
        "smooth_l1"
    }
}

/// ln cosh(p − t) of each number: about ½ d² near 0 and |d| − ln 2 far off (Keras's `LogCosh`). Targets of the predictions' shape, or
/// (n,) with (n, 1).
#[derive(Clone, Copy, Debug, Default)]
pub struct LogCosh;

impl LogCosh {
    /// The loss.
    pub const fn new() -> Self {
        LogCosh
    }
}

impl Loss for LogCosh {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        let (p, t) = pair(self.name(), prediction, target)?;
        // cosh itself overflows.
        let d = p.sub(&t)?;
        d.add(&d.mul_scalar(-2.0)?.softplus()?)?.add_scalar(-std::f64::consts::LN_2)
    }
    fn name(&self) -> &'static str {
        "log_cosh"
    }
}
