//! A flag that ends the training.

use crate::{Callback, EpochRecord, Run};
use kiln_tensor::Result;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends the training once another thread has set a flag.
pub(crate) struct StopFlag<'a>(pub(crate) &'a AtomicBool);

impl StopFlag<'_> {
    fn look(&self, run: &mut Run<'_>) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            (run.interrupted, run.stopping) = (true, true);
        }
        Ok(())
    }
}

impl Callback for StopFlag<'_> {
    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.look(run)
    }
    fn on_validation_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.look(run)
    }
    fn on_epoch_end(&mut self, run: &mut Run<'_>, _: &EpochRecord) -> Result<()> {
        self.look(run)
    }
}
