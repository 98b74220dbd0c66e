//! A smaller learning rate once a number has stopped getting better.

use super::monitor::{direction, expect_reported, foreign};
use crate::{Callback, EpochRecord, Run};
use kiln_nn::{StateDict, Stateful};
use kiln_optim::Optimizer;
use kiln_tensor::{Device, Error, Result, Tensor};

/// Multiplies the learning rate by a factor once a number has stopped getting better (PyTorch's and Keras's `ReduceLROnPlateau`).
///
/// It changes the optimizer's rate, which a schedule's factor is multiplied with: both work together. Defaults are PyTorch's: `val_loss`, a
/// factor of 0.1 after more than 10 epochs without an improvement of 1e−4 of the best value, no cooldown, no least rate. It goes on from one
/// `fit` to the next; what it has seen is its state ([`Stateful`]), the rate is part of the optimizer's.
///
/// ```
/// # use kiln_datasets::TensorDataset;
/// # use kiln_nn::{Dense, MeanSquaredError, Sequential};
/// # use kiln_optim::{LinearWarmup, Optimizer, Sgd};
/// # use kiln_tensor::{DType, Device, Tensor};
/// # use kiln_train::{FitOptions, ReduceOnPlateau, compile};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let cpu = Device::cpu();
/// # let model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1)?;
/// # let ones = |columns| Tensor::ones([50, columns], DType::F32, &cpu);
/// # let data = TensorDataset::new(ones(2)?, ones(1)?)?;
/// let optimizer = Sgd::new(0.1).schedule(LinearWarmup::new(10));
/// let mut trainer = compile(model, optimizer, MeanSquaredError::new());
/// let plateau = ReduceOnPlateau::new().factor(0.5).patience(3).least_rate(1e-5);
/// trainer.fit(&data, FitOptions::new().epochs(40).validation_split(0.2).callback(plateau))?;
/// assert!(trainer.optimizer.learning_rate() < 0.1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "ReduceLROnPlateau")]
pub struct ReduceOnPlateau {
    monitor: String,
    larger_is_better: Option<bool>,
    factor: f64,
    patience: usize,
    threshold: Threshold,
    cooldown: usize,
    least_rate: f64,
    seen: Seen,
}

/// What counts as an improvement.
#[derive(Clone, Copy, Debug)]
enum Threshold {
    /// More than this share of the best value.
    Relative(f64),
    Absolute(f64),
}

/// What it has seen.
#[derive(Clone, Copy, Default, Debug)]
struct Seen {
    best: Option<f64>,
    /// Epochs since the best one, but for those of a cooldown.
    wait: usize,
    /// What is left of a cooldown.
    cooling: usize,
}

/// A change of the rate by less is none, as in PyTorch.
const LEAST_CHANGE: f64 = 1e-8;

impl Default for ReduceOnPlateau {
    fn default() -> Self {
        ReduceOnPlateau {
            monitor: "val_loss".to_owned(),
            larger_is_better: None,
            factor: 0.1,
            patience: 10,
            threshold: Threshold::Relative(1e-4),
            cooldown: 0,
            least_rate: 0.0,
            seen: Seen::default(),
        }
    }
}

impl ReduceOnPlateau {
    /// PyTorch's defaults, by `val_loss`.
    pub fn new() -> Self {
        ReduceOnPlateau::default()
    }

    /// Looks at another number: `loss`, `val_accuracy`, any that an epoch reports.
    #[must_use]
    pub fn monitor(self, name: &str) -> Self {
        ReduceOnPlateau { monitor: name.to_owned(), ..self }
    }

    /// Whether larger is better (`mode="max"`). It is known of losses and of Kiln's metrics; set it for other metrics.
    #[must_use]
    pub fn larger_is_better(self, larger: bool) -> Self {
        ReduceOnPlateau { larger_is_better: Some(larger), ..self }
    }

    /// What the learning rate is multiplied by.
    #[must_use]
    pub fn factor(self, factor: f64) -> Self {
        ReduceOnPlateau { factor, ..self }
    }

    /// Reduces the rate after more than this many epochs without an improvement.
    #[must_use]
    pub fn patience(self, epochs: usize) -> Self {
        ReduceOnPlateau { patience: epochs, ..self }
    }

    /// Improvements of this share of the best value or less do not count.
    #[must_use]
    pub fn threshold(self, share: f64) -> Self {
        ReduceOnPlateau { threshold: Threshold::Relative(share), ..self }
    }

    /// Improvements of this much or less do not count.
    #[must_use]
    pub fn absolute_threshold(self, threshold: f64) -> Self {
        ReduceOnPlateau { threshold: Threshold::Absolute(threshold), ..self }
    }

    /// Epochs after a reduction in which a missing improvement does not count.
    #[must_use]
    pub fn cooldown(self, epochs: usize) -> Self {
        ReduceOnPlateau { cooldown: epochs, ..self }
    }

    /// The learning rate does not become smaller than this.
    #[doc(alias = "min_lr")]
    #[must_use]
    pub fn least_rate(self, rate: f64) -> Self {
        ReduceOnPlateau { least_rate: rate, ..self }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// One sentence.
    pub fn check(&self) -> Result<()> {
        let (Threshold::Relative(threshold) | Threshold::Absolute(threshold)) = self.threshold;
        let refused = |message: String| Err(Error::value("ReduceOnPlateau", message));
        if !(self.factor > 0.0 && self.factor < 1.0) {
            return refused(format!("factor {}: a number between 0 and 1 is expected", self.factor));
        }
        for (name, value) in [("threshold", threshold), ("least_rate", self.least_rate)] {
            if !(value >= 0.0 && value.is_finite()) {
                return refused(format!("{name} {value}: at least 0 and finite is expected"));
            }
        }
        Ok(())
    }

    /// Takes the value of one more epoch, and reduces the optimizer's rate if patience has run out. `fit` calls it after each epoch, a
    /// custom loop calls it itself. Smaller is better unless [`larger_is_better`](ReduceOnPlateau::larger_is_better) says otherwise.
    /// Returns whether the rate was reduced.
    ///
    /// # Errors
    /// Settings that make no sense.
    pub fn observe(&mut self, value: f64, optimizer: &mut dyn Optimizer) -> Result<bool> {
        self.check()?;
        if self.improves(value) {
            (self.seen.best, self.seen.wait) = (Some(value), 0);
        } else {
            self.seen.wait += 1;
        }
        if self.seen.cooling > 0 {
            (self.seen.cooling, self.seen.wait) = (self.seen.cooling - 1, 0);
        }
        if self.seen.wait <= self.patience {
            return Ok(false);
        }
        (self.seen.cooling, self.seen.wait) = (self.cooldown, 0);
        let rate = optimizer.learning_rate();
        let smaller = (rate * self.factor).max(self.least_rate);
        let reduces = rate - smaller > LEAST_CHANGE;
        if reduces {
            optimizer.set_learning_rate(smaller);
        }
        Ok(reduces)
    }

    /// Whether `value` is an improvement. NaN is none.
    fn improves(&self, value: f64) -> bool {
        let Some(best) = self.seen.best else { return !value.is_nan() };
        let larger = self.larger_is_better == Some(true);
        let (sign, limit) = match self.threshold {
            Threshold::Relative(share) if larger => (1.0, best * (1.0 + share)),
            Threshold::Relative(share) => (-1.0, best * (1.0 - share)),
            Threshold::Absolute(threshold) if larger => (1.0, best + threshold),
            Threshold::Absolute(threshold) => (-1.0, best - threshold),
        };
        sign * value > sign * limit
    }
}

impl Callback for ReduceOnPlateau {
    fn on_fit_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.check()?;
        expect_reported("ReduceOnPlateau", &self.monitor, run)?;
        self.larger_is_better = Some(direction("ReduceOnPlateau", &self.monitor, self.larger_is_better, run)?);
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        // An epoch that is left is not one yet, and may not have finished its validation.
        match record.value(&self.monitor).filter(|_| run.state.epoch == record.epoch as u64) {
            Some(value) => self.observe(value, run.optimizer).map(drop),
            None => Ok(()),
        }
    }

    fn state(&mut self) -> Option<(&'static str, &mut dyn Stateful)> {
        Some(("ReduceOnPlateau", self))
    }
}

impl Stateful for ReduceOnPlateau {
    /// `wait`, `cooling`, and once there is one `best`.
    fn state_dict(&self) -> Result<StateDict> {
        let cpu = Device::cpu();
        let mut state = StateDict::new();
        for (name, count) in [("wait", self.seen.wait), ("cooling", self.seen.cooling)] {
            state.insert(name.to_owned(), Tensor::scalar(count as i64, &cpu)?);
        }
        if let Some(best) = self.seen.best {
            state.insert("best".to_owned(), Tensor::scalar(best, &cpu)?);
        }
        Ok(state)
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let foreign = |why| foreign("reduce_on_plateau.load_state_dict", "ReduceOnPlateau", why);
        let number = |name: &str| state.get(name).map(Tensor::item).transpose();
        let count = |name: &str| number(name)?.ok_or_else(|| foreign(format!("`{name}` is missing")));
        if let Some(name) = state.keys().find(|name| !["wait", "cooling", "best"].contains(&name.as_str())) {
            return Err(foreign(format!("`{name}` does not belong here")));
        }
        let (wait, cooling) = (count("wait")? as usize, count("cooling")? as usize);
        self.seen = Seen { best: number("best")?, wait, cooling };
        Ok(())
    }
}
