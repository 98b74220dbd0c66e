//! Views: the same memory in another shape; and joining, which copies.

use super::axes::new_axis_index;
use super::{IntoAxis, Tensor, axis_index};
use crate::{DType, Error, IntoShape, MAX_RANK, Result};
use std::ops::Range;

impl Tensor {
    /// The same elements in another shape; a view where that can be, else a copy.
    ///
    /// # Errors
    /// A shape with another number of elements.
    #[inline]
    pub fn reshape(&self, shape: impl IntoShape) -> Result<Tensor> {
        let shape = shape.into_shape()?;
        if shape.elements() != self.elements() {
            return Err(Error::shape(
                "reshape",
                format!("{} has {} elements, {shape} has {}", self.shape(), self.elements(), shape.elements()),
            ));
        }
        match self.layout.reshape(shape) {
            Some(layout) => Ok(self.with_layout(layout)),
            None => self.copied()?.reshape(shape),
        }
    }

    /// The axes from `start` on as one: (N, C, H, W) flattened from 1 is (N, C·H·W).
    ///
    /// # Errors
    /// An axis out of range.
    pub fn flatten(&self, start: impl IntoAxis) -> Result<Tensor> {
        // A `start` at the rank gives a new last axis: a scalar flattened from 0 has one element.
        let at_end = start.into_axis() == self.rank() as isize;
        let start = if at_end { self.rank() } else { axis_index("flatten", start, self.shape())? };
        let (kept, merged) = self.dims().split_at(start);
        let mut dims = [0; MAX_RANK + 1];
        dims[..start].copy_from_slice(kept);
        dims[start] = merged.iter().product();
        self.reshape(&dims[..=start])
    }

    /// Axes in another order: axis i of the result is axis `order[i]` of this.
    ///
    /// # Errors
    /// An axis out of range, missing or named twice.
    pub fn permute(&self, order: &[impl IntoAxis]) -> Result<Tensor> {
        let index = |&axis| axis_index("permute", axis, self.shape());
        let order = order.iter().map(index).collect::<Result<Vec<_>>>()?;
        Ok(self.with_layout(self.layout.permute(&order)?))
    }

    /// The axes `a` and `b` exchanged.
    ///
    /// # Errors
    /// An axis out of range.
    pub fn transpose(&self, a: impl IntoAxis, b: impl IntoAxis) -> Result<Tensor> {
        let a = axis_index("transpose", a, self.shape())?;
        let b = axis_index("transpose", b, self.shape())?;
        Ok(self.with_layout(self.layout.transpose(a, b)))
    }

    /// The transpose of a matrix.
    ///
    /// # Errors
    /// A tensor that is not of two axes.
    pub fn t(&self) -> Result<Tensor> {
        if self.rank() != 2 {
            return Err(Error::shape("t", format!("{} is not a matrix; use `transpose` or `permute`", self.shape())));
        }
        Ok(self.with_layout(self.layout.transpose(0, 1)))
    }

    /// The indices `range` of one axis.
    ///
    /// # Errors
    /// An axis out of range, a range that leaves the axis.
    pub fn slice(&self, axis: impl IntoAxis, range: Range<usize>) -> Result<Tensor> {
        self.slice_by(axis, range, 1)
    }

    /// Every `step`-th index of a range of one axis, from its end for a negative step.
    ///
    /// # Errors
    /// An axis out of range, a range that leaves the axis, a step of 0.
    pub fn slice_by(&self, axis: impl IntoAxis, range: Range<usize>, step: isize) -> Result<Tensor> {
        let axis = axis_index("slice", axis, self.shape())?;
        if step == 0 || range.start > range.end || range.end > self.dims()[axis] {
            return Err(Error::shape(
                "slice",
                format!("invalid range {range:?} with step {step} for axis {axis} of {}", self.shape()),
            ));
        }
        let size = range.len().div_ceil(step.unsigned_abs());
        let start = if step > 0 || size == 0 { range.start } else { range.end - 1 };
        Ok(self.with_layout(self.layout.slice(axis, start, size, step)?))
    }

    /// One axis the other way round.
    ///
    /// # Errors
    /// An axis out of range.
    pub fn flip(&self, axis: impl IntoAxis) -> Result<Tensor> {
        let axis = axis_index("flip", axis, self.shape())?;
        self.slice_by(axis, 0..self.dims()[axis], -1)
    }

    /// Index `at` of one axis, which goes.
    ///
    /// # Errors
    /// An axis or index out of range.
    pub fn index(&self, axis: impl IntoAxis, at: usize) -> Result<Tensor> {
        self.slice(axis, at..at.saturating_add(1))?.squeeze(axis)
    }

    /// A new axis of size 1 at `axis`, 0 to the rank; −1 is after the last axis.
    ///
    /// # Errors
    /// An axis out of range.
    pub fn unsqueeze(&self, axis: impl IntoAxis) -> Result<Tensor> {
        let axis = new_axis_index("unsqueeze", axis, self.shape())?;
        Ok(self.with_layout(self.layout.unsqueeze(axis)?))
    }

    /// Without the axis `axis` of size 1.
    ///
    /// # Errors
    /// An axis out of range or not of size 1.
    pub fn squeeze(&self, axis: impl IntoAxis) -> Result<Tensor> {
        let axis = axis_index("squeeze", axis, self.shape())?;
        if self.dims()[axis] != 1 {
            return Err(Error::shape("squeeze", format!("axis {axis} of {} is not of size 1", self.shape())));
        }
        Ok(self.with_layout(self.layout.squeeze(axis)))
    }

    /// Stretched by NumPy's rule, as a view: new leading axes, and axes of size 1, repeat.
    ///
    /// # Errors
    /// A shape that this does not broadcast to.
    #[inline]
    pub fn broadcast_to(&self, shape: impl IntoShape) -> Result<Tensor> {
        Ok(self.with_layout(self.layout.broadcast_to(&shape.into_shape()?)?))
    }

    /// One after the other along `axis`.
    ///
    /// # Errors
    /// No tensors, an axis out of range, shapes that differ in another axis, dtypes or devices that differ.
    pub fn concat(tensors: &[&Tensor], axis: impl IntoAxis) -> Result<Tensor> {
        let Some(first) = tensors.first() else {
            return Err(Error::value("concat", "at least one tensor is needed"));
        };
        let axis = axis_index("concat", axis, first.shape())?;
        let mut size = 0usize;
        for tensor in tensors {
            super::check_pair("concat", first, tensor)?;
            let fits = |i: usize| i == axis || tensor.dims()[i] == first.dims()[i];
            if tensor.rank() != first.rank() || !(0..first.rank()).all(fits) {
                return Err(Error::shape(
                    "concat",
                    format!("{} and {} differ in an axis other than {axis}", first.shape(), tensor.shape()),
                ));
            }
            size = size.saturating_add(tensor.dims()[axis]);
        }
        let mut out = Tensor::output(&first.shape().with_size(axis, size)?, first.dtype, first.device())?;
        let mut start = 0;
        for tensor in tensors {
            let size = tensor.dims()[axis];
            out.slice_assign(axis, start..start + size, tensor)?;
            start += size;
        }
        Ok(out)
    }

    /// Along a new axis, placed as by [`Tensor::unsqueeze`].
    ///
    /// # Errors
    /// As [`Tensor::concat`].
    pub fn stack(tensors: &[&Tensor], axis: impl IntoAxis) -> Result<Tensor> {
        let parts = tensors.iter().map(|tensor| tensor.unsqueeze(axis)).collect::<Result<Vec<_>>>()?;
        Tensor::concat(&parts.iter().collect::<Vec<_>>(), axis)
    }

    /// Pieces of `size` indices of an axis each, the last of what is left: views.
    ///
    /// # Errors
    /// An axis out of range, a size of 0.
    pub fn split(&self, axis: impl IntoAxis, size: usize) -> Result<Vec<Tensor>> {
        let axis = axis_index("split", axis, self.shape())?;
        if size == 0 {
            return Err(Error::value("split", "the size of the pieces must be above 0"));
        }
        let extent = self.dims()[axis];
        (0..extent).step_by(size).map(|start| self.slice(axis, start..extent.min(start.saturating_add(size)))).collect()
    }

    /// An axis in `count` equal pieces, views: the gates of a recurrent cell, say.
    ///
    /// # Errors
    /// An axis out of range, or whose size is not divisible by `count`.
    pub fn chunk(&self, axis: impl IntoAxis, count: usize) -> Result<Vec<Tensor>> {
        let axis = axis_index("chunk", axis, self.shape())?;
        let extent = self.dims()[axis];
        if count == 0 || !extent.is_multiple_of(count) {
            return Err(Error::shape(
                "chunk",
                format!("axis {axis} of {} cannot be split into {count} equal pieces", self.shape()),
            ));
        }
        let size = extent / count;
        (0..count).map(|i| self.slice(axis, i * size..(i + 1) * size)).collect()
    }

    /// Labels (…) as rows (…, classes) of f32 with a 1 at the label and 0 elsewhere.
    ///
    /// # Errors
    /// A dtype that is not an integer type, a label out of range.
    pub fn one_hot(&self, classes: usize) -> Result<Tensor> {
        if !self.dtype.is_integer() {
            return Err(crate::unsupported_dtype("one_hot", self.dtype, "labels of integers"));
        }
        let labels = self.to_dtype(DType::I64)?.to_vec::<i64>()?;
        if let Some((row, &label)) = labels.iter().enumerate().find(|&(_, &at)| at < 0 || at as usize >= classes) {
            return Err(super::index::label_outside("one_hot", row, label, classes));
        }
        Tensor::write_with(self.shape().with_axis(self.rank(), classes)?, self.device(), |rows: &mut [f32]| {
            rows.fill(0.0);
            for (row, &label) in rows.chunks_exact_mut(classes.max(1)).zip(&labels) {
                row[label as usize] = 1.0;
            }
            Ok(())
        })
    }
}
