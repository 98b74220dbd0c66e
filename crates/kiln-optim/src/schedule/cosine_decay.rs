use super::{Schedule, factor, some_steps};
use kiln_tensor::Result;

/// Half a cosine (Loshchilov and Hutter 2017): f + (1 − f)·(1 + cos(π·t/n))/2 at step t < n, then the floor f. PyTorch's
/// `CosineAnnealingLR`, whose `eta_min` is f times the learning rate; Keras's `CosineDecay`, whose `alpha` is f.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CosineDecay {
    steps: u64,
    floor: f64,
}

impl CosineDecay {
    /// A decay over n steps to a floor of 0.
    pub fn new(steps: u64) -> Self {
        CosineDecay { steps, floor: 0.0 }
    }

    /// f, what the factor ends at.
    #[must_use]
    pub fn floor(mut self, floor: f64) -> Self {
        self.floor = floor;
        self
    }
}

impl Schedule for CosineDecay {
    fn at(&self, step: u64) -> f64 {
        if step >= self.steps {
            return self.floor;
        }
        // The same bits on every machine: the standard library's cosine is the machine's.
        let angle = std::f64::consts::PI * step as f64 / self.steps as f64;
        self.floor + (1.0 - self.floor) * (1.0 + kiln_math::Real::cos(angle)) / 2.0
    }
    fn check(&self) -> Result<()> {
        some_steps("CosineDecay", self.steps)?;
        factor("CosineDecay", "floor", self.floor)
    }
    fn name(&self) -> String {
        "CosineDecay".into()
    }
}
