//! Losses of numbers against numbers.

use super::{Loss, pair};
use kiln_autograd::Var;
use kiln_tensor::{Result, Tensor};

/// (p − t)² of each number, of which the mean is taken; targets of the predictions' shape, or (n,) with (n, 1).
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanSquaredError;

/// |p − t| of each number, of which the mean is taken; targets of the predictions' shape, or (n,) with (n, 1).
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanAbsoluteError;

impl MeanSquaredError {
    /// The loss.
    pub const fn new() -> Self {
        MeanSquaredError
    }
}

impl MeanAbsoluteError {
    /// The loss.
    pub const fn new() -> Self {
        MeanAbsoluteError
    }
}

impl Loss for MeanSquaredError {
    fn each(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        let (p, t) = pair(self.name(), prediction, target)?;
        p.sub(&Var::constant(t))?.square()
    }
    fn name(&self) -> &'static str {
        "mean_squared_error"
    }
}

impl Loss for MeanAbsoluteError {
    fn each(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        let (p, t) = pair(self.name(), prediction, target)?;
        p.sub(&Var::constant(t))?.abs()
    }
    fn name(&self) -> &'static str {
        "mean_absolute_error"
    }
}
