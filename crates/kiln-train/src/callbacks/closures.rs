//! Callbacks that are closures.

use crate::{Callback, EpochRecord, Progress, Run};
use kiln_tensor::Result;

/// Called after each epoch.
pub(crate) struct OnEpoch<F>(pub(crate) F);

impl<F: FnMut(&EpochRecord) + Send> Callback for OnEpoch<F> {
    fn on_epoch_end(&mut self, _: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        (self.0)(record);
        Ok(())
    }
}

/// Called after each batch.
pub(crate) struct OnBatch<F>(pub(crate) F);

impl<F: FnMut(&Progress) + Send> Callback for OnBatch<F> {
    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        (self.0)(&run.progress());
        Ok(())
    }
}
