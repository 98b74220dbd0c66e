//! Padding with a constant, and cutting it off.

use crate::{Backward, Function, Var};
use kiln_tensor::Result;

/// y is x between constants; dx is dy without them.
struct Pad(Vec<(usize, usize)>);

impl Function for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        pass.accumulate(0, dy.crop(&self.0)?)
    }
}

/// y is x without its margins; dx is dy between zeros.
struct Crop(Vec<(usize, usize)>);

impl Function for Crop {
    fn name(&self) -> &'static str {
        "crop"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        pass.accumulate(0, dy.pad(&self.0, 0.0)?)
    }
}

impl Var {
    /// `value` before and after the last axes, as many as there are pairs: `&[(1, 1), (0, 2)]` pads the last axis but one by
    /// one on either side, and the last by two at its end.
    ///
    /// # Errors
    /// More pairs than axes, more elements than memory can hold.
    pub fn pad(&self, sides: &[(usize, usize)], value: f64) -> Result<Var> {
        let y = self.tensor().pad(sides, value)?;
        Ok(Var::record(&[self], y, |_| Pad(sides.to_vec())))
    }

    /// Without that many elements before and after the last axes: the adjoint of [`Var::pad`].
    ///
    /// # Errors
    /// More pairs than axes, more elements than an axis has.
    pub fn crop(&self, sides: &[(usize, usize)]) -> Result<Var> {
        let y = self.tensor().crop(sides)?;
        let y = Var::record(&[self], y, |_| Crop(sides.to_vec()));
        let cuts = |softmax: usize| y.dims()[softmax] < self.dims()[softmax];
        y.clone().moved_from(self, |squash| squash.if_untouched(cuts), |logits| logits.crop(sides))
    }
}
