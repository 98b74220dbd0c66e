//! Top-k accuracy.

use super::MeanMetric;
use super::classes::check_labels;
use kiln_nn::ClassAxis;
use kiln_tensor::{DType, Error, Result, Tensor};

/// The share of targets whose class is among the k largest outputs; a class whose output is equal to the k-th largest
/// counts (as in TensorFlow's `in_top_k`). Targets are labels or one-hot. The axis of classes: [`ClassAxis`].
#[derive(Clone, Copy, Debug)]
pub struct TopKAccuracy {
    k: usize,
    axis: ClassAxis,
}

impl TopKAccuracy {
    /// For the k largest outputs. k is at least 1 and at most the number of classes; another one is an error with the
    /// first batch.
    pub const fn new(k: usize) -> Self {
        TopKAccuracy { k, axis: ClassAxis::BY_RANK }
    }

    /// The axis of classes; the batch is axis 0, negative ones count from the end.
    #[must_use]
    pub const fn axis(self, axis: isize) -> Self {
        TopKAccuracy { axis: ClassAxis::at(axis), ..self }
    }
}

impl MeanMetric for TopKAccuracy {
    fn name(&self) -> &'static str {
        "top_k_accuracy"
    }
    fn larger_is_better(&self) -> Option<bool> {
        Some(true)
    }
    fn takes_steps(&self) -> bool {
        self.axis == ClassAxis::BY_RANK
    }
    fn each(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let name = "top_k_accuracy";
        let axis = self.axis.of(name, predictions.shape())?;
        let classes = predictions.dims()[axis];
        if self.k == 0 || self.k > classes {
            return Err(Error::value(name, format!("k from 1 to {classes}, the classes, is expected, got {}", self.k)));
        }
        let labels = if targets.shape() == predictions.shape() {
            targets.argmax(axis)?
        } else {
            targets.to_dtype(DType::I64)?
        };
        let mut each = predictions.dims().to_vec();
        each.remove(axis);
        if labels.elements() != each.iter().product::<usize>() || targets.dtype().is_float() && labels.dims() != each {
            let message = format!("targets {} for predictions {}: one label for each is needed", targets.shape(), predictions.shape());
            return Err(Error::shape(name, message));
        }
        check_labels(name, &labels, classes)?;
        let mut order: Vec<usize> = (0..predictions.rank()).filter(|&other| other != axis).collect();
        order.push(axis);
        let rows = predictions.permute(&order)?.reshape([labels.elements(), classes])?;
        let at = labels.reshape([labels.elements(), 1])?.eq(&Tensor::arange(classes, labels.device())?)?;
        let lowest = Tensor::full((), f64::NEG_INFINITY, rows.dtype(), rows.device())?;
        let own = Tensor::select(&at, &rows, &lowest)?.max_keepdim(1)?;
        let before = rows.gt(&own)?.to_dtype(DType::F32)?.sum(1)?;
        let among = before.lt(&Tensor::full((), self.k as f64, DType::F32, before.device())?)?;
        // NaN is not larger than anything, nor equal to itself.
        among.logical_and(&own.eq(&own)?.reshape([labels.elements()])?)?.reshape(each)
    }
}
