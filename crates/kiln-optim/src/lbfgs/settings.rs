//! The settings of L-BFGS.

use crate::check::not_negative;
use kiln_tensor::{Error, Result};

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) iterations: usize,
    pub(super) evaluations: Option<usize>,
    pub(super) history: usize,
    pub(super) gradient_tolerance: f64,
    pub(super) change_tolerance: f64,
    pub(super) line_search: bool,
}

/// PyTorch's.
impl Default for Settings {
    fn default() -> Self {
        Settings {
            iterations: 20,
            evaluations: None,
            history: 100,
            gradient_tolerance: 1e-7,
            change_tolerance: 1e-9,
            line_search: false,
        }
    }
}

impl Settings {
    /// No iteration begins after so many evaluations.
    pub(super) fn most_evaluations(&self) -> usize {
        self.evaluations.unwrap_or(self.iterations.saturating_mul(5) / 4)
    }

    pub(super) fn check(&self) -> Result<()> {
        not_negative("gradient tolerance", self.gradient_tolerance)?;
        not_negative("change tolerance", self.change_tolerance)?;
        let counts = [
            ("iterations", self.iterations),
            ("evaluations", self.evaluations.unwrap_or(1)),
            ("iterations of history", self.history),
        ];
        for (name, count) in counts {
            if count == 0 {
                let message = format!("0 {name}: at least 1 is needed; nothing was changed");
                return Err(Error::value("optimizer.step", message));
            }
        }
        Ok(())
    }
}
