//! The second pass of a step, for optimizers whose gradients are those of another place.

use super::Fit;
use super::group::{Group, both, finite_on_device};
use crate::{Count, Mixed};
use kiln_autograd::Gradients;
use kiln_datasets::Batch;
use kiln_nn::StateDict;
use kiln_tensor::{Result, Tensor};

/// A batch that a second pass is made over: with the random numbers and the carried states of the first.
pub(super) struct Again {
    pub(super) batch: Batch,
    /// What counted in its loss.
    pub(super) count: Count,
    pub(super) drawn: u64,
    /// Where layers carry states from batch to batch.
    pub(super) carried: Option<StateDict>,
}

/// What is known of the second pass.
#[derive(Default)]
pub(super) struct Second {
    /// Whether all losses and gradients are finite, where only the device knows.
    pub(super) finite: Option<Tensor>,
    /// Whether the gradients are, where the loss was scaled.
    pub(super) unscaled: Option<Tensor>,
}

impl Fit<'_, '_> {
    /// Moves the parameters by the gradients of the first pass, takes those of the step there, and moves back. What layers hand in for
    /// buffers is that of the first pass.
    pub(super) fn second_pass(&mut self, applies: Option<&Tensor>) -> Result<Second> {
        let batches = std::mem::take(&mut self.again);
        // A loss that is not finite is about to end the training, from where the parameters are.
        if self.run.loss.is_some_and(|loss| !loss.is_finite()) {
            return Ok(Second::default());
        }
        let first = std::mem::take(&mut self.run.gradients);
        let run = &mut self.run;
        if let Some(ascent) = run.optimizer.ascent() {
            ascent.ascend(&mut *run.model, &first, applies)?;
        }
        let second = self.pass_again(&batches);
        let run = &mut self.run;
        if let Some(ascent) = run.optimizer.ascent() {
            let failed = second.is_err();
            if failed { ascent.cancel(&mut *run.model)? } else { ascent.descend(&mut *run.model)? }
        }
        let (gradients, finite) = second?;
        self.run.gradients = gradients;
        let unscaled = self.run.unscale()?;
        Ok(Second { finite: both(finite, unscaled.clone())?, unscaled })
    }

    /// The gradients of these batches where the parameters are.
    fn pass_again(&mut self, batches: &[Again]) -> Result<(Gradients, Option<Tensor>)> {
        let run = &mut self.run;
        let after = self.carries.then(|| run.model.carried_states());
        let mut group = Group::default();
        for Again { batch, count, drawn, carried } in batches {
            if let Some(carried) = carried {
                run.model.set_carried_states(carried)?;
            }
            run.drawn = *drawn;
            let ctx = run.context();
            let loss = run.model.loss(batch, &ctx)?.loss;
            let finite = finite_on_device(loss.tensor())?;
            let loss = Mixed::scaled(run.precision, &mut run.state.loss_scale, loss)?;
            group.add(loss.backward()?, count, ctx, finite)?;
        }
        if let Some(after) = after {
            run.model.set_carried_states(&after)?;
        }
        let (gradients, _, applies) = group.finish()?;
        Ok((gradients, applies))
    }
}
