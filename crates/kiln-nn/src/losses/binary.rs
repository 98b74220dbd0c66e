//! The binary cross-entropy.

use super::{Loss, check, pair};
use kiln_autograd::{Squash, Var};
use kiln_tensor::{CrossEntropyOptions, Error, Result, Tensor};
use std::sync::Arc;

/// −t·ln p − (1 − t)·ln(1 − p) of each number; targets in [0, 1] have the predictions' shape, or (n,) with (n, 1).
///
/// Keras's default takes probabilities. Where they are the output of a sigmoid, its logits are used
/// ([`Var::origin`]), so that `Dense::new(1).activation(Activation::Sigmoid)` is as exact as logits with
/// [`BinaryCrossentropy::from_logits`], in training and in evaluation. Of other probabilities p and 1 − p are kept
/// from 0 by the smallest normal number of their type.
#[derive(Clone, Debug, Default)]
pub struct BinaryCrossentropy {
    from_logits: bool,
    smoothing: f64,
    positive: Option<Arc<[f64]>>,
}

impl BinaryCrossentropy {
    /// Of probabilities.
    pub const fn new() -> Self {
        BinaryCrossentropy { from_logits: false, smoothing: 0.0, positive: None }
    }

    /// Of logits: what a last layer without sigmoid gives.
    pub const fn from_logits() -> Self {
        BinaryCrossentropy { from_logits: true, smoothing: 0.0, positive: None }
    }

    /// Label smoothing s in [0, 1): targets become t·(1 − s) + s/2, as in Keras. Another s is an error when the loss
    /// is computed.
    #[must_use]
    pub fn label_smoothing(self, smoothing: f64) -> Self {
        BinaryCrossentropy { smoothing, ..self }
    }

    /// Weights of the positive term −t·ln p (PyTorch's `pos_weight`): above 1 for rare positives. One number for all
    /// labels, or one for each label of the last axis.
    #[must_use]
    pub fn pos_weight(self, weights: &[f64]) -> Self {
        BinaryCrossentropy { positive: Some(weights.into()), ..self }
    }

    /// The weights of positives as a constant that broadcasts to `x`.
    fn positive(&self, x: &Var) -> Result<Option<Var>> {
        let Some(weights) = &self.positive else { return Ok(None) };
        if let Some(wrong) = weights.iter().find(|weight| !(0.0..f64::INFINITY).contains(*weight)) {
            return Err(Error::value(
                self.name(),
                format!("pos_weight has {wrong}: 0 or more and finite is expected"),
            ));
        }
        let labels = x.dims().last().copied().unwrap_or(1);
        if weights.len() != 1 && weights.len() != labels {
            let message =
                format!("{} numbers in pos_weight for predictions {}: 1 or {labels} are expected", weights.len(), x.shape());
            return Err(Error::shape(self.name(), message));
        }
        let weights = Tensor::from_slice(weights, [weights.len()], x.device())?;
        weights.to_dtype(x.dtype()).map(|weights| Some(Var::constant(weights)))
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
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        CrossEntropyOptions::new().label_smoothing(self.smoothing).check(self.name())?;
        let logits = self.logits(prediction);
        let (x, mut t) = pair(self.name(), logits.unwrap_or(prediction), target)?;
        check::within(self.name(), "target", t.tensor(), 0.0, 1.0)?;
        if self.smoothing > 0.0 {
            t = t.affine(1.0 - self.smoothing, 0.5 * self.smoothing)?;
        }
        let (of_hit, of_miss) = match self.positive(&x)? {
            Some(weights) => (t.mul(&weights)?, t.affine(-1.0, 1.0)?),
            None => (t.clone(), t.affine(-1.0, 1.0)?),
        };
        if logits.is_some() {
            // −ln σ(x) = softplus(−x) and −ln(1 − σ(x)) = softplus(x): each is exact where the other one is large.
            let (hit, miss) = (x.neg()?.softplus()?, x.softplus()?);
            return of_hit.mul(&hit)?.add(&of_miss.mul(&miss)?);
        }
        let floor = prediction.dtype().smallest_normal();
        let hit = x.clamp(floor, f64::INFINITY)?.ln()?;
        let miss = x.affine(-1.0, 1.0)?.clamp(floor, f64::INFINITY)?.ln()?;
        of_hit.mul(&hit)?.add(&of_miss.mul(&miss)?)?.neg()
    }
    fn name(&self) -> &'static str {
        "binary_crossentropy"
    }
}
