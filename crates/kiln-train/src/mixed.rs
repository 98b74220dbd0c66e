//! Mixed precision of a training.

use crate::Run;
use kiln_autograd::Var;
use kiln_nn::Ctx;
use kiln_optim::LossScale;
use kiln_tensor::{DType, Result, Tensor};

/// The half type that layers compute in, while parameters, gradients, losses and the optimizer stay f32 ([`Ctx::compute`]).
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mixed {
    /// 8 bits of precision and the range of f32: the usual choice.
    Bf16,
    /// 11 bits of precision, up to 65,504. The loss is scaled ([`LossScale`](kiln_optim::LossScale)), and steps whose gradients overflow
    /// are left out.
    F16,
}

impl Mixed {
    /// The half type.
    pub fn dtype(self) -> DType {
        match self {
            Mixed::Bf16 => DType::BF16,
            Mixed::F16 => DType::F16,
        }
    }

    /// The loss that gradients are taken of.
    pub(crate) fn scaled(precision: Option<Self>, scale: &mut LossScale, loss: Var) -> Result<Var> {
        match precision {
            Some(Mixed::F16) => scale.scale(&loss),
            _ => Ok(loss),
        }
    }

    /// A context that computes in this precision.
    pub(crate) fn apply(precision: Option<Self>, ctx: Ctx) -> Ctx {
        match precision {
            Some(mixed) => ctx.compute(mixed.dtype()),
            None => ctx,
        }
    }
}

impl Run<'_> {
    /// Makes the gradients those of the loss itself. Gives whether they are finite, where the loss was scaled.
    pub(crate) fn unscale(&mut self) -> Result<Option<Tensor>> {
        if self.precision != Some(Mixed::F16) {
            return Ok(None);
        }
        let (gradients, finite) = self.state.loss_scale.unscale(std::mem::take(&mut self.gradients))?;
        self.gradients = gradients;
        Ok(Some(finite))
    }

    /// The loss's factor for the next step, after one whose gradients were finite or not.
    pub(crate) fn update_scale(&mut self, finite: Option<&Tensor>) -> Result<()> {
        let Some(finite) = finite else { return Ok(()) };
        self.state.loss_scale.update(finite)?;
        // On a device no step waits: the end of the epoch finds it.
        if self.device.backend().is_host() { self.state.loss_scale.expect_usable() } else { Ok(()) }
    }
}
