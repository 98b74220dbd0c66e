//! The gradient of a recurrent layer's weights: products of the gates' gradients with what the weights were multiplied by.

use super::{Recurrent, rows};
use kiln_tensor::{RecurrentCell, RecurrentGradients, Result, Tensor};

impl Recurrent {
    /// (G·H, H): dW = Σ over the steps of dgatesᵀ · h.
    pub(super) fn weight_gradient(&self, gradients: &RecurrentGradients) -> Result<Tensor> {
        let hidden = self.weight.dims()[1];
        let RecurrentCell::Gru { .. } = self.settings.cell else { return self.with_states(&gradients.gates) };
        let first = self.with_states(&gradients.gates.slice(2, 0..2 * hidden)?)?;
        let third = match (&gradients.inner, &self.after.inner) {
            (Some(inner), _) => self.with_states(inner)?,
            // What the third weight was multiplied by is r⊙h.
            (None, Some(reset)) => {
                rows(&gradients.gates.slice(2, 2 * hidden..3 * hidden)?)?.t()?.matmul(&rows(reset)?)?
            }
            (None, None) => return Ok(first),
        };
        Tensor::concat(&[&first, &third], 0)
    }

    /// Σ over the steps of gᵀ · (the state before, times what is kept of it).
    fn with_states(&self, gradient: &Tensor) -> Result<Tensor> {
        let (settings, states) = (&self.settings, &self.after.states);
        let (steps, width) = (states.dims()[0], gradient.dims()[2]);
        let kept = |state: &Tensor| match &settings.keep {
            Some(keep) => state.mul(keep),
            None => Ok(state.clone()),
        };
        let zeros = || Tensor::zeros([width, states.dims()[2]], states.dtype(), states.device());
        if steps == 0 {
            return zeros();
        }
        let (first, later, before) =
            if settings.reverse { (steps - 1, 0..steps - 1, 1..steps) } else { (0, 1..steps, 0..steps - 1) };
        let mut sum = if steps == 1 {
            zeros()?
        } else {
            let (gradient, before) = (gradient.slice(0, later)?, kept(&states.slice(0, before)?)?);
            rows(&gradient)?.t()?.matmul(&rows(&before)?)?
        };
        if let Some(h0) = &self.h0 {
            sum.add_matmul(&gradient.index(0, first)?.t()?, &kept(h0)?)?;
        }
        Ok(sum)
    }
}
