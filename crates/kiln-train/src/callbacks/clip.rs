//! Gradient clipping as an option of `fit`.

use crate::{Callback, Run};
use kiln_optim::{clip_gradient_norm, clip_gradient_value};
use kiln_tensor::{Error, Result};

/// How gradients are clipped before each step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ClipGradients {
    /// The norm of all of them together.
    Norm(f64),
    /// Each number.
    Value(f64),
}

impl Callback for ClipGradients {
    fn on_fit_begin(&mut self, _: &mut Run<'_>) -> Result<()> {
        let (option, ClipGradients::Norm(max) | ClipGradients::Value(max)) = match self {
            ClipGradients::Norm(_) => ("clip_norm", *self),
            ClipGradients::Value(_) => ("clip_value", *self),
        };
        if max > 0.0 && max.is_finite() {
            return Ok(());
        }
        Err(Error::value("fit", format!("{option}({max}): a number above 0 and finite is expected")))
    }

    fn on_step_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        let gradients = std::mem::take(&mut run.gradients);
        run.gradients = match *self {
            ClipGradients::Norm(max) => clip_gradient_norm(gradients, max)?,
            ClipGradients::Value(max) => clip_gradient_value(gradients, max)?,
        };
        Ok(())
    }
}
