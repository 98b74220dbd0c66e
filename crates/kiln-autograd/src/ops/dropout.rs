//! Dropout.

use crate::{Backward, Function, Var};
use kiln_tensor::{Result, Tensor};

/// y = x / (1 − rate) where the stream keeps the element, else 0: linear in x, so dx is the same call on dy.
struct Dropout {
    rate: f64,
    stream: Tensor,
}

impl Function for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        pass.accumulate(0, dy.dropout(self.rate, &self.stream)?)
    }
}

impl Var {
    /// Each element zero with probability `rate`, the others divided by 1 − rate (inverted dropout, as in Keras and
    /// PyTorch). The draw is fixed by the stream's key and counter, so no mask is kept.
    ///
    /// # Errors
    /// A rate below 0 or above 1.
    pub fn dropout(&self, rate: f64, stream: &Tensor) -> Result<Var> {
        let y = self.tensor().dropout(rate, stream)?;
        Ok(Var::record(&[self], y, |_| Dropout { rate, stream: stream.clone() }))
    }
}
