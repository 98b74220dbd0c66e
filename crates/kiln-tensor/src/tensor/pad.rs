//! Padding with a constant, and cutting it off.

use super::Tensor;
use crate::{Error, MAX_RANK, Result, Shape, View};

/// Checks that there are pairs for the last axes of a shape, and gives the first of these.
fn first_axis(operation: &'static str, shape: &Shape, sides: &[(usize, usize)]) -> Result<usize> {
    shape.rank().checked_sub(sides.len()).ok_or_else(|| {
        Error::shape(operation, format!("{} axes are to be padded, {shape} has {}", sides.len(), shape.rank()))
    })
}

impl Tensor {
    /// `value` before and after the last axes, as many as there are pairs: `&[(1, 1), (0, 2)]` pads the last axis but one by
    /// one on either side, and the last by two at its end.
    ///
    /// # Errors
    /// More pairs than axes, more elements than memory can hold.
    pub fn pad(&self, sides: &[(usize, usize)], value: f64) -> Result<Tensor> {
        let first = first_axis("pad", self.shape(), sides)?;
        let mut dims = [0; MAX_RANK];
        dims[..self.rank()].copy_from_slice(self.dims());
        for (size, &(before, after)) in dims[first..].iter_mut().zip(sides) {
            *size = size.saturating_add(before).saturating_add(after);
        }
        let out = Tensor::full(&dims[..self.rank()], value, self.dtype, self.device())?;
        let mut inner = out.layout;
        for (axis, &(before, _)) in (first..).zip(sides) {
            inner = inner.slice(axis, before, self.dims()[axis], 1)?;
        }
        let target = View { buffer: out.storage.buffer(), dtype: self.dtype, layout: &inner };
        self.device().copy(target, self.view())?;
        Ok(out)
    }

    /// Without that many elements before and after the last axes, as a view: what [`Tensor::pad`] added.
    ///
    /// # Errors
    /// More pairs than axes, more elements than an axis has.
    pub fn crop(&self, sides: &[(usize, usize)]) -> Result<Tensor> {
        let first = first_axis("crop", self.shape(), sides)?;
        let mut layout = self.layout;
        for (axis, &(before, after)) in (first..).zip(sides) {
            let size = self.dims()[axis];
            let Some(kept) = size.checked_sub(before).and_then(|rest| rest.checked_sub(after)) else {
                return Err(Error::shape(
                    "crop",
                    format!("{before} and {after} elements are more than axis {axis} of {} has", self.shape()),
                ));
            };
            layout = layout.slice(axis, before, kept, 1)?;
        }
        Ok(self.with_layout(layout))
    }
}
