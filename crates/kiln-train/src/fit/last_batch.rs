//! The last batch of an epoch: whether it can be trained on, found out before the first step.

use crate::FitOptions;
use kiln_datasets::Dataset;
use kiln_tensor::{Error, Result};

/// Fails where [`FitOptions::drop_last`] leaves no batch, and where a last batch of 1 sample cannot be trained on: the unbiased
/// variance of a batch normalization needs two values. `attempt` makes a forward pass of training on so many samples and keeps
/// nothing of it.
pub(super) fn check(
    data: &dyn Dataset,
    options: &FitOptions<'_>,
    mut attempt: impl FnMut(usize) -> Result<()>,
) -> Result<()> {
    let (samples, size) = (data.len(), data.fixed_batch_size().unwrap_or(options.batch_size));
    // The loader refuses the others; data without an end has no last batch.
    if samples == 0 || size == 0 || samples == usize::MAX {
        return Ok(());
    }
    if options.drop_last && samples < size {
        let message = format!(
            "drop_last leaves out a batch that is not full, and {samples} training samples do not fill one of {size}: nothing is left to \
             train on; make batch_size {samples} or smaller"
        );
        return Err(Error::value("fit", message));
    }
    if options.drop_last || samples < size || size == 1 || samples % size != 1 {
        return Ok(());
    }
    let Err(error) = attempt(1) else { return Ok(()) };
    // What fails with any batch is not about the last one.
    attempt(size)?;
    let message = format!(
        "{samples} training samples in batches of {size} leave a last batch of 1 sample, which this model cannot be trained on; leave it \
         out with FitOptions::drop_last, or choose another batch_size ({error})"
    );
    Err(Error::new(error.kind(), "fit", message))
}
