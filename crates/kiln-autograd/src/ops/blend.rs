//! Weighted sums of the indices of an axis.

use crate::{Backward, Function, Var};
use kiln_tensor::{Result, Taps, transposed_taps};
use std::sync::Arc;

/// y\[i\] = Σ weight · x\[place\] along an axis, linear in x: the gradient is the sum by the transposed taps.
struct Blend {
    axis: usize,
    taps: Arc<Taps>,
}

impl Function for Blend {
    fn name(&self) -> &'static str {
        "blend"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        pass.accumulate(0, dy.blended(self.axis, &transposed_taps("blend", &self.taps)?)?)
    }
}

impl Var {
    /// Each index of an axis as a weighted sum of indices.
    pub(super) fn blended(&self, axis: usize, taps: &Arc<Taps>) -> Result<Var> {
        let y = self.tensor().blend(axis, taps)?;
        let y = Var::record(&[self], y, |_| Blend { axis, taps: taps.clone() });
        y.moved_from(
            self,
            |squash| if taps.only_move() { squash.if_untouched(|softmax| softmax == axis) } else { None },
            |logits| logits.blended(axis, taps),
        )
    }
}
