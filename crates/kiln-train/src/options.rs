//! Options for `fit`.

use crate::callbacks::{ClassWeights, ClipGradients, NanGuard, OnBatch, OnEpoch, StopFlag};
use crate::{Callback, EpochRecord, ProgressBar};
use kiln_datasets::{Dataset, Loader, Subset};
use kiln_tensor::{Device, Error, Result};
use std::sync::atomic::AtomicBool;

/// Where an epoch has got to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Progress {
    /// Number of the epoch, from 1, counted over all calls of `fit`.
    pub epoch: usize,
    /// Batches done in it.
    pub batch: usize,
    /// Batches in an epoch.
    pub batches: usize,
    /// Samples in the batch just done.
    pub samples: usize,
    /// Mean loss of the epoch so far, where the host sees it without stopping the device.
    pub loss: Option<f64>,
    /// The first metric so far, likewise.
    pub metric: Option<(&'static str, f64)>,
}

/// What is trained on and what is validated with.
type Split<'d> = [Subset<&'d &'d dyn Dataset>; 2];

/// Samples a batch, where nothing else is said: Keras's.
pub(crate) const BATCH: usize = 32;

/// How [`Trainer::evaluate_with`](crate::Trainer::evaluate_with) and [`Trainer::predict_with`](crate::Trainer::predict_with) are
/// to go.
///
/// ```
/// # use kiln_datasets::TensorDataset;
/// # use kiln_nn::{Dense, MeanSquaredError, Sequential};
/// # use kiln_optim::Sgd;
/// # use kiln_tensor::{DType, Device, Tensor};
/// # use kiln_train::compile;
/// use kiln_train::EvaluateOptions;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let cpu = Device::cpu();
/// # let model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1)?;
/// # let ones = |columns| Tensor::ones([500, columns], DType::F32, &cpu);
/// # let data = TensorDataset::new(ones(2)?, ones(1)?)?;
/// # let inputs = ones(2)?;
/// # let trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
/// let evaluation = trainer.evaluate_with(&data, EvaluateOptions::new().batch_size(256))?;
/// let outputs = trainer.predict_with(&inputs, EvaluateOptions::new().batch_size(256))?;
/// # assert_eq!(outputs.dims(), [500, 1]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct EvaluateOptions {
    batch_size: Option<usize>,
}

impl EvaluateOptions {
    /// The defaults.
    pub fn new() -> Self {
        EvaluateOptions::default()
    }

    /// Samples at a time; else as many as a batch of the last [`Trainer::fit`](crate::Trainer::fit) had, or 32. More need more
    /// memory, and may be faster.
    #[must_use]
    pub fn batch_size(self, batch_size: usize) -> Self {
        EvaluateOptions { batch_size: Some(batch_size) }
    }

    /// The batch size, of an operation that has this one by default.
    pub(crate) fn resolve(self, operation: &'static str, default: usize) -> Result<usize> {
        match self.batch_size.unwrap_or(default) {
            0 => Err(Error::value(operation, "batches of 0 samples: at least 1 is needed")),
            batch_size => Ok(batch_size),
        }
    }
}

/// Options for `fit`; the defaults are Keras's: one epoch, batches of 32, shuffled.
pub struct FitOptions<'a> {
    pub(crate) epochs: usize,
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
        FitOptions { epochs, ..self }
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
    /// memory of one. The last step of an epoch may be of fewer. (Batch normalization still sees one batch at a time.)
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

    /// Refuses what makes no sense.
    pub(crate) fn check(&self, data: &dyn Dataset) -> Result<()> {
        let refused = |message: &str| Err(Error::value("fit", message));
        if self.epochs == 0 {
            return refused("0 epochs: at least 1 is needed");
        }
        if self.steps_per_epoch == Some(0) {
            return refused("steps_per_epoch(0): at least 1 is needed");
        }
        if self.accumulate == 0 {
            return refused("accumulate(0): at least 1 batch makes a step");
        }
        if self.validate_every == Some(0) {
            return refused("validate_every(0): at least 1 step is needed");
        }
        if self.validate_every.is_some() && self.validation.is_none() && self.validation_split.is_none() {
            return refused(
                "validate_every without data to validate on: give it with `validation` or `validation_split`",
            );
        }
        if self.steps_per_epoch.is_none() && data.len() == usize::MAX {
            return refused("the data has no end: say with `steps_per_epoch` how many batches make an epoch");
        }
        if self.validation.is_some_and(|data| data.len() == usize::MAX) {
            return refused("the validation data has no end: give a part of it, `Subset::new(data, 0..1000)`");
        }
        Ok(())
    }

    /// The training batches.
    pub(crate) fn loader<'d>(&self, data: &'d dyn Dataset, seed: u64, device: &Device) -> Loader<&'d dyn Dataset> {
        let mut loader = Loader::new(data).batch_size(self.batch_size).workers(self.workers).device(device);
        loader = loader.seed(seed).drop_last(self.drop_last);
        if let Some(steps) = self.steps_per_epoch {
            loader = loader.steps_per_epoch(steps);
        }
        if self.shuffle { loader.shuffle(seed) } else { loader }
    }

    /// All callbacks in their order: those that belong to `fit`, the user's, and clipping, which comes last.
    pub(crate) fn into_callbacks(self, device: &Device) -> Result<Vec<Box<dyn Callback + 'a>>> {
        let mut all: Vec<Box<dyn Callback + 'a>> = vec![Box::new(NanGuard::new(self.snapshot))];
        if !self.class_weight.is_empty() {
            all.push(Box::new(ClassWeights::new(&self.class_weight, device)?));
        }
        if !self.progress.is_hidden() {
            all.push(Box::new(self.progress));
        }
        all.extend(self.callbacks);
        if let Some(flag) = self.stop {
            all.push(Box::new(StopFlag(flag)));
        }
        if let Some(clip) = self.clip {
            all.push(Box::new(clip));
        }
        Ok(all)
    }

    /// What to train on and, by [`FitOptions::validation_split`], what to validate with.
    pub(crate) fn split<'d>(&self, data: &'d &'d dyn Dataset, seed: u64) -> Result<Option<Split<'d>>> {
        let Some(fraction) = self.validation_split else { return Ok(None) };
        let refused = |message: &str| Error::value("validation_split", message);
        if self.validation.is_some() {
            return Err(refused("there is validation data too: give one or the other"));
        }
        if data.len() == usize::MAX {
            return Err(refused("data without an end cannot be split: give other data with `validation`"));
        }
        let by_class = !data.sequential() && data.class_labels()?.is_some();
        let split = match by_class {
            true => data.split_stratified(fraction, seed),
            false => data.split(fraction, seed),
        };
        let named = |error: Error| {
            // Where the classes are in the way, and not the fraction alone.
            let remedy = match by_class && data.split(fraction, seed).is_ok() {
                true => ", and FitOptions::validation takes one of its parts",
                false => "",
            };
            Error::new(error.kind(), "validation_split", format!("{}{remedy}", error.message()))
        };
        split.map(Some).map_err(named)
    }
}
