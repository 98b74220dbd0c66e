//! Softmax and cross-entropy.

use super::CpuBackend;
use super::calls::OnCpu;
use super::memory::{slice, slice_mut, strided};
use super::rows::elements;
use crate::{
    CrossEntropyCall, CrossEntropyGradCall, DType, Error, LogsumexpCall, Ran, Result, SoftmaxCall, SoftmaxGradCall,
    View, unsupported_dtype,
};
use half::{bf16, f16};
use kiln_cpu::operand::Number;
use kiln_cpu::softmax::{self, Labels, Target};

/// The target of a cross-entropy in the kernels' terms; weights have the logits' type T.
///
/// # Safety
/// The target is contiguous, of i64, u8 or T.
unsafe fn target_of<'a, T: Number>(target: &View<'a>, classes: usize) -> Result<Target<'a, T>> {
    let labels = match target.dtype {
        // SAFETY: of this dtype; contiguous by the caller's promise.
        DType::I64 => Labels::I64(unsafe { slice(target) }),
        // SAFETY: as above.
        DType::U8 => Labels::U8(unsafe { slice(target) }),
        // SAFETY: weights of T, by the caller's promise.
        _ => return Ok(Target::Weights(unsafe { slice(target) })),
    };
    match labels.outside(classes) {
        Some((row, label)) => Err(label_outside(row, label, classes)),
        None => Ok(Target::Labels(labels)),
    }
}

#[cold]
fn label_outside(row: usize, label: i64, classes: usize) -> Error {
    Error::new(
        crate::ErrorKind::Index,
        "cross_entropy",
        format!("row {row} has label {label}, expected 0 to {}: the model has {classes} outputs", classes as i128 - 1),
    )
}

impl OnCpu for SoftmaxCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let isa = cpu.isa;
        let width = self.out.shape.last().copied().unwrap_or(1);
        // SAFETY: operands and output are of the dtype dispatched on; the output is apart from them: the caller's promise.
        floats!(self.out.dtype, "softmax", T => unsafe {
            let x = elements::<T>(cpu, &self.x)?;
            softmax::softmax(isa, self.kind, slice_mut::<T>(&self.out), &x, width);
        });
        Ok(Ran::Done)
    }
}

impl OnCpu for SoftmaxGradCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let isa = cpu.isa;
        let width = self.out.shape.last().copied().unwrap_or(1);
        // SAFETY: operands and output are of the dtype dispatched on; the output is apart from them: the caller's promise.
        floats!(self.out.dtype, "softmax_grad", T => unsafe {
            let (y, dy) = (elements::<T>(cpu, &self.y)?, elements::<T>(cpu, &self.dy)?);
            softmax::softmax_grad(isa, self.kind, slice_mut::<T>(&self.out), &y, &dy, width);
        });
        Ok(Ran::Done)
    }
}

impl OnCpu for LogsumexpCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let width = self.x.layout.shape().last().copied().unwrap_or(1);
        // SAFETY: operands and output are of the dtype dispatched on; the output is apart from them: the caller's promise.
        floats!(self.out.dtype, "logsumexp", T => unsafe {
            softmax::logsumexp(cpu.isa, slice_mut::<T>(&self.out), &elements::<T>(cpu, &self.x)?, width);
        });
        Ok(Ran::Done)
    }
}

impl OnCpu for CrossEntropyCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let isa = cpu.isa;
        let classes = self.logits.layout.shape()[1];
        // SAFETY: operands and output are of the dtype dispatched on; the output is apart from them: the caller's promise.
        numbers!(self.out.dtype, "cross_entropy", T => unsafe {
            let target = target_of::<T>(&self.target, classes)?;
            softmax::cross_entropy::<T>(isa, slice_mut(&self.out), slice(&self.logits), target, classes);
        });
        Ok(Ran::Done)
    }
}

impl OnCpu for CrossEntropyGradCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let isa = cpu.isa;
        let classes = self.logits.layout.shape()[1];
        // SAFETY: operands and output are of the dtype dispatched on; the output is apart from them: the caller's promise.
        numbers!(self.out.dtype, "cross_entropy_grad", T => unsafe {
            let target = target_of::<T>(&self.target, classes)?;
            let stride = self.dy.layout.strides()[0];
            let dy = strided::<T>(&self.dy);
            // The kernel asks for rows of the gradient, (n,) at this stride.
            let at = |row: usize| *dy.first_element().offset(row as isize * stride);
            softmax::cross_entropy_grad::<T>(isa, slice_mut(&self.out), slice(&self.logits), target, &at, classes);
        });
        Ok(Ran::Done)
    }
}
