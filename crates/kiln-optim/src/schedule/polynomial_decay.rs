use super::{Schedule, factor, some_steps};
use kiln_tensor::Result;

/// f + (1 − f)·(1 − t/n)^p at step t < n, then the floor f; a straight line where p is 1, the default. PyTorch's `PolynomialLR` (whose f
/// is 0), Keras's `PolynomialDecay`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PolynomialDecay {
    steps: u64,
    power: f64,
    floor: f64,
}

impl PolynomialDecay {
    /// A decay over n steps to a floor of 0.
    pub fn new(steps: u64) -> Self {
        PolynomialDecay { steps, power: 1.0, floor: 0.0 }
    }

    /// p
    #[must_use]
    pub fn power(mut self, power: f64) -> Self {
        self.power = power;
        self
    }

    /// f, what the factor ends at.
    #[must_use]
    pub fn floor(mut self, floor: f64) -> Self {
        self.floor = floor;
        self
    }
}

impl Schedule for PolynomialDecay {
    fn at(&self, step: u64) -> f64 {
        if step >= self.steps {
            return self.floor;
        }
        // The same bits on every machine.
        let left = kiln_math::Real::powf(1.0 - step as f64 / self.steps as f64, self.power);
        self.floor + (1.0 - self.floor) * left
    }
    fn check(&self) -> Result<()> {
        some_steps("PolynomialDecay", self.steps)?;
        factor("PolynomialDecay", "power", self.power)?;
        factor("PolynomialDecay", "floor", self.floor)
    }
    fn name(&self) -> String {
        "PolynomialDecay".into()
    }
}
