//! Steps that do not count.

use kiln_autograd::Var;
use kiln_tensor::{Result, Tensor};

/// x where the mask is true, else 0: what does not count may be NaN, and 0 · NaN in the gradient of a weight would be NaN.
pub(super) fn zeroed(x: &Var, mask: &Tensor) -> Result<Var> {
    let zero = Var::constant(Tensor::zeros((), x.dtype(), x.device())?);
    Var::select(mask, x, &zero)
}
