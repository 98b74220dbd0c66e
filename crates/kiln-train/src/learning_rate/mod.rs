//! Finding a learning rate: by a short training whose rate grows with each step (Smith 2017).

mod found;
mod search;

pub use found::{LearningRates, RatePoint};

use crate::{FitOptions, Objective, TrainState, Trainer};
use kiln_datasets::Dataset;
use kiln_nn::{Snapshot, StateDict};
use kiln_optim::Optimizer;
use kiln_tensor::{Error, ErrorKind, Result};
use search::Search;

/// How [`Trainer::find_learning_rate`] looks for a rate: the rate of step i is min · (max / min)^(i / (steps − 1)). The defaults are
/// fastai's: 100 steps from 1e−7 to 10.
#[derive(Clone, Debug)]
pub struct LearningRateFinder {
    min: f64,
    max: f64,
    steps: usize,
    diverges_at: f64,
}

/// Fewer steps say nothing.
const LEAST_STEPS: usize = 10;

impl Default for LearningRateFinder {
    fn default() -> Self {
        LearningRateFinder { min: 1e-7, max: 10.0, steps: 100, diverges_at: 4.0 }
    }
}

impl LearningRateFinder {
    /// 100 steps from 1e−7 to 10.
    pub fn new() -> Self {
        LearningRateFinder::default()
    }

    /// The rate of the first step.
    #[must_use]
    pub fn min(self, rate: f64) -> Self {
        LearningRateFinder { min: rate, ..self }
    }

    /// The rate of the last step, where the loss does not diverge before.
    #[must_use]
    pub fn max(self, rate: f64) -> Self {
        LearningRateFinder { max: rate, ..self }
    }

    /// Steps of the optimizer, at least 10.
    #[must_use]
    pub fn steps(self, steps: usize) -> Self {
        LearningRateFinder { steps, ..self }
    }

    /// Ends once the smoothed loss is above best + (factor − 1) · |best|, where best is the smallest one so far: of a loss above 0, above
    /// factor times that. The factor is 4 by default.
    #[must_use]
    pub fn diverges_at(self, factor: f64) -> Self {
        LearningRateFinder { diverges_at: factor, ..self }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// One sentence.
    pub fn check(&self) -> Result<()> {
        let refused = |message: String| Err(Error::value("find_learning_rate", message));
        for (name, rate) in [("min", self.min), ("max", self.max)] {
            if !(rate > 0.0 && rate.is_finite()) {
                return refused(format!("{name} {rate}: a number above 0 and finite is expected"));
            }
        }
        if self.max <= self.min {
            return refused(format!("max {} is not above min {}", self.max, self.min));
        }
        if self.steps < LEAST_STEPS {
            return refused(format!("{} steps: at least {LEAST_STEPS} are needed", self.steps));
        }
        if !(self.diverges_at > 1.0 && self.diverges_at.is_finite()) {
            return refused(format!("diverges_at {}: a number above 1 and finite is expected", self.diverges_at));
        }
        Ok(())
    }

    /// The rate of a step, from 0.
    fn rate(&self, step: usize) -> f64 {
        let part = step as f64 / (self.steps - 1) as f64;
        self.min * (self.max / self.min).powf(part)
    }
}

impl<O: Objective, P: Optimizer> Trainer<O, P> {
    /// Looks for a learning rate: trains for some steps whose rate grows exponentially, with the loss of each, until the loss diverges
    /// (Smith 2017; fastai's `lr_find`, Lightning's `lr_find`). Afterwards everything is as before, bit for bit: weights, buffers, the
    /// optimizer's state, counters and what layers carry. The rates are those of the steps, whatever the optimizer's schedule.
    ///
    /// `options` are those of the training to come: of them batch size, seed, splits, class weights, accumulation, clipping, workers, progress
    /// bar and the flag that stops it count; callbacks are not called, and nothing is validated.
    ///
    /// ```
    /// # use kiln_datasets::TensorDataset;
    /// # use kiln_nn::{Dense, MeanSquaredError, Sequential};
    /// # use kiln_optim::{Optimizer, Sgd};
    /// # use kiln_tensor::{DType, Device, Tensor};
    /// # use kiln_train::{FitOptions, LearningRateFinder, compile};
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// # let cpu = Device::cpu();
    /// # let model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1)?;
    /// # let ones = |columns| Tensor::ones([50, columns], DType::F32, &cpu);
    /// # let data = TensorDataset::new(ones(2)?, ones(1)?)?;
    /// let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
    /// let rates = trainer.find_learning_rate(&data, FitOptions::new().batch_size(10), &LearningRateFinder::new())?;
    /// if let Some(rate) = rates.suggestion() {
    ///     trainer.optimizer.set_learning_rate(rate);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Trainer::fit`], but for a loss that is not finite, which ends the search; settings of the finder that make no sense; a schedule
    /// whose factor is 0.
    pub fn find_learning_rate(
        &mut self,
        data: &dyn Dataset,
        options: FitOptions<'_>,
        finder: &LearningRateFinder,
    ) -> Result<LearningRates> {
        finder.check()?;
        let before = Before::of(&self.objective, &self.optimizer)?;
        // A training of its own, from the beginning of an epoch.
        let own =
            TrainState { seed: self.state.seed, loss_scale: self.state.loss_scale.clone(), ..TrainState::default() };
        let (state, batch_size) = (std::mem::replace(&mut self.state, own), self.batch_size);
        let mut search = Search::new(finder);
        let done = self.fit(data, options.for_search(finder.steps, &mut search));
        (self.state, self.batch_size) = (state, batch_size);
        before.restore(&mut self.objective, &mut self.optimizer)?;
        match done {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Diverged => search.found.diverged = true,
            Err(error) => return Err(error),
        }
        Ok(search.found)
    }
}

/// What a search changes, as it was.
struct Before {
    weights: Snapshot,
    optimizer: StateDict,
    carried: StateDict,
}

impl Before {
    fn of(objective: &impl Objective, optimizer: &impl Optimizer) -> Result<Self> {
        let mut weights = Snapshot::new();
        weights.take(objective)?;
        Ok(Before { weights, optimizer: optimizer.state_dict()?, carried: objective.carried_states() })
    }

    fn restore(self, objective: &mut impl Objective, optimizer: &mut impl Optimizer) -> Result<()> {
        self.weights.restore(objective)?;
        optimizer.load_state_dict(&self.optimizer)?;
        objective.set_carried_states(&self.carried)
    }
}
