//! The end of a training whose number has passed a threshold.

use super::monitor::expect_reported;
use crate::{Callback, EpochRecord, Run};
use kiln_tensor::{Error, Result};

/// Ends the training once a number has passed a threshold: a goal that is reached, or a loss that has grown too large (PyTorch
/// Lightning's `stopping_threshold` and `divergence_threshold`).
///
/// ```
/// # use kiln_datasets::TensorDataset;
/// # use kiln_nn::{Dense, MeanSquaredError, Sequential};
/// # use kiln_optim::Sgd;
/// # use kiln_tensor::{DType, Device, Tensor};
/// # use kiln_train::{FitOptions, TerminateOn, compile};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let cpu = Device::cpu();
/// # let model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1)?;
/// # let ones = |columns| Tensor::ones([50, columns], DType::F32, &cpu);
/// # let data = TensorDataset::new(ones(2)?, ones(1)?)?;
/// # let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
/// let goal = TerminateOn::new("val_loss").below(0.01);
/// let history = trainer.fit(&data, FitOptions::new().epochs(1000).validation_split(0.2).callback(goal))?;
/// assert!(history.epochs.len() < 1000);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TerminateOn {
    monitor: String,
    below: f64,
    above: f64,
}

impl TerminateOn {
    /// Looks at a number that epochs report, `loss`, `val_accuracy`; [`below`](TerminateOn::below) and
    /// [`above`](TerminateOn::above) say when it ends the training.
    pub fn new(monitor: &str) -> Self {
        TerminateOn { monitor: monitor.to_owned(), below: f64::NEG_INFINITY, above: f64::INFINITY }
    }

    /// At the first epoch whose number is below this.
    #[must_use]
    pub fn below(self, threshold: f64) -> Self {
        TerminateOn { below: threshold, ..self }
    }

    /// At the first epoch whose number is above this.
    #[must_use]
    pub fn above(self, threshold: f64) -> Self {
        TerminateOn { above: threshold, ..self }
    }
}

impl Callback for TerminateOn {
    fn on_fit_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        if self.below.is_nan() || self.above.is_nan() || !(self.below.is_finite() || self.above.is_finite()) {
            let message = "a threshold is missing: say `below` or `above` with a finite number";
            return Err(Error::value("TerminateOn", message));
        }
        expect_reported("TerminateOn", &self.monitor, run)
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        if record.value(&self.monitor).is_some_and(|value| value < self.below || value > self.above) {
            run.stop();
        }
        Ok(())
    }
}
