//! Options for `evaluate` and `predict`.

use kiln_tensor::{Error, Result};

/// Samples a batch, where nothing else is said: Keras's.
pub(crate) const BATCH: usize = 32;

/// Options for [`Trainer::evaluate_with`](crate::Trainer::evaluate_with) and
/// [`Trainer::predict_with`](crate::Trainer::predict_with).
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
