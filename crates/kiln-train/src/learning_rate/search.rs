//! The callback that raises the rate and notes the losses.

use super::{LearningRateFinder, LearningRates};
use crate::{Callback, Run};
use kiln_tensor::{Error, Result};

/// Raises the rate with each step, until the loss diverges.
pub(super) struct Search<'f> {
    finder: &'f LearningRateFinder,
    pub(super) found: LearningRates,
    /// Sum and number of the losses of the batches that make the step.
    losses: (f64, usize),
    /// Whether the step of the batch was made.
    stepped: bool,
}

impl<'f> Search<'f> {
    pub(super) fn new(finder: &'f LearningRateFinder) -> Self {
        Search { finder, found: LearningRates::default(), losses: (0.0, 0), stepped: false }
    }

    fn add(&mut self, run: &Run<'_>) {
        let (sum, count) = &mut self.losses;
        *sum += run.loss().unwrap_or(f64::NAN);
        *count += 1;
    }
}

impl Callback for Search<'_> {
    fn on_fit_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        run.waits_for_loss = true;
        Ok(())
    }

    fn on_step_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.add(run);
        self.stepped = true;
        let (sum, count) = std::mem::take(&mut self.losses);
        let step = self.found.points.len();
        let rate = self.finder.rate(step);
        self.found.add(rate, sum / count as f64);
        self.found.diverged = self.found.diverges(self.finder.diverges_at);
        if self.found.diverged || step + 1 >= self.finder.steps {
            run.stop();
        }
        set_rate(run, rate)
    }

    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        if !std::mem::take(&mut self.stepped) {
            self.add(run);
        }
        Ok(())
    }
}

/// Makes the step one of this rate, whatever the schedule's factor.
fn set_rate(run: &mut Run<'_>, rate: f64) -> Result<()> {
    run.optimizer.set_learning_rate(1.0);
    let factor = run.optimizer.scheduled_learning_rate();
    if factor > 0.0 {
        run.optimizer.set_learning_rate(rate / factor);
        return Ok(());
    }
    let message = format!(
        "the schedule's factor is {factor} at step {}, and no rate can be tried: take an optimizer without a schedule",
        run.optimizer.steps()
    );
    Err(Error::value("find_learning_rate", message))
}
