//! Statistics of batch norms for weights that were not trained with.

use crate::held::Held;
use crate::{Mixed, Objective};
use kiln_datasets::{Dataset, Loader};
use kiln_nn::Ctx;
use kiln_tensor::Result;

/// Makes running averages the plain means over an epoch of this loader, with the layers in training mode; of a model without buffers
/// nothing is computed. A batch of 1 sample is left out where the others are larger: batch normalization cannot be computed for it.
/// What layers carry from batch to batch is afterwards what it was before, also after an error.
pub(crate) fn update(
    objective: &mut dyn Objective,
    loader: &Loader<&dyn Dataset>,
    epoch: u64,
    seed: u64,
    precision: Option<Mixed>,
) -> Result<()> {
    if !Held::of(objective).buffers {
        return Ok(());
    }
    let carried = objective.carried_states();
    objective.begin_pass();
    let done = loader.epoch(epoch, |batches| {
        let (mut pass, mut largest) = (0, 0);
        for batch in batches {
            let batch = batch?;
            largest = batch.len().max(largest);
            if batch.len() < largest.min(2) {
                continue;
            }
            pass += 1;
            let ctx = Mixed::apply(precision, Ctx::train(seed, pass)).recording(false);
            objective.loss(&batch, &ctx)?;
            ctx.commit_mean(&mut *objective, pass)?;
        }
        Ok(())
    });
    objective.set_carried_states(&carried)?;
    done
}
