//! Layouts: how a shape's elements lie in a buffer.

use crate::{Error, MAX_RANK, Result, Shape};
use std::ops::Range;

/// Shape, strides (in elements) and offset of a view into a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    shape: Shape,
    strides: [isize; MAX_RANK],
    offset: usize,
}

impl Layout {
    /// Row-major, from the buffer's start.
    #[inline]
    pub fn contiguous(shape: Shape) -> Self {
        let mut strides = [0; MAX_RANK];
        let mut step = 1isize;
        for axis in (0..shape.rank()).rev() {
            strides[axis] = step;
            step *= shape[axis].max(1) as isize;
        }
        Layout { shape, strides, offset: 0 }
    }

    /// The shape.
    #[inline]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Elements from one index of an axis to the next; 0 where broadcast, negative where flipped.
    #[inline]
    pub fn strides(&self) -> &[isize] {
        &self.strides[..self.shape.rank()]
    }

    /// Elements from the buffer's start to index (0, 0, …).
    #[inline]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The same, `elements` further into the buffer.
    #[inline]
    #[must_use]
    pub fn moved(mut self, elements: usize) -> Self {
        self.offset = self.offset.saturating_add(elements);
        self
    }

    /// Whether the elements lie row-major without gaps (axes of size 1 and empty tensors count as such).
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        let mut step = 1isize;
        for axis in (0..self.shape.rank()).rev() {
            let size = self.shape[axis];
            if size != 1 && self.strides[axis] != step {
                return self.shape.elements() == 0;
            }
            step *= size as isize;
        }
        true
    }

    /// The same elements in another shape: `None` where that takes a copy, or the numbers of elements differ.
    pub fn reshape(&self, shape: Shape) -> Option<Self> {
        if shape.elements() != self.shape.elements() {
            return None;
        }
        if self.is_contiguous() {
            return Some(Layout { offset: self.offset, ..Layout::contiguous(shape) });
        }
        // From the last axis on, old axes are joined into runs, within which the elements lie at equal distances; the new
        // axes are cut off the ends of these. An axis that would reach from one run into the next has no stride.
        let mut old = (0..self.shape.rank()).rev().filter(|&axis| self.shape[axis] != 1).peekable();
        let mut out = Layout { shape, strides: [0; MAX_RANK], offset: self.offset };
        // What is left of the run, and the distance of its elements.
        let (mut left, mut step) = (1, 0);
        for axis in (0..shape.rank()).rev().filter(|&axis| shape[axis] != 1) {
            if left == 1 {
                let last = old.next()?;
                (left, step) = (self.shape[last], self.strides[last]);
                while let Some(joined) = old.next_if(|&axis| self.strides[axis] == step * left as isize) {
                    left *= self.shape[joined];
                }
            }
            if left % shape[axis] != 0 {
                return None;
            }
            out.strides[axis] = step;
            left /= shape[axis];
            step *= shape[axis] as isize;
        }
        Some(out)
    }

    /// Axes in another order: axis `i` of the result is axis `order[i]` of this.
    ///
    /// # Errors
    /// `order` is no permutation of the axes.
    pub fn permute(&self, order: &[usize]) -> Result<Self> {
        let rank = self.shape.rank();
        let mut seen = [false; MAX_RANK];
        let fits = order.len() == rank && order.iter().all(|&a| a < rank && !std::mem::replace(&mut seen[a], true));
        if !fits {
            return Err(Error::shape(
                "permute",
                format!("{order:?} must name each of the {rank} axes of {} once", self.shape),
            ));
        }
        let mut out = *self;
        for (to, &from) in order.iter().enumerate() {
            out.shape.dims_mut()[to] = self.shape[from];
            out.strides[to] = self.strides[from];
        }
        Ok(out)
    }

    /// The axes `a` and `b` exchanged; both are below the rank.
    #[inline]
    pub(crate) fn transpose(mut self, a: usize, b: usize) -> Self {
        self.shape.dims_mut().swap(a, b);
        self.strides.swap(a, b);
        self
    }

    /// A new axis of size 1 before axis `axis`.
    ///
    /// # Errors
    /// More axes than there can be.
    pub(crate) fn unsqueeze(mut self, axis: usize) -> Result<Self> {
        let rank = self.shape.rank();
        // Any stride would do; the one that a row-major tensor has keeps kernels on their straight ways.
        let stride = if axis < rank { self.strides[axis] * self.shape[axis].max(1) as isize } else { 1 };
        self.shape = self.shape.with_axis(axis, 1)?;
        self.strides.copy_within(axis..rank, axis + 1);
        self.strides[axis] = stride;
        Ok(self)
    }

    /// Without axis `axis`, which is of size 1.
    pub(crate) fn squeeze(mut self, axis: usize) -> Self {
        let rank = self.shape.rank();
        self.shape = self.shape.without_axis(axis);
        self.strides.copy_within(axis + 1..rank, axis);
        self.strides[rank - 1] = 0;
        self
    }

    /// Indices `start`, `start + step`, … (`size` of them) of one axis; `step` may be negative.
    ///
    /// # Errors
    /// An axis or an index out of range.
    pub fn slice(&self, axis: usize, start: usize, size: usize, step: isize) -> Result<Self> {
        let extent = *self.shape.get(axis).ok_or_else(|| {
            Error::shape(
                "slice",
                format!("axis {axis} is out of range for {} of {} axes", self.shape, self.shape.rank()),
            )
        })?;
        // Counted in 128 bits, where no start, size or step overflows.
        let last = start as i128 + step as i128 * (size.saturating_sub(1) as i128);
        let fits = if size > 0 { start < extent && (0..extent as i128).contains(&last) } else { start <= extent };
        if !fits {
            return Err(Error::shape(
                "slice",
                format!(
                    "{size} indices from {start} by {step} leave axis {axis} of {}, which has {extent}",
                    self.shape
                ),
            ));
        }
        let mut out = *self;
        if size > 0 {
            out.offset = (self.offset as isize + start as isize * self.strides[axis]) as usize;
        }
        out.shape.dims_mut()[axis] = size;
        // Where there is but one index, the step may be anything.
        out.strides[axis] = if size > 1 { self.strides[axis] * step } else { self.strides[axis] };
        Ok(out)
    }

    /// Every `step`-th index of a range of one axis, from its end for a negative step; the axis is below the rank.
    ///
    /// # Errors
    /// A range that leaves the axis, a step of 0.
    pub(crate) fn slice_by(&self, axis: usize, range: Range<usize>, step: isize) -> Result<Self> {
        if step == 0 || range.start > range.end || range.end > self.shape[axis] {
            return Err(Error::shape(
                "slice",
                format!("invalid range {range:?} with step {step} for axis {axis} of {}", self.shape),
            ));
        }
        let size = range.len().div_ceil(step.unsigned_abs());
        let start = if step > 0 || size == 0 { range.start } else { range.end - 1 };
        self.slice(axis, start, size, step)
    }

    /// The windows along an axis, as [`crate::Arithmetic::windows`] says; the axis is below the rank.
    ///
    /// # Errors
    /// A step or dilation of 0, a window that does not fit, more axes than there can be.
    pub(crate) fn windows(&self, axis: usize, size: usize, step: usize, dilation: usize) -> Result<Self> {
        let span = size.saturating_sub(1).saturating_mul(dilation).saturating_add(usize::from(size > 0));
        let extent = self.shape[axis];
        if step == 0 || dilation == 0 || span > extent {
            return Err(Error::shape(
                "unfold",
                format!(
                    "windows of {size} elements, {dilation} apart, at every {step} do not fit axis {axis} of {}: \
                     they need {span} elements and steps above 0",
                    self.shape
                ),
            ));
        }
        let rank = self.shape.rank();
        let count = (extent - span) / step + 1;
        let mut out = *self;
        out.shape = self.shape.with_size(axis, count)?.with_axis(rank, size)?;
        // Where there is but one index, the step may be anything.
        let by = |count: usize, step: usize| {
            if count > 1 { self.strides[axis] * step as isize } else { self.strides[axis] }
        };
        out.strides[rank] = by(size, dilation);
        out.strides[axis] = by(count, step);
        Ok(out)
    }

    /// Stretched to `shape` by NumPy's rule: new leading axes and axes of size 1 get stride 0.
    ///
    /// # Errors
    /// This shape does not broadcast to `shape`.
    pub fn broadcast_to(&self, shape: &Shape) -> Result<Self> {
        if self.shape == *shape {
            return Ok(*self);
        }
        let wrong = || Error::shape("broadcast_to", format!("{} does not broadcast to {shape}", self.shape));
        let lead = shape.rank().checked_sub(self.shape.rank()).ok_or_else(wrong)?;
        let mut out = Layout { shape: *shape, strides: [0; MAX_RANK], offset: self.offset };
        for (axis, &size) in self.shape.iter().enumerate() {
            if size == shape[lead + axis] {
                out.strides[lead + axis] = self.strides[axis];
            } else if size != 1 {
                return Err(wrong());
            }
        }
        Ok(out)
    }

    /// First and one past the last element of the buffer that this view reaches; equal where it is empty.
    pub fn extent(&self) -> (usize, usize) {
        if self.shape.elements() == 0 {
            return (self.offset, self.offset);
        }
        let (mut low, mut high) = (self.offset as isize, self.offset as isize);
        for (&size, &stride) in self.shape.iter().zip(self.strides()) {
            let reach = (size as isize - 1) * stride;
            if reach < 0 {
                low += reach;
            } else {
                high += reach;
            }
        }
        (low as usize, high as usize + 1)
    }
}
