//! Losses of numbers against numbers.

use super::{Loss, pair};
use kiln_autograd::Var;
use kiln_tensor::Result;

/// (p − t)² of each number, of which the mean is taken; targets of the predictions' shape, or (n,) with (n, 1).
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanSquaredError;

/// |p − t| of each number, of which the mean is taken; targets of the predictions' shape, or (n,) with (n, 1).
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanAbsoluteError;

/// 100·|p − t| / |t| of each number, with |t| kept from 0 by 1e-7 as in Keras; targets of the predictions' shape, or (n,) with (n, 1).
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanAbsolutePercentageError;

/// (ln(1 + p) − ln(1 + t))² of each number, with both kept from below 0 as in Keras; targets of the predictions' shape, or (n,) with
/// (n, 1).
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanSquaredLogarithmicError;

impl MeanAbsolutePercentageError {
    /// The loss.
    pub const fn new() -> Self {
        MeanAbsolutePercentageError
    }
}

impl MeanSquaredLogarithmicError {
    /// The loss.
    pub const fn new() -> Self {
        MeanSquaredLogarithmicError
    }
}

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
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        let (p, t) = pair(self.name(), prediction, target)?;
        p.sub(&t)?.square()
    }
    fn name(&self) -> &'static str {
        "mean_squared_error"
    }
}

impl Loss for MeanAbsoluteError {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        let (p, t) = pair(self.name(), prediction, target)?;
        p.sub(&t)?.abs()
    }
    fn name(&self) -> &'static str {
        "mean_absolute_error"
    }
}

impl Loss for MeanAbsolutePercentageError {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        let (p, t) = pair(self.name(), prediction, target)?;
        let size = t.abs()?.clamp(1e-7, f64::INFINITY)?;
        p.sub(&t)?.abs()?.div(&size)?.mul_scalar(100.0)
    }
    fn name(&self) -> &'static str {
        "mean_absolute_percentage_error"
    }
}

impl Loss for MeanSquaredLogarithmicError {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        let (p, t) = pair(self.name(), prediction, target)?;
        let log = |x: &Var| x.clamp(0.0, f64::INFINITY)?.ln_1p();
        log(&p)?.sub(&log(&t)?)?.square()
    }
    fn name(&self) -> &'static str {
        "mean_squared_logarithmic_error"
    }
}
