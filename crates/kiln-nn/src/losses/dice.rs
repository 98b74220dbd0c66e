//! How little two regions overlap.

use super::{Loss, check, pair};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result};

/// 1 − (2·Σ t·p + ε)/(Σ t + Σ p + ε) of each sample, with the sums over all its numbers: 0 where p is t, 1 where nothing overlaps (Milletari
/// et al. 2016). p are probabilities and t in [0, 1], of one shape. Where both are empty, the loss is 0.
///
/// Keras's `Dice` takes the sums over the whole batch at once.
#[derive(Clone, Copy, Debug)]
pub struct Dice {
    smooth: f64,
}

impl Default for Dice {
    fn default() -> Self {
        Dice::new()
    }
}

impl Dice {
    /// The loss with ε = 1e-7.
    pub const fn new() -> Self {
        Dice { smooth: 1e-7 }
    }

    /// ε, above 0; another one is reported when the loss is computed. 1 is common for small regions.
    #[must_use]
    pub const fn smooth(self, smooth: f64) -> Self {
        Dice { smooth }
    }
}

impl Loss for Dice {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        if !(self.smooth > 0.0 && self.smooth.is_finite()) {
            return Err(Error::value(self.name(), format!("an ε above 0 and finite is expected, got {}", self.smooth)));
        }
        let (p, t) = pair(self.name(), prediction, target)?;
        check::within(self.name(), "target", t.tensor(), 0.0, 1.0)?;
        if p.shape().rank() < 2 {
            let message = format!("predictions (n, …) with the numbers of a region in each sample are expected, got {}", p.shape());
            return Err(Error::shape(self.name(), message));
        }
        let sums = |x: &Var| x.flatten(1)?.sum(1);
        let overlap = sums(&p.mul(&t)?)?.affine(2.0, self.smooth)?;
        let all = sums(&p)?.add(&sums(&t)?)?.add_scalar(self.smooth)?;
        overlap.div(&all)?.affine(-1.0, 1.0)
    }
    fn name(&self) -> &'static str {
        "dice"
    }
}
