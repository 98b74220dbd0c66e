//! Averages of the weights, taken while training.

use crate::{Callback, EpochRecord, Evaluation, Run, batch_norm};
use kiln_nn::{StateDict, Stateful};
use kiln_optim::WeightAverage;
use kiln_tensor::{Error, Result};

/// An exponential moving average of the weights, updated after each step. The model is validated with it, and has it at the end of `fit`
/// (Keras's `use_ema`, timm's `ModelEma`).
///
/// The weights that were trained are kept: a second `fit` with the same callback goes on from them, bit for bit as one that was not
/// interrupted. All of it is the callback's state ([`Stateful`]). Buffers, such as the running averages of batch norms, are those of the
/// training.
///
/// Do not combine with [`EarlyStopping::restore_best_weights`](crate::EarlyStopping::restore_best_weights): that keeps the trained weights
/// of the best epoch, not their average.
///
/// ```
/// # use kiln_datasets::TensorDataset;
/// # use kiln_nn::{Dense, MeanSquaredError, Sequential};
/// # use kiln_optim::Sgd;
/// # use kiln_tensor::{DType, Device, Tensor};
/// # use kiln_train::{Ema, FitOptions, compile};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let cpu = Device::cpu();
/// # let model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1)?;
/// # let ones = |columns| Tensor::ones([50, columns], DType::F32, &cpu);
/// # let data = TensorDataset::new(ones(2)?, ones(1)?)?;
/// # let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
/// let mut ema = Ema::new(0.99);
/// trainer.fit(&data, FitOptions::new().epochs(3).validation_split(0.2).callback(&mut ema))?;
/// // The model has the average now; this gives it the trained weights back.
/// ema.average.swap(&mut trainer.objective)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Ema {
    /// The average.
    pub average: WeightAverage,
    /// The step whose weights are put away while the model has the average.
    step: Option<u64>,
    every: u64,
    validates: bool,
    replaces: bool,
}

impl Ema {
    /// An average of which the share `decay` stays in each step: 0.999 is one over about a thousand steps.
    pub fn new(decay: f64) -> Self {
        Ema { average: WeightAverage::ema(decay), step: None, every: 1, validates: true, replaces: true }
    }

    /// Updates the average after every so many steps.
    #[must_use]
    pub fn every(self, steps: u64) -> Self {
        Ema { every: steps, ..self }
    }

    /// Whether the model is validated with the average; it is by default.
    #[must_use]
    pub fn validates(self, validates: bool) -> Self {
        Ema { validates, ..self }
    }

    /// Whether the model has the average at the end of `fit`; it has by default.
    #[must_use]
    pub fn replaces(self, replaces: bool) -> Self {
        Ema { replaces, ..self }
    }
}

/// Gives the model the average.
fn give(average: &mut WeightAverage, step: &mut Option<u64>, run: &mut Run<'_>) -> Result<()> {
    *step = Some(run.state.step);
    average.swap(run.model)
}

/// Gives the model back what it was trained to, where it has the average. If the training is elsewhere by now, as after a loss that was not
/// finite, it keeps the weights that it has.
fn give_back(average: &mut WeightAverage, step: &Option<u64>, run: &mut Run<'_>) -> Result<()> {
    if step.is_some_and(|step| step != run.state.step) {
        average.forget_trained();
    }
    if average.is_swapped() { average.swap(run.model) } else { Ok(()) }
}

impl Callback for Ema {
    fn on_fit_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.average.check()?;
        if self.every == 0 {
            return Err(Error::value("Ema", "every(0): at least 1 step is needed"));
        }
        give_back(&mut self.average, &self.step, run)
    }

    fn on_step_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        if run.state.step.is_multiple_of(self.every) { self.average.update(run.model) } else { Ok(()) }
    }

    fn on_validation_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        if self.validates && self.average.updates() > 0 { give(&mut self.average, &mut self.step, run) } else { Ok(()) }
    }

    fn on_validation_end(&mut self, run: &mut Run<'_>, _: &Evaluation) -> Result<()> {
        give_back(&mut self.average, &self.step, run)
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>, _: &EpochRecord) -> Result<()> {
        // Of a validation that was left.
        give_back(&mut self.average, &self.step, run)
    }

    fn on_fit_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        if self.replaces && self.average.updates() > 0 { give(&mut self.average, &mut self.step, run) } else { Ok(()) }
    }

    fn on_failure(&mut self, run: &mut Run<'_>, _: &Error) -> Result<()> {
        give_back(&mut self.average, &self.step, run)
    }

    fn state(&mut self) -> Option<(&'static str, &mut dyn Stateful)> {
        Some(("Ema", self))
    }
}

impl Stateful for Ema {
    fn state_dict(&self) -> Result<StateDict> {
        self.average.state_dict()
    }
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        self.average.load_state_dict(state)?;
        self.step = None;
        Ok(())
    }
}

/// Stochastic weight averaging (Izmailov et al. 2018): the mean of the weights after each epoch from a given one on. At the end of
/// `fit` the model has it, with batch-norm statistics computed for it (PyTorch's `swa_utils`).
///
/// Keep the learning rate fairly high in these epochs, for instance with [`Piecewise`](kiln_optim::Piecewise) or
/// [`CosineRestarts`](kiln_optim::CosineRestarts). The statistics take one more pass over the training data. The weights that were trained
/// are kept, as with [`Ema`]; validations see these.
///
/// Epochs are counted over all calls of `fit`: one that ends before the given epoch leaves the model its trained weights, and the
/// average begins in a later call with the same callback.
///
/// Do not combine with [`EarlyStopping::restore_best_weights`](crate::EarlyStopping::restore_best_weights): that keeps the trained weights
/// of the best epoch, not their average.
///
/// ```
/// # use kiln_datasets::TensorDataset;
/// # use kiln_nn::{BatchNorm1d, Dense, MeanSquaredError, Sequential};
/// # use kiln_optim::Sgd;
/// # use kiln_tensor::{DType, Device, Tensor};
/// # use kiln_train::{FitOptions, Swa, compile};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let cpu = Device::cpu();
/// # let model = Sequential::new().push(BatchNorm1d::new()).push(Dense::new(1)).build([2], &cpu, 1)?;
/// # let ones = |columns| Tensor::ones([50, columns], DType::F32, &cpu);
/// # let data = TensorDataset::new(ones(2)?, ones(1)?)?;
/// # let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
/// // The mean of the weights after epochs 6 to 8.
/// trainer.fit(&data, FitOptions::new().epochs(8).callback(Swa::from_epoch(6)))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Swa {
    /// The average.
    pub average: WeightAverage,
    /// The step whose weights are put away while the model has the average.
    step: Option<u64>,
    first: usize,
    updates_batch_norm: bool,
}

impl Swa {
    /// The mean of the weights after this epoch, counted from 1 over all calls of `fit`, and of those that follow.
    pub fn from_epoch(first: usize) -> Self {
        Swa { average: WeightAverage::equal(), step: None, first, updates_batch_norm: true }
    }

    /// Whether batch norms get the statistics of the average at the end; they do by default.
    #[must_use]
    pub fn updates_batch_norm(self, updates: bool) -> Self {
        Swa { updates_batch_norm: updates, ..self }
    }
}

impl Callback for Swa {
    fn on_fit_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        give_back(&mut self.average, &self.step, run)
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        let completed = run.state.epoch == record.epoch as u64;
        if completed && record.epoch >= self.first { self.average.update(run.model) } else { Ok(()) }
    }

    fn on_fit_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        if self.average.updates() == 0 {
            return Ok(());
        }
        give(&mut self.average, &mut self.step, run)?;
        if !self.updates_batch_norm {
            return Ok(());
        }
        let (loader, epoch, seed) = (run.loader.clone(), run.state.epoch + 1, run.state.seed);
        batch_norm::update(run.model, &loader, epoch, seed, run.precision)
    }

    fn on_failure(&mut self, run: &mut Run<'_>, _: &Error) -> Result<()> {
        give_back(&mut self.average, &self.step, run)
    }

    fn state(&mut self) -> Option<(&'static str, &mut dyn Stateful)> {
        Some(("Swa", self))
    }
}

impl Stateful for Swa {
    fn state_dict(&self) -> Result<StateDict> {
        self.average.state_dict()
    }
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        self.average.load_state_dict(state)?;
        self.step = None;
        Ok(())
    }
}
