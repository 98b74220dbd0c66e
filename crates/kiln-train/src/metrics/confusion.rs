//! The confusion matrix.

use super::classes::{Classes, Reading, class_settings};
use super::{Metric, MetricState, MetricValue, Seen, Table};
use kiln_tensor::{DType, Result, Tensor};
use std::borrow::Cow;

/// The number of targets of each class (rows) that were predicted to be of each class (columns), as in scikit-learn.
/// It is a table, so it is not a column of a history: get it from an evaluation with
/// [`Evaluation::table`](crate::Evaluation::table).
///
/// ```
/// use kiln_tensor::{Device, Tensor};
/// use kiln_train::{ConfusionMatrix, Metric};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let cpu = Device::cpu();
/// let scores = Tensor::from_slice(&[0.9f32, 0.1, 0.2, 0.8, 0.3, 0.7], [3, 2], &cpu)?;
/// let labels = Tensor::from_slice(&[0i64, 0, 1], [3], &cpu)?;
/// let matrix = ConfusionMatrix::new().of(&scores, &labels)?;
/// assert_eq!(matrix.table().unwrap().values(), [1.0, 1.0, 0.0, 1.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ConfusionMatrix {
    reading: Reading,
}

impl Default for ConfusionMatrix {
    fn default() -> Self {
        ConfusionMatrix::new()
    }
}

impl ConfusionMatrix {
    /// The predicted class is the largest output; a single output is class 1 above a threshold of ½.
    pub const fn new() -> Self {
        ConfusionMatrix { reading: Reading::NEW }
    }
}
class_settings!(ConfusionMatrix);

impl Metric for ConfusionMatrix {
    fn name(&self) -> Cow<'static, str> {
        "confusion_matrix".into()
    }
    fn update(&self, state: &mut MetricState, seen: &Seen<'_>) -> Result<()> {
        let read = Classes::read("confusion_matrix", seen, &self.reading)?;
        let size = read.classes;
        let row = read.labels.mul(&Tensor::full((), size as f64, DType::I64, read.labels.device())?)?;
        let mut cells = Tensor::zeros([size * size], DType::F64, row.device())?;
        cells.index_add_assign(0, &row.add(&read.predicted)?, &read.weights()?)?;
        state.add("cells", &cells)
    }
    fn value(&self, state: &MetricState) -> Result<MetricValue> {
        let cells = state.sums("cells")?;
        if cells.is_empty() {
            return Ok(MetricValue::no_targets());
        }
        Ok(MetricValue::Table(Table::new(cells.len().isqrt(), cells)))
    }
}
