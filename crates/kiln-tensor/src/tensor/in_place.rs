//! Writing in place. Memory that another tensor shares is copied first, so no other tensor ever changes.

use super::index::Cut;
use super::integers::Arithmetic;
use super::{IntoAxis, Tensor, axis_index, check_pair};
use crate::indexing::{IndexItem, Plan};
use crate::{Error, Result, Shape};
use kiln_math::{BinaryOp, UnaryOp};
use std::ops::Range;

impl Tensor {
    /// Makes this tensor the only owner of row-major memory.
    #[inline]
    pub(crate) fn own(&mut self) -> Result<()> {
        if !(self.is_unique() && self.is_contiguous()) {
            *self = self.copied()?;
        }
        Ok(())
    }

    /// This broadcast to the shape of what `operation` writes.
    fn stretched(&self, operation: &'static str, shape: &Shape) -> Result<Tensor> {
        let layout = self.layout.broadcast_to(shape);
        let wrong = |_| Error::shape(operation, format!("{} does not broadcast to {shape}", self.shape()));
        Ok(self.with_layout(layout.map_err(wrong)?))
    }

    /// self += other, which may broadcast to this shape.
    ///
    /// # Errors
    /// Shapes that do not fit, dtypes or devices that differ.
    #[inline]
    pub fn add_assign(&mut self, other: &Tensor) -> Result<()> {
        check_pair("add_assign", self, other)?;
        if other.shape() != self.shape() {
            let other = other.stretched("add_assign", self.shape())?;
            return self.add_assign(&other);
        }
        if self.is_unique() && self.is_contiguous() {
            let add = Arithmetic::of(BinaryOp::Add, self.dtype)?;
            return add.run(self.device(), self.out(), self.view(), other.view());
        }
        *self = self.add(other)?;
        Ok(())
    }

    /// self *= value
    ///
    /// # Errors
    /// As [`Tensor::mul_scalar`].
    pub fn mul_scalar_assign(&mut self, value: f64) -> Result<()> {
        if !self.dtype.is_float() {
            *self = self.mul_scalar(value)?;
            return Ok(());
        }
        self.own()?;
        let call = crate::UnaryCall { op: UnaryOp::Affine, params: [value, 0.0] };
        self.device().unary(call, self.out(), self.view())
    }

    /// Every element becomes `value`.
    ///
    /// # Errors
    /// Out of memory.
    pub fn fill(&mut self, value: f64) -> Result<()> {
        if !(self.is_unique() && self.is_contiguous()) {
            *self = Tensor::output(self.shape(), self.dtype, self.device())?;
        }
        self.device().fill(self.out(), value)
    }

    /// The elements become those of `other`, converted to this dtype; `other` may broadcast.
    ///
    /// # Errors
    /// A shape that does not broadcast to this one, another device.
    pub fn copy_from(&mut self, other: &Tensor) -> Result<()> {
        super::check_device("copy_from", self, other)?;
        let source = other.stretched("copy_from", self.shape())?;
        if !(self.is_unique() && self.is_contiguous()) {
            *self = Tensor::output(self.shape(), self.dtype, self.device())?;
        }
        self.device().copy(self.view(), source.view())
    }

    /// The indices `range` of one axis become `value`, which may broadcast.
    ///
    /// # Errors
    /// An axis out of range, a range that leaves the axis, a value that does not fit, dtypes or devices that differ.
    pub fn slice_assign(&mut self, axis: impl IntoAxis, range: Range<usize>, value: &Tensor) -> Result<()> {
        self.slice_assign_by("slice_assign", axis_index("slice_assign", axis, self.shape())?, range, 1, value)
    }

    /// Every `step`-th index of a range of one axis becomes `value`, which may broadcast.
    pub(crate) fn slice_assign_by(
        &mut self,
        operation: &'static str,
        axis: usize,
        range: Range<usize>,
        step: isize,
        value: &Tensor,
    ) -> Result<()> {
        check_pair(operation, self, value)?;
        if range.start > range.end || range.end > self.dims()[axis] || step == 0 {
            let by = if step == 1 { String::new() } else { format!(" with step {step}") };
            return Err(Error::shape(
                operation,
                format!("invalid range {range:?}{by} for axis {axis} of {}", self.shape()),
            ));
        }
        let size = range.len().div_ceil(step.unsigned_abs());
        let value = value.stretched(operation, &self.shape().with_size(axis, size)?)?;
        self.assign_part(operation, &[Cut { axis, range: (range.start, range.end), step }], &value)
    }

    /// The elements that an index names become `value`, which may broadcast: in this tensor's own memory where it is the only owner
    /// of it and the index has no index tensors. See [`crate::idx!`].
    ///
    /// ```
    /// # use kiln_tensor::{DType, Device, Tensor, idx};
    /// let mut x = Tensor::zeros([2, 3], DType::F32, &Device::cpu())?;
    /// x.assign(idx![.., 1..], &Tensor::scalar(5.0f32, &Device::cpu())?)?;
    /// assert_eq!(x.to_vec::<f32>()?, [0.0, 5.0, 5.0, 0.0, 5.0, 5.0]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// As `put`.
    pub fn assign(&mut self, index: impl AsRef<[IndexItem]>, value: &Tensor) -> Result<()> {
        let plan = Plan::new("put", self.shape(), self.device(), index.as_ref())?;
        if plan.tensors.is_empty() {
            check_pair("put", self, value)?;
            let value = value.stretched("put", &plan.dims)?.reshape(plan.cut_shape(self.shape()))?;
            return self.assign_part("put", &plan.cuts, &value);
        }
        *self = self.put(index, value)?;
        Ok(())
    }

    /// New content for this tensor from the host, in its own memory where it is the only owner: values that change every
    /// step.
    ///
    /// # Errors
    /// Another dtype or number of elements; a fault of the device that surfaced.
    pub fn upload<T: crate::Element>(&mut self, data: &[T]) -> Result<()> {
        self.expect_dtype("upload", T::DTYPE)?;
        if data.len() != self.elements() {
            return Err(Error::shape("upload", format!("{} values for {}", data.len(), self.shape())));
        }
        if !(self.is_unique() && self.is_contiguous()) {
            *self = Tensor::output(self.shape(), self.dtype, self.device())?;
        }
        // SAFETY: elements are plain data without padding.
        let bytes = unsafe { std::slice::from_raw_parts(data.as_ptr().cast::<u8>(), size_of_val(data)) };
        let offset = self.layout.offset() * self.dtype.size();
        self.device().upload(self.storage.buffer(), offset, bytes)
    }
}
