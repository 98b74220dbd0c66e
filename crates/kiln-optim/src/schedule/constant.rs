use super::{Schedule, factor};
use kiln_tensor::Result;

/// The same factor at every step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Constant {
    factor: f64,
}

impl Constant {
    /// This factor.
    pub fn new(factor: f64) -> Self {
        Constant { factor }
    }
}

impl Schedule for Constant {
    fn at(&self, _: u64) -> f64 {
        self.factor
    }
    fn check(&self) -> Result<()> {
        factor("Constant", "factor", self.factor)
    }
    fn name(&self) -> String {
        "Constant".into()
    }
}
