use super::{Schedule, factor, some_steps};
use kiln_tensor::Result;

/// γ to the power of t/n: γ after n steps, and in between as much for each step. Keras's `ExponentialDecay`; with n = 1 PyTorch's
/// `ExponentialLR`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ExponentialDecay {
    steps: u64,
    factor: f64,
}

impl ExponentialDecay {
    /// The factor γ over n steps.
    pub fn new(steps: u64, factor: f64) -> Self {
        ExponentialDecay { steps, factor }
    }
}

impl Schedule for ExponentialDecay {
    fn at(&self, step: u64) -> f64 {
        // The same bits on every machine.
        kiln_math::Real::powf(self.factor, step as f64 / self.steps as f64)
    }
    fn check(&self) -> Result<()> {
        some_steps("ExponentialDecay", self.steps)?;
        factor("ExponentialDecay", "factor", self.factor)
    }
    fn name(&self) -> String {
        "ExponentialDecay".into()
    }
}
