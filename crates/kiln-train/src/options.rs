//! Options for `fit`.

use crate::callbacks::OnEpoch;
use crate::{Callback, EpochRecord, ProgressBar};
use kiln_datasets::{Dataset, Subset};
use kiln_tensor::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};

/// Where an epoch has got to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Progress {
    /// Number of the epoch, from 1.
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

type OnBatch<'a> = Box<dyn FnMut(&Progress) + Send + 'a>;

/// Options for `fit`; the defaults are Keras's: one epoch, batches of 32, shuffled.
pub struct FitOptions<'a> {
    pub(crate) epochs: usize,
    pub(crate) batch_size: usize,
    pub(crate) seed: u64,
    pub(crate) shuffle: bool,
    pub(crate) drop_last: bool,
    pub(crate) workers: usize,
    pub(crate) validation: Option<&'a dyn Dataset>,
    pub(crate) validation_split: Option<f64>,
    pub(crate) class_weight: Vec<(usize, f64)>,
    pub(crate) callbacks: Vec<Box<dyn Callback + 'a>>,
    pub(crate) on_batch: Option<OnBatch<'a>>,
    pub(crate) stop: Option<&'a AtomicBool>,
    pub(crate) progress: ProgressBar,
}

impl Default for FitOptions<'_> {
    fn default() -> Self {
        FitOptions {
            epochs: 1,
            batch_size: BATCH,
            seed: 0,
            shuffle: true,
            drop_last: false,
            workers: 0,
            validation: None,
            validation_split: None,
            class_weight: Vec::new(),
            callbacks: Vec::new(),
            on_batch: None,
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

    /// Passes over the training data.
    #[must_use]
    pub fn epochs(self, epochs: usize) -> Self {
        FitOptions { epochs, ..self }
    }

    /// Samples per step.
    #[must_use]
    pub fn batch_size(self, batch_size: usize) -> Self {
        FitOptions { batch_size, ..self }
    }

    /// Fixes the order of samples, those that `validation_split` keeps, what augmentation does to them and what layers draw: the same seed gives the same bits.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        FitOptions { seed, ..self }
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

    /// Called between epochs, with what they reported and the model; it may end the training:
    /// [`EarlyStopping`](crate::EarlyStopping). Several are called in their order.
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
        FitOptions { on_batch: Some(Box::new(f)), ..self }
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
    /// [`History::stopped`](crate::History::stopped) says where that was.
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

    /// Whether it is time to end.
    pub(crate) fn stops(&self) -> bool {
        self.stop.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// What to train on and, by [`FitOptions::validation_split`], what to validate with.
    pub(crate) fn split<'d>(&self, data: &'d &'d dyn Dataset) -> Result<Option<Split<'d>>> {
        let Some(fraction) = self.validation_split else { return Ok(None) };
        if self.validation.is_some() {
            let message = "there is validation data too: give one or the other";
            return Err(Error::value("validation_split", message));
        }
        let by_class = !data.sequential() && data.class_labels()?.is_some();
        let split = match by_class {
            true => data.split_stratified(fraction, self.seed),
            false => data.split(fraction, self.seed),
        };
        split.map(Some).map_err(|error| Error::new(error.kind(), "validation_split", error.message()))
    }
}
