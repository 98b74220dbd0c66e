//! The binary cross-entropy.

use super::{Loss, check, pair};
use kiln_autograd::{Squash, Var};
use kiln_tensor::{Result, Tensor};

/// −t·ln p − (1 − t)·ln(1 − p) of each number; targets in [0, 1] of the predictions' shape, or (n,) with (n, 1).
///
/// Keras's default takes probabilities. Where they are the output of a sigmoid, its logits are used ([`Var::origin`]), so that
/// `Dense::new(1).activation(Activation::Sigmoid)` is as exact as logits with [`BinaryCrossentropy::from_logits`], in training
/// and in evaluation. Of other probabilities p and 1 − p are kept from 0 by the smallest normal number of their type.
#[derive(Clone, Copy, Debug, Default)]
pub struct BinaryCrossentropy {
    from_logits: bool,
}

impl BinaryCrossentropy {
    /// Of probabilities.
    pub const fn new() -> Self {
        BinaryCrossentropy { from_logits: false }
    }

    /// Of logits: what a last layer without sigmoid gives.
    pub const fn from_logits() -> Self {
        BinaryCrossentropy { from_logits: true }
    }

    /// The logits, where these predictions have some.
    fn logits<'p>(&self, prediction: &'p Var) -> Option<&'p Var> {
        match prediction.origin() {
            _ if self.from_logits => Some(prediction),
            Some(origin) if origin.squash() == Squash::Sigmoid => Some(origin.logits()),
            _ => None,
        }
    }
}

impl Loss for BinaryCrossentropy {
    fn each(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        let logits = self.logits(prediction);
        let (x, t) = pair(self.name(), logits.unwrap_or(prediction), target)?;
        check::within(self.name(), "target", &t, 0.0, 1.0)?;
        let (t, others) = (Var::from(&t), Var::from(t.affine(-1.0, 1.0)?));
        if logits.is_some() {
            // −ln σ(x) = softplus(−x) and −ln(1 − σ(x)) = softplus(x): each is exact where the other one is large.
            let (hit, miss) = (x.neg()?.softplus()?, x.softplus()?);
            return t.mul(&hit)?.add(&others.mul(&miss)?);
        }
        let floor = prediction.dtype().smallest_normal();
        let hit = x.clamp(floor, f64::INFINITY)?.ln()?;
        let miss = x.affine(-1.0, 1.0)?.clamp(floor, f64::INFINITY)?.ln()?;
        t.mul(&hit)?.add(&others.mul(&miss)?)?.neg()
    }
    fn name(&self) -> &'static str {
        "binary_crossentropy"
    }
}
