use super::{Schedule, some_steps};
use kiln_tensor::Result;

/// Up to 1 in equal parts: (t + 1)/n at step t < n, then 1. (So the first step is one already, and the last of the n is whole.)
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LinearWarmup {
    steps: u64,
}

impl LinearWarmup {
    /// A warm-up of n steps.
    pub fn new(steps: u64) -> Self {
        LinearWarmup { steps }
    }
}

impl Schedule for LinearWarmup {
    fn at(&self, step: u64) -> f64 {
        if step >= self.steps { 1.0 } else { (step + 1) as f64 / self.steps as f64 }
    }
    fn check(&self) -> Result<()> {
        some_steps("LinearWarmup", self.steps)
    }
    fn name(&self) -> String {
        "LinearWarmup".into()
    }
}
