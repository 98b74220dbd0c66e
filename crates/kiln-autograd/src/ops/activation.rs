//! The activation of an operation that can apply one in its own pass.

use super::elementwise::slope_from_output;
use crate::{Backward, Var};
use kiln_math::UnaryOp;
use kiln_tensor::{Result, Tensor, UnaryCall};

/// An activation, either fused into an operation or an operation after it.
#[derive(Clone, Copy)]
pub(super) struct FusedActivation {
    /// What the operation applies in its own pass.
    pub(super) fused: Option<UnaryCall>,
    after: Option<UnaryCall>,
}

impl FusedActivation {
    /// Fused where it is one of those that `fuses` names.
    pub(super) fn split(activation: Option<UnaryCall>, fuses: impl FnOnce(UnaryOp) -> bool) -> Self {
        match activation {
            Some(call) if !fuses(call.op) => FusedActivation { fused: None, after: Some(call) },
            fused => FusedActivation { fused, after: None },
        }
    }

    /// What the operation keeps for its backward pass, of its output y.
    pub(super) fn kept(self, y: &Tensor) -> FusedSlope {
        FusedSlope(self.fused.map(|call| (call, y.clone())))
    }

    /// The operation's output, with the activation applied if it was not fused.
    pub(super) fn finish(self, y: Var) -> Result<Var> {
        match self.after {
            Some(call) => y.unary(call),
            None => Ok(y),
        }
    }
}

/// A fused activation, if there is one, and the output from which its derivative is taken.
pub(super) struct FusedSlope(Option<(UnaryCall, Tensor)>);

impl FusedSlope {
    /// dz = dy · activation′(y): the gradient of what the activation was applied to.
    pub(super) fn dz(&self, dy: Var, pass: &Backward<'_>) -> Result<Var> {
        match &self.0 {
            None => Ok(dy),
            Some((call, y)) if !pass.records() => {
                Ok(Var::constant(dy.into_tensor().unary_grad(*call, None, Some(y))?))
            }
            Some((call, y)) => slope_from_output(*call, pass.output(y))?.times(&dy),
        }
    }
}
