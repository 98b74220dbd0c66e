//! What several tests need.

use kiln_tensor::Result;
use kiln_train::{Callback, Run};

/// Ends the training after so many batches of all epochs.
pub(crate) struct StopAfter(pub(crate) u64);

impl Callback for StopAfter {
    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        if run.state.batches == self.0 {
            run.stop();
        }
        Ok(())
    }
}
