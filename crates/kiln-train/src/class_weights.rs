//! Weights of samples by their class.

use kiln_datasets::Batch;
use kiln_tensor::{DType, Device, Error, ErrorKind, Result, Tensor};

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
                "that is no number of a class"
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

    /// The weights of a batch's samples, (n,), by their targets: labels (n,) or (n, 1), or one-hot rows (n, classes).
    pub(crate) fn of(&self, batch: &Batch) -> Result<Tensor> {
        if batch.weights.is_some() {
            return Err(Error::value(
                "class_weight",
                "the data has weights of its own for each sample: give one or the other",
            ));
        }
        let targets = &batch.targets;
        let labels = match targets.dims() {
            [_] => targets.clone(),
            [samples, 1] => targets.reshape([*samples])?,
            [_, _] => targets.arg_max(-1)?,
            _ => {
                return Err(Error::new(
                    ErrorKind::Shape,
                    "class_weight",
                    format!(
                        "targets of one class a sample are expected, (n,) or (n, classes), got {}",
                        targets.shape()
                    ),
                ));
            }
        };
        let labels = if labels.dtype().is_float() { labels.round()? } else { labels };
        self.table.index_select(0, &labels.to_dtype(DType::I64)?.minimum(&self.last)?)
    }
}
