use super::{Schedule, some_steps};
use kiln_tensor::Result;

/// Up to 1 in n equal parts, then down with the root of the steps (Vaswani et al. 2017): min(s/n, √(n/s)) at step s = t + 1. (The paper
/// has d^−0.5 · min(s^−0.5, s·n^−1.5), which is this times (d·n)^−0.5.)
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct InverseSqrt {
    warmup: u64,
}

impl InverseSqrt {
    /// With a warm-up of n steps.
    pub fn new(warmup: u64) -> Self {
        InverseSqrt { warmup }
    }
}

impl Schedule for InverseSqrt {
    fn at(&self, step: u64) -> f64 {
        let (step, warmup) = (step as f64 + 1.0, self.warmup as f64);
        (step / warmup).min((warmup / step).sqrt())
    }
    fn check(&self) -> Result<()> {
        some_steps("InverseSqrt", self.warmup)
    }
    fn name(&self) -> String {
        "InverseSqrt".into()
    }
}
