use super::{Schedule, factor, some_steps};
use kiln_tensor::Result;

/// γ after every n steps once more: γ to the power of ⌊t/n⌋. PyTorch's `StepLR`; Keras's `ExponentialDecay` with `staircase`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct StepDecay {
    every: u64,
    factor: f64,
}

impl StepDecay {
    /// The factor γ after `every` n steps.
    pub fn new(every: u64, factor: f64) -> Self {
        StepDecay { every, factor }
    }
}

impl Schedule for StepDecay {
    fn at(&self, step: u64) -> f64 {
        // The same bits on every machine.
        kiln_math::Real::powf(self.factor, (step / self.every.max(1)) as f64)
    }
    fn check(&self) -> Result<()> {
        some_steps("StepDecay", self.every)?;
        factor("StepDecay", "factor", self.factor)
    }
    fn name(&self) -> String {
        "StepDecay".into()
    }
}
