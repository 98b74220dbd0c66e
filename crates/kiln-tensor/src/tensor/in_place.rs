//! Writing in place. Memory that another tensor shares is copied first, so no other tensor ever changes.

use super::integers::Arithmetic;
use super::{IntoAxis, Tensor, axis_index, check_pair};
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
    /// Memory that could not be had.
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
        check_pair("slice_assign", self, value)?;
        let axis = axis_index("slice_assign", axis, self.shape())?;
        if range.start > range.end || range.end > self.dims()[axis] {
            return Err(Error::shape(
                "slice_assign",
                format!("invalid range {range:?} for axis {axis} of {}", self.shape()),
            ));
        }
        let part = self.layout.slice(axis, range.start, range.len(), 1)?;
        let value = value.stretched("slice_assign", part.shape())?;
        self.own()?;
        let part = self.layout.slice(axis, range.start, range.len(), 1)?;
        let target = crate::View { buffer: self.storage.buffer(), dtype: self.dtype, layout: &part };
        self.device().copy(target, value.view())
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
