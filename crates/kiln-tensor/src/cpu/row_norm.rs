//! Normalization of rows: from views to the kernels' forms.

use super::CpuBackend;
use super::calls::OnCpu;
use super::memory::{slice, slice_mut};
use crate::{DType, Ran, Result, RowNorm, RowNormCall, RowNormGradCall, Shape, View, unsupported_dtype};
use half::{bf16, f16};
use kiln_cpu::normalization::{self, RowOutputs, RowSlopes};
use kiln_cpu::operand::{Number, Stored};

/// What the kernels are told of rows of this shape.
///
/// # Safety
/// Weight and bias are contiguous, of the type that E is computed in.
unsafe fn form_of<'a, E: Stored>(
    form: &RowNorm,
    shape: &Shape,
    [weight, bias]: [Option<&View<'a>>; 2],
) -> normalization::RowNorm<'a, E::Compute> {
    // SAFETY: the caller's promise.
    let numbers = |view: &View<'a>| unsafe { slice::<E::Compute>(view) };
    normalization::RowNorm {
        rows: shape[0],
        width: shape[1],
        centered: form.centered,
        epsilon: E::Compute::from_f64(form.epsilon),
        weight: weight.map(numbers),
        bias: bias.map(numbers),
    }
}

impl OnCpu for RowNormCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        // SAFETY: operands and outputs are row-major and of the dtype dispatched on, numbers of rows and factors of the type that it is
        // computed in; outputs are apart from operands: the caller's promise.
        floats!(self.out.dtype, "row_norm", T => unsafe {
            let form = form_of::<T>(&self.form, self.out.shape, [self.weight.as_ref(), self.bias.as_ref()]);
            let out = RowOutputs {
                sum: self.sum.as_ref().map(|sum| slice_mut::<T>(sum)),
                y: slice_mut::<T>(&self.out),
                moments: slice_mut::<<T as Stored>::Compute>(&self.moments),
            };
            let residual = self.residual.as_ref().map(|residual| slice::<T>(residual));
            normalization::normalize_rows(cpu.isa, &form, out, slice::<T>(&self.x), residual);
        });
        Ok(Ran::Done)
    }
}

impl OnCpu for RowNormGradCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        // SAFETY: as above.
        floats!(self.dx.dtype, "row_norm_grad", T => unsafe {
            let form = form_of::<T>(&self.form, self.dx.shape, [self.weight.as_ref(), None]);
            let moments = slice::<<T as Stored>::Compute>(&self.moments);
            let outputs = (slice_mut::<T>(&self.dx), slice_mut::<<T as Stored>::Compute>(&self.affine));
            let direct = self.direct.as_ref().map(|direct| slice::<T>(direct));
            let of = RowSlopes { x: slice::<T>(&self.x), dy: slice::<T>(&self.dy), direct };
            normalization::normalize_rows_grad(cpu.isa, &form, moments, outputs, of);
        });
        Ok(Ran::Done)
    }
}
