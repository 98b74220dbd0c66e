//! Cross-entropy, fused with the softmax before it.

use crate::{Backward, Function, Squash, Var};
use kiln_tensor::{DType, Error, Result, Tensor, composed};

/// y (n,) = −Σ t · log_softmax(x) for rows x (n, classes); dx = dy · (softmax(x) · Σ t − t).
struct CrossEntropy {
    logits: Tensor,
    target: Tensor,
}

impl Function for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        if !pass.records()
            && let Some(dx) = self.logits.cross_entropy_grad(&self.target, dy.tensor())?
        {
            return pass.accumulate(0, Var::constant(dx));
        }
        pass.differentiate(&dy, |inputs| composed::cross_entropy(&inputs.take(0, &self.logits)?, &self.target))
    }
}

impl Var {
    /// The cross-entropy of each row of logits, (n,): ln Σ exp(x) − x\[label\] for labels (n,) of integers, or
    /// −Σ t · log_softmax(x) for targets (n, classes) of the logits' dtype.
    ///
    /// # Errors
    /// Shapes that do not fit, a label out of range (with its row), a dtype that is neither.
    pub fn cross_entropy(&self, target: &Tensor) -> Result<Var> {
        let y = self.tensor().cross_entropy(target)?;
        Ok(Var::record(&[self], y, |_| CrossEntropy { logits: self.tensor().clone(), target: target.clone() }))
    }

    /// The cross-entropy of each row of probabilities, (n,): −ln p\[label\], or −Σ t · ln p.
    ///
    /// Where these probabilities are the output of a softmax or a sigmoid, its logits are used ([`Var::origin`]), which is
    /// exact and of a softmax fused. Otherwise p is kept from 0 by the smallest normal number of its type, so that the loss
    /// stays finite. Half types are computed in f32 and rounded once.
    ///
    /// # Errors
    /// As [`Var::cross_entropy`].
    pub fn cross_entropy_from_probabilities(&self, target: &Tensor) -> Result<Var> {
        if let Some(origin) = self.origin()
            && origin.squash() == (Squash::Softmax { axis: 1 })
        {
            return origin.logits().cross_entropy(target);
        }
        if self.shape().rank() != 2 {
            return Err(Error::shape(
                "cross_entropy",
                format!("probabilities of shape (n, classes) are expected, got {}", self.shape()),
            ));
        }
        let computed = if self.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
        let target = match target.dtype() {
            dtype if dtype.is_integer() && target.rank() == 1 => target.one_hot(self.dims()[1])?,
            _ => target.clone(),
        };
        let each = self.ln_probability(computed)?.mul(&Var::constant(target.to_dtype(computed)?))?;
        each.sum(-1)?.neg()?.to_dtype(self.dtype())
    }

    /// ln p of probabilities of any origin, in the dtype `computed`.
    fn ln_probability(&self, computed: DType) -> Result<Var> {
        match self.origin() {
            // ln σ(x) = −softplus(−x)
            Some(origin) if origin.squash() == Squash::Sigmoid => {
                origin.logits().to_dtype(computed)?.neg()?.softplus()?.neg()
            }
            _ => self.to_dtype(computed)?.clamp(self.dtype().smallest_normal(), f64::INFINITY)?.ln(),
        }
    }
}
