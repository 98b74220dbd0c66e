//! The gradient of a recurrent layer's weights: products of the gates' gradients with what the weights were multiplied by.

use super::{Recurrent, rows};
use kiln_tensor::{RecurrentGradients, Result, Tensor};

impl Recurrent {
    /// (G·H, H): dW = Σ over the steps of dgatesᵀ · h; the last gate's product may be apart, or be one with a factor.
    pub(super) fn weight_gradient(&self, gradients: &RecurrentGradients) -> Result<Tensor> {
        let (cell, hidden) = (self.layer.cell, self.layer.weight.dims()[1]);
        let joint = (cell.gates() - 1) * hidden;
        let last = match (&gradients.product, &self.after.inner) {
            (Some(product), _) => self.with_states(product)?,
            (None, Some(factor)) if !cell.has_cell_state() => {
                rows(&gradients.gates.slice(2, joint..joint + hidden)?)?.t()?.matmul(&rows(factor)?)?
            }
            _ => return self.with_states(&gradients.gates),
        };
        Tensor::concat(&[&self.with_states(&gradients.gates.slice(2, 0..joint)?)?, &last], 0)
    }

    /// Σ over the steps of gᵀ · (the state before, times what is kept of it).
    fn with_states(&self, gradient: &Tensor) -> Result<Tensor> {
        let (layer, states) = (&self.layer, &self.after.states);
        let (steps, width) = (states.dims()[0], gradient.dims()[2]);
        let kept = |state: &Tensor| match &layer.keep {
            Some(keep) => state.mul(keep),
            None => Ok(state.clone()),
        };
        let zeros = || Tensor::zeros([width, states.dims()[2]], states.dtype(), states.device());
        if steps == 0 {
            return zeros();
        }
        let (first, later, before) =
            if layer.reverse { (steps - 1, 0..steps - 1, 1..steps) } else { (0, 1..steps, 0..steps - 1) };
        let mut sum = if steps == 1 {
            zeros()?
        } else {
            let (gradient, before) = (gradient.slice(0, later)?, kept(&states.slice(0, before)?)?);
            rows(&gradient)?.t()?.matmul(&rows(&before)?)?
        };
        if let Some(h0) = &layer.h0 {
            sum.add_matmul(&gradient.index(0, first)?.t()?, &kept(h0)?)?;
        }
        Ok(sum)
    }
}
