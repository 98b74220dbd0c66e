use super::{Schedule, some_steps};
use kiln_tensor::Result;

/// Up to 1 along half a cosine: (1 − cos(π·(t + 1)/n))/2 at step t < n, then 1. As [`LinearWarmup`](super::LinearWarmup), with a slow
/// beginning and end.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CosineWarmup {
    steps: u64,
}

impl CosineWarmup {
    /// A warm-up of n steps.
    pub fn new(steps: u64) -> Self {
        CosineWarmup { steps }
    }
}

impl Schedule for CosineWarmup {
    fn at(&self, step: u64) -> f64 {
        if step.saturating_add(1) >= self.steps {
            return 1.0;
        }
        // The same bits on every machine.
        let angle = std::f64::consts::PI * (step + 1) as f64 / self.steps as f64;
        (1.0 - kiln_math::Real::cos(angle)) / 2.0
    }
    fn check(&self) -> Result<()> {
        some_steps("CosineWarmup", self.steps)
    }
    fn name(&self) -> String {
        "CosineWarmup".into()
    }
}
