//! The progress bar of training.

mod line;
#[cfg(test)]
mod tests;
mod wrap;

use crate::{Callback, EpochRecord, Evaluation, Run};
use console::Term;
use indicatif::TermLike;
use kiln_tensor::Result;
use line::Line;
pub(crate) use line::{epoch_of, number};
use std::time::{Duration, Instant};
pub use wrap::wrapped;

/// The time between two drawings.
const REDRAW: Duration = Duration::from_millis(100);

/// The least time between two lines that stay, and before the next phase is drawn.
const FRAME: Duration = Duration::from_millis(20);

/// The progress bar that [`Trainer::fit`](crate::Trainer::fit) shows on a terminal.
///
/// While an epoch is trained, and then while it is validated, one line on stderr shows how much of the data is done, the loss and
/// the first metric so far, samples a second, and the time left of this phase (training or validation):
///
/// ```text
/// epoch  3/10 [=====>        ]  loss 0.1235  accuracy 0.9630  23k samples/s  0:07 left
/// epoch  3/10 validation [========>       ]  loss 0.1432  accuracy 0.9571  0:01 left
/// ```
///
/// After each epoch the line is replaced by one that stays, [`EpochRecord::line`]. Epochs that take less than 20 ms do not each
/// leave one; the last epoch does. On a narrow terminal the less important numbers are left out.
///
/// Where stderr is not a terminal nothing is shown; [`FitOptions::quiet`](crate::FitOptions::quiet) shows nothing anywhere.
///
/// ```
/// # use kiln_datasets::TensorDataset;
/// # use kiln_nn::{Dense, MeanSquaredError, Sequential};
/// # use kiln_optim::Sgd;
/// # use kiln_tensor::{DType, Device, Tensor};
/// # use kiln_train::{FitOptions, compile};
/// use kiln_train::ProgressBar;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let cpu = Device::cpu();
/// # let model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1)?;
/// # let ones = |columns| Tensor::ones([50, columns], DType::F32, &cpu);
/// # let data = TensorDataset::new(ones(2)?, ones(1)?)?;
/// # let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
/// trainer.fit(&data, FitOptions::new().progress(ProgressBar::new().unit("images")))?;
/// # Ok(())
/// # }
/// ```
pub struct ProgressBar {
    unit: String,
    epoch_lines: bool,
    /// Where to draw; none where nothing is to be seen.
    screen: Option<Box<dyn TermLike>>,
    epochs: usize,
    phase: Phase,
    /// What the time left comes from: it counts the batches of a phase, from the end of the first one on.
    estimate: indicatif::ProgressBar,
    /// When the estimate began; none before the end of a phase's first batch.
    estimating: Option<Instant>,
    /// When the bar was last drawn.
    drawn: Option<Instant>,
    /// Whether the bar is on the screen.
    visible: bool,
    /// The last epoch that left its line, and when.
    left: Option<(usize, Instant)>,
    /// The last epoch, where it has not left its line.
    unshown: Option<EpochRecord>,
}

/// Training or validation of one epoch: a pass over data.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Phase {
    /// From 1.
    pub(crate) epoch: usize,
    /// Whether it is the validation after the epoch.
    pub(crate) validation: bool,
    pub(crate) batches: usize,
    pub(crate) samples: usize,
}

/// The mean loss and the first metric of a pass so far, where they are known.
pub(crate) type SoFar = (Option<f64>, Option<(&'static str, f64)>);

impl Default for ProgressBar {
    fn default() -> Self {
        ProgressBar::new()
    }
}

impl ProgressBar {
    /// A bar on stderr, if that is a terminal.
    pub fn new() -> Self {
        let term = Term::buffered_stderr();
        let seen = term.is_term() && !console::is_dumb();
        ProgressBar::on(seen.then(|| Box::new(term) as Box<dyn TermLike>))
    }

    fn on(screen: Option<Box<dyn TermLike>>) -> Self {
        ProgressBar {
            unit: "samples".to_owned(),
            epoch_lines: true,
            screen,
            epochs: 0,
            phase: Phase::default(),
            estimate: indicatif::ProgressBar::hidden(),
            estimating: None,
            drawn: None,
            visible: false,
            left: None,
            unshown: None,
        }
    }

    /// What the samples are called, in the plural; "samples" by default.
    #[must_use]
    pub fn unit(mut self, unit: &str) -> Self {
        self.unit = unit.to_owned();
        self
    }

    /// Whether each epoch leaves a line, as it does by default; else there is only the bar.
    #[must_use]
    pub fn epoch_lines(mut self, leave: bool) -> Self {
        self.epoch_lines = leave;
        self
    }
}

impl ProgressBar {
    pub(crate) fn hidden() -> Self {
        ProgressBar::on(None)
    }

    /// Whether there is nothing to be seen.
    pub(crate) fn is_hidden(&self) -> bool {
        self.screen.is_none()
    }

    fn begin_phase(&mut self, phase: Phase) {
        self.phase = phase;
        self.estimating = None;
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME) {
            self.draw(0, (None, None), Instant::now());
        }
    }

    /// After a batch, with how many there were.
    fn end_batch(&mut self, done: usize, so_far: impl FnOnce() -> SoFar) {
        let now = Instant::now();
        if self.estimating.is_none() {
            self.begin_estimate(done, now);
        }
        if self.drawn.is_none_or(|drawn| now - drawn >= REDRAW) {
            self.draw(done, so_far(), now);
        }
    }

    fn end_epoch(&mut self, record: &EpochRecord) {
        self.clear();
        if self.left.is_none_or(|(_, left)| left.elapsed() >= FRAME) {
            self.leave(record);
        } else {
            self.unshown = Some(record.clone());
        }
    }

    fn end(&mut self) {
        self.clear();
        if let Some(record) = self.unshown.take() {
            self.leave(&record);
        }
    }

    /// Counts from here on. A phase's first batch is not counted: it may wait for memory, threads and kernels, as no other does.
    fn begin_estimate(&mut self, done: usize, now: Instant) {
        self.estimate.set_length(self.phase.batches as u64);
        self.estimate.set_position(done as u64);
        // The estimate then knows of this position, however shortly after the last one it comes.
        self.estimate.tick();
        self.estimate.reset_eta();
        self.estimating = Some(now);
    }

    /// Samples a second and the time left, once there is enough to tell them from.
    fn speed(&self, done: usize, now: Instant) -> Option<(f64, Duration)> {
        if now - self.estimating? < REDRAW {
            return None;
        }
        self.estimate.set_position(done as u64);
        self.estimate.tick();
        let batch = self.phase.samples as f64 / self.phase.batches as f64;
        let rate = self.estimate.per_sec() * batch;
        (rate > 0.0).then(|| (rate, self.estimate.eta()))
    }

    fn draw(&mut self, done: usize, (loss, metric): SoFar, now: Instant) {
        let Some(screen) = &self.screen else { return };
        let line = Line {
            epoch: self.phase.epoch,
            epochs: self.epochs,
            validation: self.phase.validation,
            done: done as f64 / self.phase.batches.max(1) as f64,
            loss,
            metric,
            speed: self.speed(done, now),
            unit: &self.unit,
        };
        // Some terminals begin a new line after the last column.
        let text = line.fit(usize::from(screen.width()).saturating_sub(1));
        // The cursor goes back, so that what others print, as `^C`, does not make a second line of it. A terminal that is gone
        // is no reason to end the training.
        let _ = screen.clear_line().and_then(|()| screen.write_str(&format!("{text}\r"))).and_then(|()| screen.flush());
        self.drawn = Some(now);
        self.visible = true;
    }

    /// Takes the bar off the screen.
    fn clear(&mut self) {
        if let Some(screen) = self.screen.as_ref().filter(|_| self.visible) {
            let _ = screen.clear_line().and_then(|()| screen.flush());
        }
        self.visible = false;
    }

    /// Prints an epoch's line.
    fn leave(&mut self, record: &EpochRecord) {
        let Some(screen) = self.screen.as_ref().filter(|_| self.epoch_lines) else { return };
        let width = usize::from(screen.width());
        let text = wrapped(&record.line(self.epochs), width);
        let _ = screen.write_line(&text).and_then(|()| screen.flush());
        self.left = Some((record.epoch, Instant::now()));
        self.unshown = None;
    }
}

/// The phase of a pass over the training data.
fn training(run: &Run<'_>) -> Phase {
    let (batches, samples) = (run.loader.batches(), run.loader.dataset().len());
    let samples = samples.min(batches.saturating_mul(run.batch_size));
    Phase { epoch: run.state.epoch as usize + 1, validation: false, batches, samples }
}

impl Callback for ProgressBar {
    fn on_fit_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.epochs = run.epochs();
        Ok(())
    }
    fn on_epoch_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.begin_phase(training(run));
        Ok(())
    }
    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.end_batch(run.state.batch as usize, || run.state.tally.so_far());
        Ok(())
    }
    fn on_validation_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        let samples = run.validation().map_or(0, |data| data.len());
        let batches = samples.div_ceil(run.batch_size.max(1));
        self.begin_phase(Phase { epoch: run.state.epoch as usize + 1, validation: true, batches, samples });
        Ok(())
    }
    fn on_validation_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        if let Some((tally, done)) = &run.validating {
            self.end_batch(*done, || tally.so_far());
        }
        Ok(())
    }
    fn on_validation_end(&mut self, run: &mut Run<'_>, _: &Evaluation) -> Result<()> {
        // It may have been in the middle of an epoch.
        (self.phase, self.estimating) = (training(run), None);
        Ok(())
    }
    fn on_epoch_end(&mut self, _: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        self.end_epoch(record);
        Ok(())
    }
    fn on_fit_end(&mut self, _: &mut Run<'_>) -> Result<()> {
        self.end();
        Ok(())
    }
}

/// A training that fails leaves no bar behind.
impl Drop for ProgressBar {
    fn drop(&mut self) {
        self.clear();
    }
}
