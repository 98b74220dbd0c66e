//! Options for `fit`.

mod apply;
mod evaluate;

use crate::callbacks::{ClipGradients, OnBatch, OnEpoch};
use crate::{Callback, EpochRecord, Progress, ProgressBar};
pub(crate) use evaluate::BATCH;
pub use evaluate::EvaluateOptions;
use kiln_datasets::Dataset;
use std::sync::atomic::AtomicBool;

/// Options for `fit`; the defaults are Keras's: one epoch, batches of 32, shuffled.
pub struct FitOptions<'a> {
    pub(crate) epochs: usize,
    pub(crate) until_epoch: Option<usize>,
    pub(crate) batch_size: usize,
    pub(crate) seed: Option<u64>,
    pub(crate) steps_per_epoch: Option<usize>,
    pub(crate) accumulate: usize,
    pub(crate) validate_every: Option<u64>,
    pub(crate) clip: Option<ClipGradients>,
    pub(crate) snapshot: bool,
    pub(crate) shuffle: bool,
    pub(crate) drop_last: bool,
    pub(crate) workers: usize,
    pub(crate) validation: Option<&'a dyn Dataset>,
    pub(crate) validation_split: Option<f64>,
    pub(crate) class_weight: Vec<(usize, f64)>,
    pub(crate) callbacks: Vec<Box<dyn Callback + 'a>>,
    pub(crate) stop: Option<&'a AtomicBool>,
    pub(crate) progress: ProgressBar,
}

impl Default for FitOptions<'_> {
    fn default() -> Self {
        FitOptions {
            epochs: 1,
            until_epoch: None,
            batch_size: BATCH,
            seed: None,
            steps_per_epoch: None,
            accumulate: 1,
            validate_every: None,
            clip: None,
            snapshot: true,
            shuffle: true,
            drop_last: false,
            workers: 0,
            validation: None,
            validation_split: None,
            class_weight: Vec::new(),
            callbacks: Vec::new(),
            stop: None,
            progress: ProgressBar::new(),
        }
    }
}

impl<'a> FitOptions<'a> {
    /// The defaults.
    pub fn new() -> Self {
        FitOptions::default()
    }

    /// Passes over the training data; with [`steps_per_epoch`](FitOptions::steps_per_epoch) pieces of them.
    #[must_use]
    pub fn epochs(self, epochs: usize) -> Self {
        FitOptions { epochs, until_epoch: None, ..self }
    }

    /// Trains until so many epochs are completed over all calls of `fit`, instead of so many more: for a training that is resumed. Where
    /// they are completed already, nothing is trained.
    #[must_use]
    pub fn until_epoch(self, epoch: usize) -> Self {
        FitOptions { until_epoch: Some(epoch), ..self }
    }

    /// Number of the last epoch, where so many were completed before.
    pub(crate) fn last_epoch(&self, completed: u64) -> usize {
        self.until_epoch.unwrap_or(completed as usize + self.epochs)
    }

    /// Samples per step.
    #[must_use]
    pub fn batch_size(self, batch_size: usize) -> Self {
        FitOptions { batch_size, ..self }
    }

    /// Fixes the order of samples, those that `validation_split` keeps, what augmentation does to them and what layers draw: the
    /// same seed gives the same bits. Without it, it is that of the `fit` before, 0 in the first one.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        FitOptions { seed: Some(seed), ..self }
    }

    /// Makes an epoch of this many batches, instead of a pass over the data: for data without an end, and for data so large that
    /// one wants to hear of it more often. An epoch goes on where the one before ended, and at the end of the data its next pass
    /// begins.
    #[must_use]
    pub fn steps_per_epoch(self, batches: usize) -> Self {
        FitOptions { steps_per_epoch: Some(batches), ..self }
    }

    /// Makes one step of this many batches, by the mean of their gradients: as a batch of so many times the samples, with the
    /// memory of one. Each batch is weighted by the number of terms in its loss: its samples, or with a mask the targets that count. The last
    /// step of an epoch may be of fewer batches. Schedules, [`TrainState::step`](crate::TrainState::step) and
    /// [`validate_every`](FitOptions::validate_every) count steps.
    ///
    /// Batch normalization still sees one batch at a time. A loss that is a sum ([`Summed`](kiln_nn::Summed)) is averaged over the
    /// batches of a step. Of several outputs, each with a mask of its own, a batch weighs as much as it has samples.
    #[must_use]
    pub fn accumulate(self, batches: usize) -> Self {
        FitOptions { accumulate: batches, ..self }
    }

    /// Clips gradients before each step: where the norm of all together is above `max`, they are scaled down to it, as by PyTorch's
    /// `clip_grad_norm_`. Callbacks see them before.
    #[must_use]
    pub fn clip_norm(self, max: f64) -> Self {
        FitOptions { clip: Some(ClipGradients::Norm(max)), ..self }
    }

    /// Clips gradients before each step: every number is kept within ±`max`, as by PyTorch's `clip_grad_value_`. Callbacks see
    /// them before.
    #[must_use]
    pub fn clip_value(self, max: f64) -> Self {
        FitOptions { clip: Some(ClipGradients::Value(max)), ..self }
    }

    /// Whether `fit` keeps a copy of the weights at the beginning of each epoch, to go back to where the loss becomes NaN or
    /// infinite; it does by default. Without it, the weights are then those of the last step.
    #[must_use]
    pub fn snapshot(self, keep: bool) -> Self {
        FitOptions { snapshot: keep, ..self }
    }

    /// Whether each epoch has a random order; else that of the data set.
    #[must_use]
    pub fn shuffle(self, shuffle: bool) -> Self {
        FitOptions { shuffle, ..self }
    }

    /// Whether a last batch of an epoch that is not full is left out; by default it is trained on. With
    /// [`shuffle`](FitOptions::shuffle) other samples are left out in each epoch. Validation sees all samples.
    #[must_use]
    pub fn drop_last(self, drop_last: bool) -> Self {
        FitOptions { drop_last, ..self }
    }

    /// Threads that gather batches ahead; 0, the default, is fastest for data in memory.
    #[must_use]
    pub fn workers(self, workers: usize) -> Self {
        FitOptions { workers, ..self }
    }

    /// Data to evaluate on after each epoch.
    #[must_use]
    pub fn validation(self, data: &'a dyn Dataset) -> Self {
        FitOptions { validation: Some(data), ..self }
    }

    /// Evaluates on the validation data after every so many steps too ([`History::validations`](crate::History::validations)),
    /// not only after each epoch.
    #[must_use]
    pub fn validate_every(self, steps: u64) -> Self {
        FitOptions { validate_every: Some(steps), ..self }
    }

    /// Keeps a part of the data to evaluate on after each epoch: of n samples, round(n · fraction) of them. Training never sees
    /// them.
    ///
    /// They are chosen at random by the run's [`seed`](FitOptions::seed): the same seed keeps the same samples, in a second `fit`
    /// too. Where the data set has [class labels](Dataset::class_labels), each class is kept in proportion, as by
    /// [`Dataset::split_stratified`]; else the choice is that of [`Dataset::split`], which of windows over a text or a time series
    /// takes the last. (Keras always takes the last samples: of data that is sorted by class, it validates on the last classes
    /// alone.)
    #[must_use]
    pub fn validation_split(self, fraction: f64) -> Self {
        FitOptions { validation_split: Some(fraction), ..self }
    }

    /// How much targets of a class count in the training loss; 1 for those that are not named. As in Keras, a batch's loss
    /// is the sum of the weighted losses over their number; metrics and validation are not weighted. Weights that the data has
    /// of its own are multiplied by these.
    ///
    /// Which class a target is, the loss says ([`Loss::labels`](kiln_nn::Loss::labels)): labels of samples, steps or pixels,
    /// or one-hot rows. A custom [`Objective`](crate::Objective) finds the weights in
    /// [`Batch::weights`](kiln_datasets::Batch::weights).
    #[must_use]
    pub fn class_weight(self, weights: &[(usize, f64)]) -> Self {
        FitOptions { class_weight: weights.to_vec(), ..self }
    }

    /// Hooks into the training, which may change it or end it: [`EarlyStopping`](crate::EarlyStopping). Several are called in
    /// their order.
    #[must_use]
    pub fn callback(mut self, callback: impl Callback + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Looks on after each epoch: a [`callback`](FitOptions::callback) that is a closure.
    #[must_use]
    pub fn on_epoch(self, f: impl FnMut(&EpochRecord) + Send + 'a) -> Self {
        self.callback(OnEpoch(f))
    }

    /// Called after each batch; what it costs, training costs. If it prints, [`quiet`](FitOptions::quiet) keeps the progress bar
    /// out of its way.
    #[must_use]
    pub fn on_batch(self, f: impl FnMut(&Progress) + Send + 'a) -> Self {
        self.callback(OnBatch(f))
    }

    /// Shows no progress bar and prints nothing. (Where stderr is not a terminal, `fit` shows nothing anyway.)
    #[must_use]
    pub fn quiet(self) -> Self {
        self.progress(ProgressBar::hidden())
    }

    /// Another progress bar than the default one, [`ProgressBar::new`].
    #[must_use]
    pub fn progress(self, bar: ProgressBar) -> Self {
        FitOptions { progress: bar, ..self }
    }

    /// Ends the training once this is set, by another thread or a signal's handler: after the batch that is being trained on or
    /// validated with. The epoch is reported as far as it got, without a validation that was not finished, and
    /// [`History::stopped`](crate::History::stopped) says where that was. The next `fit` goes on with the rest of the epoch.
    ///
    /// ```
    /// # use kiln_datasets::TensorDataset;
    /// # use kiln_nn::{Dense, MeanSquaredError, Sequential};
    /// # use kiln_optim::Sgd;
    /// # use kiln_tensor::{DType, Device, Tensor};
    /// # use kiln_train::{FitOptions, compile};
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// # let cpu = Device::cpu();
    /// # let model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1)?;
    /// # let ones = |columns| Tensor::ones([50, columns], DType::F32, &cpu);
    /// # let data = TensorDataset::new(ones(2)?, ones(1)?)?;
    /// # let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
    /// let stop = AtomicBool::new(false);
    /// std::thread::scope(|scope| {
    ///     // Set by whatever knows that it is time.
    ///     scope.spawn(|| stop.store(true, Ordering::Relaxed));
    ///     let history = trainer.fit(&data, FitOptions::new().epochs(1_000_000).stop(&stop))?;
    ///     assert!(history.stopped.is_some());
    ///     # Ok::<(), kiln_tensor::Error>(())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn stop(self, flag: &'a AtomicBool) -> Self {
        FitOptions { stop: Some(flag), ..self }
    }
}
