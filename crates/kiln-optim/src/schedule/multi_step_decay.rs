use super::{Schedule, factor};
use kiln_tensor::Result;

/// γ once more from each of some steps on: γ to the power of the number of milestones ≤ t. PyTorch's `MultiStepLR`.
#[derive(Clone, PartialEq, Debug)]
pub struct MultiStepDecay {
    milestones: Vec<u64>,
    factor: f64,
}

impl MultiStepDecay {
    /// The factor γ from each of these steps on, in any order.
    pub fn new(milestones: impl Into<Vec<u64>>, factor: f64) -> Self {
        MultiStepDecay { milestones: milestones.into(), factor }
    }
}

impl Schedule for MultiStepDecay {
    fn at(&self, step: u64) -> f64 {
        let passed = self.milestones.iter().filter(|milestone| **milestone <= step).count();
        kiln_math::Real::powf(self.factor, passed as f64)
    }
    fn check(&self) -> Result<()> {
        factor("MultiStepDecay", "factor", self.factor)
    }
    fn name(&self) -> String {
        "MultiStepDecay".into()
    }
}
