//! Convolutions: from windows to the kernels' forms.

use super::CpuBackend;
use super::calls::OnCpu;
use super::memory::slice_mut;
use super::product::with_epilogue;
use super::rows::{elements, rows, write_rows};
use super::scratch::Scratch;
use crate::{
    ConvCall, ConvGradInputCall, ConvGradWeightCall, Convolution, DType, Ran, Result, Shape, View, Window,
    unsupported_dtype,
};
use half::{bf16, f16};
use kiln_cpu::conv::{self, Conv};

/// The kernels' form of a convolution of x by weight to y.
pub(crate) fn form(conv: &Convolution, x: &Shape, weight: &Shape, y: &Shape) -> Conv {
    let Window { kernel, stride, dilation, padding } = conv.window;
    Conv {
        batch: x[0],
        groups: conv.groups,
        inputs: weight[1],
        outputs: weight[0] / conv.groups,
        size: Window::sizes(x),
        out: Window::sizes(y),
        kernel,
        stride,
        dilation,
        before: padding.map(|(before, _)| before),
    }
}

/// Lets `f` compute with two operands of bf16, and room for so many words of theirs.
///
/// # Safety
/// The operands are of bf16 and can be read for the call.
unsafe fn with_words(
    cpu: &CpuBackend,
    (a, b): (&View<'_>, &View<'_>),
    words: [usize; 2],
    f: impl FnOnce((&[bf16], &[bf16]), &mut [f32]) -> Result<()>,
) -> Result<()> {
    // SAFETY: the caller's promise.
    let (a, b) = unsafe { (elements::<bf16>(cpu, a)?, elements::<bf16>(cpu, b)?) };
    let room = Scratch::new(cpu, Shape::new(&[words[0] + words[1]])?, DType::F32)?;
    // SAFETY: memory of its own, of f32; words are written before they are read.
    f((&a, &b), unsafe { slice_mut::<f32>(&room.out()) })
}

/// Whether the processor's dot products of bf16 compute this convolution.
fn by_dots(cpu: &CpuBackend, form: &Conv, dtype: DType) -> bool {
    dtype == DType::BF16 && form.by_bf16_dots(cpu.isa)
}

impl OnCpu for ConvCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let (isa, out) = (cpu.isa, &self.out);
        let form = form(&self.conv, self.x.layout.shape(), self.weight.layout.shape(), out.shape);
        // SAFETY: operands and output are of the dtype dispatched on; the output is apart from them: the caller's promise.
        unsafe {
            if by_dots(cpu, &form, out.dtype) {
                with_words(cpu, (&self.x, &self.weight), form.forward_words(), |operands, room| {
                    with_epilogue::<bf16>(cpu, &self.epilogue, |epilogue| {
                        write_rows::<bf16>(cpu, out, |y| conv::forward_bf16(isa, &form, operands, room, y, epilogue))
                    })
                })?;
                return Ok(Ran::Done);
            }
            floats!(out.dtype, "conv", T => {
                with_epilogue::<T>(cpu, &self.epilogue, |epilogue| {
                    let (x, weight) = (rows::<T>(cpu, &self.x)?, rows::<T>(cpu, &self.weight)?);
                    write_rows::<T>(cpu, out, |y| conv::forward(isa, &form, &x, &weight, y, epilogue))
                })?;
            });
        }
        Ok(Ran::Done)
    }
}

impl OnCpu for ConvGradInputCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let (isa, out) = (cpu.isa, &self.out);
        let form = form(&self.conv, out.shape, self.weight.layout.shape(), self.dy.layout.shape());
        // SAFETY: operands and output are of the dtype dispatched on; the output is apart from them: the caller's promise.
        unsafe {
            if by_dots(cpu, &form, out.dtype) {
                with_words(cpu, (&self.dy, &self.weight), form.grad_input_words(), |operands, room| {
                    write_rows::<bf16>(cpu, out, |dx| conv::grad_input_bf16(isa, &form, operands, room, dx))
                })?;
                return Ok(Ran::Done);
            }
            floats!(out.dtype, "conv_grad_input", T => {
                let (dy, weight) = (rows::<T>(cpu, &self.dy)?, rows::<T>(cpu, &self.weight)?);
                write_rows::<T>(cpu, out, |dx| conv::grad_input(isa, &form, &dy, &weight, dx))?;
            });
        }
        Ok(Ran::Done)
    }
}

impl OnCpu for ConvGradWeightCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let (isa, out) = (cpu.isa, &self.out);
        let form = form(&self.conv, self.x.layout.shape(), out.shape, self.dy.layout.shape());
        // SAFETY: operands and output are of the dtype dispatched on; the output is apart from them: the caller's promise.
        unsafe {
            if by_dots(cpu, &form, out.dtype) {
                with_words(cpu, (&self.x, &self.dy), form.grad_weight_words(), |operands, room| {
                    write_rows::<bf16>(cpu, out, |dw| conv::grad_weight_bf16(isa, &form, operands, room, dw))
                })?;
                return Ok(Ran::Done);
            }
            floats!(out.dtype, "conv_grad_weight", T => {
                let (x, dy) = (rows::<T>(cpu, &self.x)?, rows::<T>(cpu, &self.dy)?);
                write_rows::<T>(cpu, out, |dw| conv::grad_weight(isa, &form, &x, &dy, dw))?;
            });
        }
        Ok(Ran::Done)
    }
}
