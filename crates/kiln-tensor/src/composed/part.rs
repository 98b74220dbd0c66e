//! Parts of buffers with layouts of their own: a step of a sequence, a gate of a step.

use crate::{Buffer, DType, Layout, Out, Result, Shape, View};

/// A view that owns its layout.
#[derive(Clone, Copy)]
pub(super) struct Part {
    buffer: Buffer,
    dtype: DType,
    layout: Layout,
}

impl Part {
    pub(super) fn of(view: View<'_>) -> Self {
        Part { buffer: view.buffer, dtype: view.dtype, layout: *view.layout }
    }

    /// What an output will hold.
    pub(super) fn of_out(out: Out<'_>) -> Result<Self> {
        let count = out.elements();
        // A row-major layout that begins at the offset is a slice of a longer one.
        let whole = Layout::contiguous(Shape::new(&[out.offset + count])?).slice(0, out.offset, count, 1)?;
        let layout = whole.reshape(*out.shape).unwrap_or(Layout::contiguous(*out.shape));
        Ok(Part { buffer: out.buffer, dtype: out.dtype, layout })
    }

    /// Index `at` of the first axis.
    pub(super) fn step(&self, at: usize) -> Result<Self> {
        Ok(Part { layout: self.layout.slice(0, at, 1, 1)?.squeeze(0), ..*self })
    }

    /// `size` indices of an axis.
    pub(super) fn cut(&self, axis: usize, start: usize, size: usize) -> Result<Self> {
        Ok(Part { layout: self.layout.slice(axis, start, size, 1)?, ..*self })
    }

    /// A matrix transposed.
    pub(super) fn t(&self) -> Self {
        Part { layout: self.layout.transpose(0, 1), ..*self }
    }

    /// A column repeated over the columns of a matrix.
    pub(super) fn over(&self, shape: &Shape) -> Result<Self> {
        Ok(Part { layout: self.layout.unsqueeze(1)?.broadcast_to(shape)?, ..*self })
    }

    pub(super) fn view(&self) -> View<'_> {
        View { buffer: self.buffer, dtype: self.dtype, layout: &self.layout }
    }

    /// The same as an output: of row-major parts.
    pub(super) fn out(&self) -> Out<'_> {
        Out { buffer: self.buffer, dtype: self.dtype, shape: self.layout.shape(), offset: self.layout.offset() }
    }
}
