use super::{CosineDecay, Schedule, factor, some_steps};
use kiln_tensor::{Error, Result};

/// Half a cosine ([`CosineDecay`]) that begins anew whenever it has ended, each time over `growth` times as many steps (SGDR, Loshchilov
/// and Hutter 2017). PyTorch's `CosineAnnealingWarmRestarts`, whose `T_0` is n and whose `T_mult` is the growth.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CosineRestarts {
    steps: u64,
    growth: u64,
    floor: f64,
}

impl CosineRestarts {
    /// Decays over n steps each, to a floor of 0.
    pub fn new(steps: u64) -> Self {
        CosineRestarts { steps, growth: 1, floor: 0.0 }
    }

    /// How many times as long each decay is as the one before; 1 where nothing is said.
    #[must_use]
    pub fn growth(mut self, growth: u64) -> Self {
        self.growth = growth;
        self
    }

    /// f, what the factor ends at.
    #[must_use]
    pub fn floor(mut self, floor: f64) -> Self {
        self.floor = floor;
        self
    }
}

impl Schedule for CosineRestarts {
    fn at(&self, mut step: u64) -> f64 {
        let mut steps = self.steps.max(1);
        if self.growth <= 1 {
            step %= steps;
        } else {
            while step >= steps {
                step -= steps;
                steps = steps.saturating_mul(self.growth);
            }
        }
        CosineDecay::new(steps).floor(self.floor).at(step)
    }
    fn check(&self) -> Result<()> {
        some_steps("CosineRestarts", self.steps)?;
        if self.growth == 0 {
            return Err(Error::value("schedule", "the growth of CosineRestarts is 0: at least 1 is expected"));
        }
        factor("CosineRestarts", "floor", self.floor)
    }
    fn name(&self) -> String {
        "CosineRestarts".into()
    }
}
