//! Callbacks: hooks that run at the end of each epoch and may stop the training.

use crate::EpochRecord;
use kiln_nn::{Module, StateDict};
use kiln_tensor::{Error, Result};
use std::ops::ControlFlow;

/// What `fit` calls between epochs ([`FitOptions::callback`](crate::FitOptions::callback)).
pub trait Callback: Send {
    /// Before the first epoch. `reported` are the names of the numbers that each epoch will report: `loss`, `accuracy`,
    /// `val_loss`, …
    ///
    /// # Errors
    /// Settings that make no sense here; nothing has been trained then.
    fn on_fit_begin(&mut self, reported: &[String]) -> Result<()> {
        let _ = reported;
        Ok(())
    }

    /// After each epoch, with what it reported and the model as it is. [`ControlFlow::Break`] ends the training.
    ///
    /// # Errors
    /// Whatever is to end the training as a failure.
    fn on_epoch_end(&mut self, record: &EpochRecord, model: &mut dyn Module) -> Result<ControlFlow<()>>;

    /// After the last epoch, stopped or not.
    ///
    /// # Errors
    /// Whatever is to be reported as a failure.
    fn on_fit_end(&mut self, model: &mut dyn Module) -> Result<()> {
        let _ = model;
        Ok(())
    }
}

/// Borrowed, so that you can inspect it after `fit`: `.callback(&mut stopping)`.
impl<C: Callback + ?Sized> Callback for &mut C {
    fn on_fit_begin(&mut self, reported: &[String]) -> Result<()> {
        (**self).on_fit_begin(reported)
    }
    fn on_epoch_end(&mut self, record: &EpochRecord, model: &mut dyn Module) -> Result<ControlFlow<()>> {
        (**self).on_epoch_end(record, model)
    }
    fn on_fit_end(&mut self, model: &mut dyn Module) -> Result<()> {
        (**self).on_fit_end(model)
    }
}

/// A closure that looks on.
pub(crate) struct OnEpoch<F>(pub(crate) F);

impl<F: FnMut(&EpochRecord) + Send> Callback for OnEpoch<F> {
    fn on_epoch_end(&mut self, record: &EpochRecord, _: &mut dyn Module) -> Result<ControlFlow<()>> {
        (self.0)(record);
        Ok(ControlFlow::Continue(()))
    }
}

/// Ends the training once a number has stopped getting better (Keras's `EarlyStopping`).
///
/// ```
/// # use kiln_datasets::TensorDataset;
/// # use kiln_nn::{Dense, MeanSquaredError, Sequential};
/// # use kiln_optim::Sgd;
/// # use kiln_tensor::{DType, Device, Tensor};
/// # use kiln_train::{EarlyStopping, FitOptions, compile};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let cpu = Device::cpu();
/// # let model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1)?;
/// # let ones = |columns| Tensor::ones([50, columns], DType::F32, &cpu);
/// # let data = TensorDataset::new(ones(2)?, ones(1)?)?;
/// # let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
/// let mut stopping = EarlyStopping::new().patience(3).restore_best_weights(true);
/// let options = FitOptions::new().epochs(100).validation_split(0.2).callback(&mut stopping);
/// let history = trainer.fit(&data, options)?;
/// assert!(history.epochs.len() < 100 && stopping.best_epoch().is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct EarlyStopping {
    monitor: String,
    patience: usize,
    min_delta: f64,
    larger_is_better: Option<bool>,
    restore_best_weights: bool,
    run: Run,
}

/// What one call of `fit` has seen.
#[derive(Clone, Default, Debug)]
struct Run {
    larger_is_better: bool,
    /// The best value and its epoch.
    best: Option<(f64, usize)>,
    /// Epochs since.
    wait: usize,
    stopped: Option<usize>,
    weights: Option<StateDict>,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        EarlyStopping {
            monitor: "val_loss".to_owned(),
            patience: 0,
            min_delta: 0.0,
            larger_is_better: None,
            restore_best_weights: false,
            run: Run::default(),
        }
    }
}

impl EarlyStopping {
    /// At the first epoch whose `val_loss` is no better than the best before it.
    pub fn new() -> Self {
        EarlyStopping::default()
    }

    /// Looks at another number: `loss`, `val_accuracy`, any that an epoch reports.
    #[must_use]
    pub fn monitor(self, name: &str) -> Self {
        EarlyStopping { monitor: name.to_owned(), ..self }
    }

    /// Stops only after this many epochs in a row without an improvement. (0 stops as 1 does, as in Keras.)
    #[must_use]
    pub fn patience(self, epochs: usize) -> Self {
        EarlyStopping { patience: epochs, ..self }
    }

    /// Improvements of this much or less do not count.
    #[must_use]
    pub fn min_delta(self, min_delta: f64) -> Self {
        EarlyStopping { min_delta, ..self }
    }

    /// Whether larger is better. Known of losses (no) and accuracies (yes); to be said of other metrics.
    #[must_use]
    pub fn larger_is_better(self, larger: bool) -> Self {
        EarlyStopping { larger_is_better: Some(larger), ..self }
    }

    /// Whether the model gets back the weights of its best epoch at the end, stopped or not; by default it keeps the last
    /// ones. The optimizer's state stays, as in Keras.
    #[must_use]
    pub fn restore_best_weights(self, restore: bool) -> Self {
        EarlyStopping { restore_best_weights: restore, ..self }
    }

    /// The epoch after which the last `fit` was stopped, from 1; none where it ran to its end.
    pub fn stopped_epoch(&self) -> Option<usize> {
        self.run.stopped
    }

    /// The best epoch of the last `fit`, from 1.
    pub fn best_epoch(&self) -> Option<usize> {
        self.run.best.map(|(_, epoch)| epoch)
    }

    /// Whether `value` is an improvement. NaN is none.
    fn improves(&self, value: f64) -> bool {
        match self.run.best {
            None => !value.is_nan(),
            Some((best, _)) if self.run.larger_is_better => value - self.min_delta > best,
            Some((best, _)) => value + self.min_delta < best,
        }
    }

    /// Which way is better, by the number's name.
    fn direction(&self) -> Result<bool> {
        let name = self.monitor.strip_prefix("val_").unwrap_or(&self.monitor);
        let known = match name {
            "loss" => Some(false),
            name if name.ends_with("accuracy") => Some(true),
            _ => None,
        };
        self.larger_is_better.or(known).ok_or_else(|| {
            Error::value(
                "EarlyStopping",
                format!("is a larger `{name}` better or a smaller one? say it with `larger_is_better`"),
            )
        })
    }

    #[cold]
    fn unreported(&self, reported: &[String]) -> Error {
        let remedy = if self.monitor.starts_with("val_") && !reported.iter().any(|name| name.starts_with("val_")) {
            "; give `fit` data to validate on"
        } else {
            ""
        };
        let message = format!("no epoch reports `{}`, only {}{remedy}", self.monitor, reported.join(", "));
        Error::value("EarlyStopping", message)
    }
}

impl Callback for EarlyStopping {
    fn on_fit_begin(&mut self, reported: &[String]) -> Result<()> {
        if !(0.0..f64::INFINITY).contains(&self.min_delta) {
            let message = format!("min_delta {}: at least 0 and finite is expected", self.min_delta);
            return Err(Error::value("EarlyStopping", message));
        }
        if !reported.contains(&self.monitor) {
            return Err(self.unreported(reported));
        }
        self.run = Run { larger_is_better: self.direction()?, ..Run::default() };
        Ok(())
    }

    fn on_epoch_end(&mut self, record: &EpochRecord, model: &mut dyn Module) -> Result<ControlFlow<()>> {
        // A training that is being stopped has not finished its validation.
        let Some(value) = record.value(&self.monitor) else { return Ok(ControlFlow::Continue(())) };
        if self.improves(value) {
            self.run.best = Some((value, record.epoch));
            self.run.wait = 0;
            if self.restore_best_weights {
                self.run.weights = Some(model.state_dict());
            }
            return Ok(ControlFlow::Continue(()));
        }
        self.run.wait += 1;
        if self.run.wait < self.patience {
            return Ok(ControlFlow::Continue(()));
        }
        self.run.stopped = Some(record.epoch);
        Ok(ControlFlow::Break(()))
    }

    fn on_fit_end(&mut self, model: &mut dyn Module) -> Result<()> {
        match self.run.weights.take() {
            Some(weights) => model.load_state_dict(&weights, true).map(|_| ()),
            None => Ok(()),
        }
    }
}
