//! Normalization by channel: from views to the kernels' forms.

use super::CpuBackend;
use super::calls::OnCpu;
use super::memory::{slice, slice_mut};
use super::rows::{given, write_given};
use crate::{
    DType, MomentsCall, Normalization, NormalizeCall, NormalizeGradCall, Ran, Result, Shape, View, unsupported_dtype,
};
use half::{bf16, f16};
use kiln_cpu::normalization::{self, Channels, Normalizer, Slopes};
use kiln_cpu::operand::{Number, Stored};
use kiln_math::UnaryOp;

fn channels(shape: &Shape) -> Channels {
    Channels { samples: shape[0], channels: shape[1], size: shape[2] }
}

/// Whether the kernels apply the activation.
fn is_fused(form: &Normalization) -> bool {
    form.activation.is_none_or(|call| call.op == UnaryOp::Relu)
}

/// Numbers of channels, which are of the type that is computed in.
///
/// # Safety
/// The view is contiguous, and of that type.
unsafe fn of_channels<'a, T: Stored>(view: &View<'a>) -> &'a [T::Compute] {
    // SAFETY: the caller's promise.
    unsafe { slice::<T::Compute>(view) }
}

/// What the kernels normalize by.
///
/// # Safety
/// Moments, weight and bias are contiguous, of the type that T is computed in.
unsafe fn normalizer<'a, T: Stored>(
    form: &Normalization,
    moments: &View<'a>,
    [weight, bias]: [Option<&View<'a>>; 2],
) -> Normalizer<'a, T::Compute> {
    // SAFETY: the caller's promise.
    let numbers = |view: &View<'a>| unsafe { of_channels::<T>(view) };
    Normalizer {
        moments: numbers(moments),
        epsilon: T::Compute::from_f64(form.epsilon),
        weight: weight.map(numbers),
        bias: bias.map(numbers),
        relu: form.activation.is_some(),
    }
}

impl OnCpu for MomentsCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let isa = cpu.isa;
        let form = channels(self.x.layout.shape());
        // SAFETY: operands and output are of the dtype dispatched on, numbers of channels of the type that it is computed in; outputs
        // are apart from operands: the caller's promise.
        floats!(self.x.dtype, "moments", T => unsafe {
            let x = given::<T>(cpu, &self.x)?;
            let out = slice_mut::<<T as Stored>::Compute>(&self.out);
            normalization::moments(isa, &form, out, &x);
        });
        Ok(Ran::Done)
    }
}

impl OnCpu for NormalizeCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let isa = cpu.isa;
        if !is_fused(&self.form) {
            return Ok(Ran::NotHere);
        }
        let form = channels(self.out.shape);
        // SAFETY: operands and output are of the dtype dispatched on, numbers of channels of the type that it is computed in; outputs
        // are apart from operands: the caller's promise.
        floats!(self.out.dtype, "normalize", T => unsafe {
            let by = normalizer::<T>(&self.form, &self.moments, [self.weight.as_ref(), self.bias.as_ref()]);
            let x = given::<T>(cpu, &self.x)?;
            write_given::<T>(cpu, &self.out, |y| normalization::normalize(isa, &form, &by, y, &x))?;
        });
        Ok(Ran::Done)
    }
}

impl OnCpu for NormalizeGradCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let isa = cpu.isa;
        if !is_fused(&self.form) {
            return Ok(Ran::NotHere);
        }
        let (form, own) = (channels(self.dx.shape), self.form.own_moments);
        // SAFETY: operands and output are of the dtype dispatched on, numbers of channels of the type that it is computed in; outputs
        // are apart from operands: the caller's promise.
        floats!(self.dx.dtype, "normalize_grad", T => unsafe {
            let by = normalizer::<T>(&self.form, &self.moments, [self.weight.as_ref(), None]);
            let (x, y, dy) = (given::<T>(cpu, &self.x)?, given::<T>(cpu, &self.y)?, given::<T>(cpu, &self.dy)?);
            let affine = slice_mut::<<T as Stored>::Compute>(&self.affine);
            let of = Slopes { x: &x, y: &y, dy: &dy };
            write_given::<T>(cpu, &self.dx, |dx| normalization::normalize_grad(isa, &form, &by, own, (dx, affine), of))?;
        });
        Ok(Ran::Done)
    }
}
