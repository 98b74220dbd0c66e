use super::{Schedule, factor, some_steps};
use kiln_tensor::Result;

/// Cycles (Smith 2017): in a straight line from a floor f up to 1 in n steps, down again, and once more. PyTorch's `CyclicLR`, whose
/// `base_lr` is f times the optimizer's learning rate, its `max_lr`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Cyclic {
    up: u64,
    down: u64,
    floor: f64,
    cycle_factor: f64,
    step_factor: f64,
}

impl Cyclic {
    /// Up from this floor in n steps, and down in as many.
    pub fn new(up: u64, floor: f64) -> Self {
        Cyclic { up, down: up, floor, cycle_factor: 1.0, step_factor: 1.0 }
    }

    /// The steps down.
    #[must_use]
    pub fn down(mut self, steps: u64) -> Self {
        self.down = steps;
        self
    }

    /// How high a cycle rises above the floor, of that before: 0.5 is PyTorch's `triangular2`.
    #[must_use]
    pub fn cycle_factor(mut self, factor: f64) -> Self {
        self.cycle_factor = factor;
        self
    }

    /// What the height above the floor is multiplied by with each step: PyTorch's `exp_range`, whose `gamma` this is.
    #[must_use]
    pub fn step_factor(mut self, factor: f64) -> Self {
        self.step_factor = factor;
        self
    }
}

impl Schedule for Cyclic {
    fn at(&self, step: u64) -> f64 {
        let whole = self.up.saturating_add(self.down).max(1);
        let (cycle, at) = (step / whole, step % whole);
        let height = if at <= self.up { at as f64 / self.up as f64 } else { (whole - at) as f64 / self.down as f64 };
        // The same bits on every machine.
        let power = |factor: f64, times: u64| kiln_math::Real::powf(factor, times as f64);
        self.floor + (1.0 - self.floor) * height * power(self.cycle_factor, cycle) * power(self.step_factor, step)
    }
    fn check(&self) -> Result<()> {
        some_steps("Cyclic", self.up.min(self.down))?;
        let factors =
            [("floor", self.floor), ("cycle factor", self.cycle_factor), ("step factor", self.step_factor)];
        factors.into_iter().try_for_each(|(what, value)| factor("Cyclic", what, value))
    }
    fn name(&self) -> String {
        "Cyclic".into()
    }
}
