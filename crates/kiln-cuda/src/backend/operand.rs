//! Operands as kernels take them: row-major, of a type that kernels compute in.

use crate::gpu::Gpu;
use crate::machine::Machine;
use cuda_std::{DeviceCopy, Global, GlobalMut};
use gpu_kernels::matmul::RELU;
use gpu_kernels::window;
use kiln_math::UnaryOp;
use kiln_tensor::{DType, DeviceBuffer, Layout, Out, Result, Shape, UnaryCall, View, Window, unsupported_dtype};

/// Row-major elements in device memory; temporary memory goes back when it is dropped.
pub(super) struct Operand<'g, M: Machine> {
    gpu: &'g Gpu<M>,
    address: u64,
    elements: usize,
    temporary: Option<DeviceBuffer>,
}

impl<M: Machine> Drop for Operand<'_, M> {
    fn drop(&mut self) {
        if let Some(buffer) = self.temporary {
            // In the order of the stream: work queued so far may still read it.
            self.gpu.freed(buffer);
        }
    }
}

impl<M: Machine> Operand<'_, M> {
    /// How many elements there are.
    pub(super) fn elements(&self) -> usize {
        self.elements
    }

    /// The elements, of this type, as a buffer of their own.
    pub(super) fn buffer(&self, dtype: DType) -> DeviceBuffer {
        DeviceBuffer { address: self.address as usize, bytes: self.elements * dtype.size() }
    }

    /// `elements` elements from `first` on, of this type; where there are none, none.
    pub(super) fn cut(&self, first: usize, elements: usize, dtype: DType) -> Operand<'_, M> {
        let elements = elements.min(self.elements.saturating_sub(first));
        let address = self.address + if elements == 0 { 0 } else { (first * dtype.size()) as u64 };
        Operand { gpu: self.gpu, address, elements, temporary: None }
    }

    /// The elements, to be read. `T` is the type that they have.
    pub(super) fn read<T: DeviceCopy>(&self) -> Global<T> {
        // SAFETY: an operand is so many elements of live memory of this device, and launches go to this device.
        unsafe { Global::from_raw(self.address, self.elements) }
    }

    /// The elements, to be written.
    pub(super) fn write<T: DeviceCopy>(&self) -> GlobalMut<T> {
        // SAFETY: as above; outputs and temporary memory are the caller's alone.
        unsafe { GlobalMut::from_raw(self.address, self.elements) }
    }
}

/// The number type that a dtype is computed in.
pub(super) fn computed_in(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        other => other,
    }
}

/// Sizes as kernels take them, which were found [countable](crate::counts).
pub(super) fn sizes<const N: usize>(sizes: [usize; N]) -> [u32; N] {
    sizes.map(|size| u32::try_from(size).unwrap_or(u32::MAX))
}

/// The spatial sizes of a shape as kernels take them.
pub(super) fn axes(shape: &Shape) -> window::Axes {
    sizes(Window::sizes(shape))
}

/// A window as kernels take it.
pub(super) fn window(window: &Window) -> window::DeviceWindow {
    window::DeviceWindow {
        kernel: sizes(window.kernel),
        stride: sizes(window.stride),
        dilation: sizes(window.dilation),
        before: sizes(window.padding.map(|(before, _)| before)),
    }
}

/// An activation that kernels apply themselves, as their flag, or one that is left.
pub(super) fn flag_of(activation: Option<UnaryCall>) -> (u32, Option<UnaryCall>) {
    match activation {
        Some(call) if call.op == UnaryOp::Relu => (RELU, None),
        other => (0, other),
    }
}

/// The type that a floating dtype is computed in.
pub(super) fn float(operation: &'static str, dtype: DType) -> Result<DType> {
    match computed_in(dtype) {
        computed @ (DType::F32 | DType::F64) => Ok(computed),
        other => Err(unsupported_dtype(operation, other, "f32, f64, f16 or bf16")),
    }
}

/// A floating dtype that kernels write as it is.
pub(super) fn single_or_double(operation: &'static str, dtype: DType) -> Result<DType> {
    match dtype {
        DType::F32 | DType::F64 => Ok(dtype),
        other => Err(unsupported_dtype(operation, other, "f32 or f64")),
    }
}

impl<M: Machine> Gpu<M> {
    /// Temporary memory.
    pub(super) fn temporary(&self, elements: usize, dtype: DType) -> Result<Operand<'_, M>> {
        let buffer = self.allocated(elements.saturating_mul(dtype.size()))?;
        Ok(Operand { gpu: self, address: buffer.address as u64, elements, temporary: Some(buffer) })
    }

    /// Temporary memory that holds these elements of the host's.
    pub(super) fn given(&self, bytes: &[u8], dtype: DType) -> Result<Operand<'_, M>> {
        let operand = self.temporary(bytes.len() / dtype.size(), dtype)?;
        self.uploaded(operand.buffer(dtype), 0, bytes)?;
        Ok(operand)
    }

    /// `elements` elements of a buffer from `offset` on; where it ends before, as many as it has, so that the simulator
    /// finds an access beyond.
    pub(super) fn part(&self, buffer: DeviceBuffer, offset: usize, elements: usize, dtype: DType) -> Operand<'_, M> {
        let elements = elements.min((buffer.bytes / dtype.size()).saturating_sub(offset));
        Operand { gpu: self, address: (buffer.address + offset * dtype.size()) as u64, elements, temporary: None }
    }

    /// All of a buffer, for kernels that find their elements by strides.
    pub(super) fn whole(&self, buffer: DeviceBuffer, dtype: DType) -> Operand<'_, M> {
        self.part(buffer, 0, buffer.bytes / dtype.size(), dtype)
    }

    /// The numbers of an operand that may be absent, then none, with what to tell a kernel where it is there.
    pub(super) fn optional(&self, view: Option<&View<'_>>, flag: u32) -> Result<(Operand<'_, M>, u32)> {
        view.map_or_else(|| Ok((self.absent(), 0)), |view| Ok((self.numbers(view)?, flag)))
    }

    /// No elements.
    pub(super) fn absent(&self) -> Operand<'_, M> {
        Operand { gpu: self, address: 0, elements: 0, temporary: None }
    }

    /// As [`Gpu::rows`]; of what is not there, none.
    pub(super) fn rows_of(&self, view: &Option<View<'_>>) -> Result<Operand<'_, M>> {
        view.as_ref().map_or_else(|| Ok(self.absent()), |view| self.rows(view))
    }

    /// As [`Gpu::target`]; of what is not there, none.
    pub(super) fn target_of(&self, out: Option<&Out<'_>>) -> Operand<'_, M> {
        out.map_or_else(|| self.absent(), |out| self.target(out))
    }

    /// An output.
    pub(super) fn target(&self, out: &Out<'_>) -> Operand<'_, M> {
        self.part(out.buffer, out.offset, out.elements(), out.dtype)
    }

    /// The elements of a view in row-major order, in its own type: where they lie, or copied.
    pub(super) fn rows(&self, view: &View<'_>) -> Result<Operand<'_, M>> {
        let elements = view.layout.shape().elements();
        if view.layout.is_contiguous() {
            return Ok(self.part(view.buffer, view.layout.offset(), elements, view.dtype));
        }
        let rows = self.temporary(elements, view.dtype)?;
        self.copy_strided(&rows, &Layout::contiguous(*view.layout.shape()), view)?;
        Ok(rows)
    }

    /// As [`Gpu::rows`], half types as f32.
    pub(super) fn numbers(&self, view: &View<'_>) -> Result<Operand<'_, M>> {
        self.rows_as(view, computed_in(view.dtype))
    }

    /// As [`Gpu::rows`], in the type `dtype`.
    pub(super) fn rows_as(&self, view: &View<'_>, dtype: DType) -> Result<Operand<'_, M>> {
        let rows = self.rows(view)?;
        if view.dtype == dtype {
            return Ok(rows);
        }
        let converted = self.temporary(rows.elements(), dtype)?;
        self.convert(&converted, dtype, &rows, view.dtype)?;
        Ok(converted)
    }

    /// Computes an output: straight, or of a half type in f32 first.
    pub(super) fn computing(&self, out: &Out<'_>, run: impl FnOnce(&Operand<'_, M>) -> Result<()>) -> Result<()> {
        let target = self.target(out);
        let computed = computed_in(out.dtype);
        if computed == out.dtype {
            return run(&target);
        }
        let numbers = self.temporary(out.elements(), computed)?;
        run(&numbers)?;
        self.convert(&target, out.dtype, &numbers, computed)
    }
}
