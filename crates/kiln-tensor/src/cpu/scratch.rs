//! Memory that lives as long as a primitive runs.

use super::CpuBackend;
use crate::{Backend, DType, DeviceBuffer, Layout, Out, Result, Shape, View};

/// A row-major tensor of the CPU's memory; given back on every way out.
pub(super) struct Scratch<'b> {
    backend: &'b CpuBackend,
    buffer: DeviceBuffer,
    dtype: DType,
    layout: Layout,
}

impl<'b> Scratch<'b> {
    pub(super) fn new(backend: &'b CpuBackend, shape: Shape, dtype: DType) -> Result<Self> {
        let buffer = backend.alloc(shape.elements() * dtype.size())?;
        Ok(Scratch { backend, buffer, dtype, layout: Layout::contiguous(shape) })
    }

    pub(super) fn view(&self) -> View<'_> {
        View { buffer: self.buffer, dtype: self.dtype, layout: &self.layout }
    }

    pub(super) fn out(&self) -> Out<'_> {
        Out { buffer: self.buffer, dtype: self.dtype, shape: self.layout.shape(), offset: 0 }
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // SAFETY: this alone owns the buffer, which came from this backend and is given back once.
        unsafe { self.backend.free(self.buffer) };
    }
}
