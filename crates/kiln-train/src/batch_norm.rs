//! Statistics of batch norms for weights that were not trained with.

use crate::Objective;
use kiln_datasets::{Dataset, Loader};
use kiln_nn::{Buffer, Ctx, Module, Param, Visitor};
use kiln_tensor::Result;

/// Makes running averages the plain means over an epoch of this loader, with the layers in training mode; of a model without buffers
/// nothing is computed. What layers carry from batch to batch is afterwards what it was before.
pub(crate) fn update(
    objective: &mut dyn Objective,
    loader: &Loader<&dyn Dataset>,
    epoch: u64,
    seed: u64,
) -> Result<()> {
    if !has_buffers(objective) {
        return Ok(());
    }
    let carried = objective.carried_states();
    objective.begin_pass();
    loader.epoch(epoch, |batches| {
        for (pass, batch) in (1..).zip(batches) {
            let ctx = Ctx::train(seed, pass).recording(false);
            objective.loss(&batch?, &ctx)?;
            ctx.commit_mean(&mut *objective, pass)?;
        }
        Ok(())
    })?;
    objective.set_carried_states(&carried)
}

fn has_buffers(model: &dyn Objective) -> bool {
    struct Any(bool);
    impl<'m> Visitor<'m> for Any {
        fn parameter(&mut self, _: &'m Param) {}
        fn buffer(&mut self, _: &'m Buffer) {
            self.0 = true;
        }
    }
    let mut any = Any(false);
    Module::visit(model, &mut any);
    any.0
}
