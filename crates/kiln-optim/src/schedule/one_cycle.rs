use super::{Schedule, some_steps};
use kiln_tensor::{Error, Result};

/// One cycle (Smith and Topin 2018): along a cosine from 1/25 up to 1 in the first 30 % of n steps, then down to 1/25 · 10⁻⁴, where it
/// stays. PyTorch's `OneCycleLR`, whose `max_lr` is the optimizer's learning rate; momentum stays as it is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct OneCycle {
    steps: u64,
    rise: f64,
    division: f64,
    final_division: f64,
}

impl OneCycle {
    /// A cycle of n steps.
    pub fn new(steps: u64) -> Self {
        OneCycle { steps, rise: 0.3, division: 25.0, final_division: 1e4 }
    }

    /// The share of the steps in which the factor rises; PyTorch's `pct_start`.
    #[must_use]
    pub fn rise(mut self, share: f64) -> Self {
        self.rise = share;
        self
    }

    /// What the largest factor is of the first one; PyTorch's `div_factor`.
    #[must_use]
    pub fn division(mut self, division: f64) -> Self {
        self.division = division;
        self
    }

    /// What the first factor is of the last one; PyTorch's `final_div_factor`.
    #[must_use]
    pub fn final_division(mut self, division: f64) -> Self {
        self.final_division = division;
        self
    }
}

impl Schedule for OneCycle {
    fn at(&self, step: u64) -> f64 {
        let (start, end) = (1.0 / self.division, 1.0 / (self.division * self.final_division));
        let (step, top, last) = (step as f64, self.rise * self.steps as f64 - 1.0, self.steps as f64 - 1.0);
        let (from, to, share) = if step <= top && top > 0.0 {
            (start, 1.0, step / top)
        } else {
            (1.0, end, (step - top) / (last - top))
        };
        let angle = std::f64::consts::PI * share.min(1.0);
        // The same bits on every machine.
        to + (from - to) / 2.0 * (kiln_math::Real::cos(angle) + 1.0)
    }
    fn check(&self) -> Result<()> {
        some_steps("OneCycle", self.steps)?;
        let refused = |why: String| Err(Error::value("schedule", why));
        if !(0.0..1.0).contains(&self.rise) {
            return refused(format!("the rise of OneCycle is {}: a share in [0, 1) is expected", self.rise));
        }
        for (what, division) in [("division", self.division), ("final division", self.final_division)] {
            if !(division > 0.0 && division.is_finite()) {
                return refused(format!("the {what} of OneCycle is {division}: a finite number above 0 is expected"));
            }
        }
        Ok(())
    }
    fn name(&self) -> String {
        "OneCycle".into()
    }
}
