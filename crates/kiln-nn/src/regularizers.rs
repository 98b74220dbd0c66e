//! Regularizers: penalties on weights and outputs that are added to the loss, by Keras's names and formulas.

use kiln_autograd::Var;
use kiln_tensor::{Error, Result};
use serde::{Deserialize, Serialize};

/// λ·Σ|w| (lasso): `L1(0.01)`. It drives weights to exactly 0.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct L1(
    /// λ, at least 0.
    pub f64,
);

/// λ·Σw² (ridge): `L2(0.01)`. It keeps weights small; its gradient is 2λ·w. (The `weight_decay` of PyTorch's SGD is that
/// gradient's factor, 2λ.)
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct L2(
    /// λ, at least 0.
    pub f64,
);

/// l1·Σ|w| + l2·Σw² (elastic net): `L1L2 { l1: 0.001, l2: 0.01 }`.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct L1L2 {
    /// Factor of Σ|w|, at least 0.
    pub l1: f64,
    /// Factor of Σw², at least 0.
    pub l2: f64,
}

impl From<L1> for L1L2 {
    fn from(L1(l1): L1) -> Self {
        L1L2 { l1, l2: 0.0 }
    }
}

impl From<L2> for L1L2 {
    fn from(L2(l2): L2) -> Self {
        L1L2 { l1: 0.0, l2 }
    }
}

impl L1L2 {
    /// The penalty of `x`, one number; none where both factors are 0. Of half types it is computed in f32 and rounded once.
    ///
    /// # Errors
    /// Factors that are negative or not finite.
    pub fn penalty(self, x: &Var) -> Result<Option<Var>> {
        self.check("regularizer")?;
        let (dtype, x) = (x.dtype(), x.to_dtype(x.dtype().computed_in())?);
        let l1 = if self.l1 > 0.0 { Some(x.abs()?.sum_all()?.mul_scalar(self.l1)?) } else { None };
        let l2 = if self.l2 > 0.0 { Some(x.square()?.sum_all()?.mul_scalar(self.l2)?) } else { None };
        let sum = match (l1, l2) {
            (Some(l1), Some(l2)) => Some(l1.add(&l2)?),
            (l1, l2) => l1.or(l2),
        };
        sum.map(|sum| sum.to_dtype(dtype)).transpose()
    }

    /// Both factors times this.
    pub(crate) fn scaled(self, by: f64) -> Self {
        L1L2 { l1: self.l1 * by, l2: self.l2 * by }
    }

    /// Whether the factors make a penalty, `what` for the error.
    pub(crate) fn check(self, what: &'static str) -> Result<()> {
        if [self.l1, self.l2].iter().all(|factor| (0.0..f64::INFINITY).contains(factor)) {
            return Ok(());
        }
        let L1L2 { l1, l2 } = self;
        Err(Error::value(what, format!("factors of at least 0 and finite are expected, got l1 = {l1}, l2 = {l2}")))
    }
}
