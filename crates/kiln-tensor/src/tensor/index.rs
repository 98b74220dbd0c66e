//! Gathering by index, and its adjoint.

use super::{IntoAxis, Tensor, axis_index, check_device, check_pair};
use crate::{DType, Error, ErrorKind, Result, unsupported_dtype};

/// The error of a label or index out of range.
#[cold]
pub(crate) fn label_outside(operation: &'static str, row: usize, label: i64, classes: usize) -> Error {
    Error::new(
        ErrorKind::Index,
        operation,
        format!(
            "row {row} has index {label}, expected 0 to {}: there are {classes} to choose from",
            classes as i128 - 1
        ),
    )
}

impl Tensor {
    /// An index tensor as i64, checked against an axis where the host can see its values.
    fn checked_index(&self, operation: &'static str, index: &Tensor, size: usize) -> Result<Tensor> {
        check_device(operation, self, index)?;
        if !index.dtype.is_integer() {
            return Err(unsupported_dtype(operation, index.dtype, "an index of integers"));
        }
        let index = index.to_dtype(DType::I64)?;
        if index.rank() != 1 {
            return Err(Error::shape(operation, format!("an index of one axis is expected, got {}", index.shape())));
        }
        if self.device().backend().is_host() {
            let values = index.contiguous()?;
            let outside = |&(_, &at): &(usize, &i64)| at < 0 || at >= size as i64;
            if let Some((row, &at)) = values.as_slice::<i64>()?.iter().enumerate().find(outside) {
                return Err(label_outside(operation, row, at, size));
            }
        }
        Ok(index)
    }

    /// The elements at `index` (integers, one axis) of `axis`: rows of an embedding, say.
    ///
    /// # Errors
    /// An axis or an index out of range, an index that is not of integers.
    pub fn index_select(&self, axis: impl IntoAxis, index: &Tensor) -> Result<Tensor> {
        let axis = axis_index("index_select", axis, self.shape())?;
        let index = self.checked_index("index_select", index, self.dims()[axis])?;
        let source = self.contiguous()?;
        let out = Tensor::output(&self.shape().with_size(axis, index.elements())?, self.dtype, self.device())?;
        self.device().gather(out.out(), source.view(), index.view(), axis)?;
        Ok(out)
    }

    /// self += source at `index` of `axis`; equal indices add up in order.
    ///
    /// # Errors
    /// Shapes that do not fit, an axis or an index out of range, dtypes or devices that differ.
    pub fn scatter_add(&mut self, axis: impl IntoAxis, index: &Tensor, source: &Tensor) -> Result<()> {
        check_pair("scatter_add", self, source)?;
        let axis = axis_index("scatter_add", axis, self.shape())?;
        let index = &self.checked_index("scatter_add", index, self.dims()[axis])?;
        let picked = self.shape().with_size(axis, index.elements())?;
        if *source.shape() != picked {
            return Err(Error::shape(
                "scatter_add",
                format!(
                    "an index {} into axis {axis} of {} needs a source of {picked}, got {}",
                    index.shape(),
                    self.shape(),
                    source.shape()
                ),
            ));
        }
        let computed = self.dtype.computed_in();
        if computed != self.dtype {
            // Added up in f32, rounded once.
            let mut sums = self.to_dtype(computed)?;
            sums.scatter_add(axis, index, &source.to_dtype(computed)?)?;
            *self = sums.to_dtype(self.dtype)?;
            return Ok(());
        }
        let source = source.contiguous()?;
        self.own()?;
        self.device().scatter_add(self.out(), source.view(), index.view(), axis)
    }
}
