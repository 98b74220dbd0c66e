//! The end of a training whose number has stopped getting better.

use super::monitor::{direction, expect_reported, foreign};
use crate::{Callback, EpochRecord, Run};
use kiln_nn::{Snapshot, StateDict, Stateful};
use kiln_tensor::{Device, Error, Result, Tensor};

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
    seen: Seen,
    /// Whether the next `fit` goes on with what was loaded.
    resumed: bool,
}

/// What one call of `fit` has seen.
#[derive(Clone, Default, Debug)]
struct Seen {
    larger_is_better: bool,
    /// The best value and its epoch.
    best: Option<(f64, usize)>,
    /// Epochs since.
    wait: usize,
    stopped: Option<usize>,
    /// Those of the best epoch; empty before it.
    weights: Snapshot,
    /// What the model was trained to, while it has the weights of the best epoch.
    trained: Snapshot,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        EarlyStopping {
            monitor: "val_loss".to_owned(),
            patience: 0,
            min_delta: 0.0,
            larger_is_better: None,
            restore_best_weights: false,
            seen: Seen::default(),
            resumed: false,
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

    /// Whether larger is better. It is known of losses and of Kiln's metrics; set it for other metrics.
    #[must_use]
    pub fn larger_is_better(self, larger: bool) -> Self {
        EarlyStopping { larger_is_better: Some(larger), ..self }
    }

    /// Whether the model gets back the weights of its best epoch at the end, stopped or not; by default it keeps the last
    /// ones. The optimizer's state stays, as in Keras.
    ///
    /// A second `fit` continues from the weights of the best epoch. A training that is resumed with the callback's state ([`Stateful`])
    /// continues from the last trained weights, with the same bits as an uninterrupted one.
    #[must_use]
    pub fn restore_best_weights(self, restore: bool) -> Self {
        EarlyStopping { restore_best_weights: restore, ..self }
    }

    /// The epoch after which the last `fit` was stopped, from 1; none where it ran to its end.
    pub fn stopped_epoch(&self) -> Option<usize> {
        self.seen.stopped
    }

    /// The best epoch of the last `fit`, from 1.
    pub fn best_epoch(&self) -> Option<usize> {
        self.seen.best.map(|(_, epoch)| epoch)
    }

    /// Whether `value` is an improvement. NaN is none.
    fn improves(&self, value: f64) -> bool {
        match self.seen.best {
            None => !value.is_nan(),
            Some((best, _)) if self.seen.larger_is_better => value - self.min_delta > best,
            Some((best, _)) => value + self.min_delta < best,
        }
    }
}

impl Callback for EarlyStopping {
    fn on_fit_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        if !(0.0..f64::INFINITY).contains(&self.min_delta) {
            let message = format!("min_delta {}: at least 0 and finite is expected", self.min_delta);
            return Err(Error::value("EarlyStopping", message));
        }
        expect_reported("EarlyStopping", &self.monitor, run)?;
        let larger_is_better = direction("EarlyStopping", &self.monitor, self.larger_is_better, run)?;
        if !std::mem::take(&mut self.resumed) {
            self.seen = Seen::default();
        } else if !self.seen.trained.is_empty() {
            std::mem::take(&mut self.seen.trained).restore(run.model)?;
        }
        self.seen.larger_is_better = larger_is_better;
        self.seen.stopped = None;
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        // An epoch that is left is not one yet, and may not have finished its validation.
        let completed = run.state.epoch == record.epoch as u64;
        let Some(value) = record.value(&self.monitor).filter(|_| completed) else { return Ok(()) };
        if self.improves(value) {
            self.seen.best = Some((value, record.epoch));
            self.seen.wait = 0;
            if self.restore_best_weights {
                self.seen.weights.take(run.model)?;
            }
            return Ok(());
        }
        self.seen.wait += 1;
        if self.seen.wait >= self.patience {
            self.seen.stopped = Some(record.epoch);
            run.stop();
        }
        Ok(())
    }

    fn on_fit_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        if self.seen.weights.is_empty() {
            return Ok(());
        }
        self.seen.trained.take(run.model)?;
        self.seen.weights.restore(run.model)
    }

    fn state(&mut self) -> Option<(&'static str, &mut dyn Stateful)> {
        Some(("EarlyStopping", self))
    }
}

/// What it has seen: a resumed `fit` continues with it.
impl Stateful for EarlyStopping {
    /// `wait`, and once there is one `best`, `best_epoch` and the weights, `weights.PATH`; while the model has these, `trained.PATH`.
    fn state_dict(&self) -> Result<StateDict> {
        let cpu = Device::cpu();
        let mut state = StateDict::new();
        for (part, values) in [("weights", &self.seen.weights), ("trained", &self.seen.trained)] {
            let values = values.state_dict().into_iter();
            state.extend(values.map(|(path, value)| (format!("{part}.{path}"), value)));
        }
        state.insert("wait".to_owned(), Tensor::scalar(self.seen.wait as i64, &cpu)?);
        if let Some((best, epoch)) = self.seen.best {
            state.insert("best".to_owned(), Tensor::scalar(best, &cpu)?);
            state.insert("best_epoch".to_owned(), Tensor::scalar(epoch as i64, &cpu)?);
        }
        Ok(state)
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let foreign = |why| foreign("early_stopping.load_state_dict", "EarlyStopping", why);
        let number = |name: &str| state.get(name).map(Tensor::item).transpose();
        let wait = number("wait")?.ok_or_else(|| foreign("`wait` is missing".to_owned()))?;
        let best = number("best")?.zip(number("best_epoch")?);
        let (mut weights, mut trained) = (StateDict::new(), StateDict::new());
        for (name, value) in state {
            match name.split_once('.') {
                Some(("weights", path)) => drop(weights.insert(path.to_owned(), value.clone())),
                Some(("trained", path)) => drop(trained.insert(path.to_owned(), value.clone())),
                _ if ["wait", "best", "best_epoch"].contains(&name.as_str()) => {}
                _ => return Err(foreign(format!("`{name}` does not belong here"))),
            }
        }
        let best = best.map(|(value, epoch)| (value, epoch as usize));
        let (weights, trained) = (weights.into(), trained.into());
        self.seen = Seen { best, wait: wait as usize, weights, trained, ..Seen::default() };
        self.resumed = true;
        Ok(())
    }
}
