//! Loss and metrics on a data set.

use crate::state::Tally;
use crate::{Evaluation, Metric, Objective};
use kiln_datasets::{Dataset, Loader};
use kiln_nn::Ctx;
use kiln_tensor::{Device, Result};

/// Mean loss and metrics of an objective in evaluation. What its layers carry from batch to batch is afterwards what it was before.
pub(crate) fn measure(
    objective: &dyn Objective,
    metrics: &[Box<dyn Metric>],
    data: &dyn Dataset,
    batch_size: usize,
    device: &Device,
    ctx: &Ctx,
) -> Result<Evaluation> {
    let mut tally = Tally::new(objective, metrics)?;
    let carried = objective.carried_states();
    objective.begin_pass();
    Loader::new(data).plain().batch_size(batch_size).device(device).epoch(0, |batches| {
        batches.try_for_each(|batch| {
            let batch = batch?;
            tally.add(metrics, &batch, &objective.loss(&batch, ctx)?).map(drop)
        })
    })?;
    objective.set_carried_states(&carried)?;
    tally.finish(metrics)
}
