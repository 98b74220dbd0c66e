//! Losses of numbers against numbers.

use super::{Loss, mean_per_sample, same_shape};
use kiln_autograd::Var;
use kiln_tensor::{Result, Tensor};

/// (p − t)², the mean over all outputs; targets of the predictions' shape.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanSquaredError;

/// |p − t|, the mean over all outputs; targets of the predictions' shape.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanAbsoluteError;

impl MeanSquaredError {
    /// The loss.
    pub const fn new() -> Self {
        MeanSquaredError
    }

    fn elements(self, prediction: &Var, target: &Tensor) -> Result<Var> {
        prediction.sub(&same_shape("mean_squared_error", prediction, target)?)?.square()
    }
}

impl MeanAbsoluteError {
    /// The loss.
    pub const fn new() -> Self {
        MeanAbsoluteError
    }

    fn elements(self, prediction: &Var, target: &Tensor) -> Result<Var> {
        prediction.sub(&same_shape("mean_absolute_error", prediction, target)?)?.abs()
    }
}

impl Loss for MeanSquaredError {
    fn per_sample(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        mean_per_sample(&self.elements(prediction, target)?)
    }
    fn forward(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        self.elements(prediction, target)?.mean_all()
    }
    fn name(&self) -> &'static str {
        "mean_squared_error"
    }
}

impl Loss for MeanAbsoluteError {
    fn per_sample(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        mean_per_sample(&self.elements(prediction, target)?)
    }
    fn forward(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        self.elements(prediction, target)?.mean_all()
    }
    fn name(&self) -> &'static str {
        "mean_absolute_error"
    }
}
