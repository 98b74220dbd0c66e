//! Weights of samples by their class.

use crate::{Callback, Run};
use kiln_datasets::Batch;
use kiln_tensor::{DType, Device, Error, Result, Shape, Tensor};

/// Above this, a number is hardly that of a class, and its table would be large.
const MOST_CLASSES: usize = 1 << 24;

/// The weight of each class, and 1 for those that were not named.
pub(crate) struct ClassWeights {
    /// By class; the last entry is that of every class from there on.
    table: Tensor,
    last: Tensor,
}

impl ClassWeights {
    pub(crate) fn new(weights: &[(usize, f64)], device: &Device) -> Result<Self> {
        let mut table = Vec::new();
        for (position, &(class, weight)) in weights.iter().enumerate() {
            let why = if !(0.0..f64::INFINITY).contains(&weight) {
                "a weight of at least 0 and finite is expected"
            } else if class >= MOST_CLASSES {
                "that is not a class"
            } else if weights[..position].iter().any(|&(other, _)| other == class) {
                "this class has a weight already"
            } else {
                if table.len() <= class {
                    table.resize(class + 1, 1.0);
                }
                table[class] = weight;
                continue;
            };
            return Err(Error::value("class_weight", format!("class {class} with weight {weight}: {why}")));
        }
        let last = table.len();
        table.push(1.0);
        Ok(ClassWeights {
            table: Tensor::from_vec(table, [last + 1], device)?,
            last: Tensor::scalar(last as i64, device)?,
        })
    }

    /// The weights of a batch's targets by their classes, times those that the data has.
    fn of(&self, batch: &Batch, labels: &Tensor) -> Result<Tensor> {
        // A masked step's label may be anything; one that is not masked the loss refuses.
        let none = Tensor::scalar(0i64, labels.device())?;
        let classes = labels.reshape([labels.elements()])?.minimum(&self.last)?.maximum(&none)?;
        let by_class = self.table.index_select(0, &classes)?.reshape(labels.shape())?;
        let Some(given) = batch.weights.of(0) else { return Ok(by_class) };
        // One a sample goes over all of its steps.
        let rank = by_class.rank().max(given.rank());
        let over = |weights: &Tensor| {
            let mut dims = weights.dims().to_vec();
            dims.resize(rank, 1);
            weights.reshape(Shape::new(&dims)?)
        };
        over(&by_class)?.mul(&over(&given.to_dtype(DType::F64)?)?)
    }
}

impl Callback for ClassWeights {
    fn on_batch_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        if let Some(batch) = &mut run.batch {
            batch.weights = self.of(batch, &run.model.labels(&batch.targets)?)?.into();
        }
        Ok(())
    }
}
