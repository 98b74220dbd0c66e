//! Weighted sums of the indices of an axis.

use super::CpuBackend;
use super::calls::OnCpu;
use super::memory::{slice, slice_mut};
use crate::{BlendCall, DType, Ran, Result, unsupported_dtype};
use kiln_cpu::blend;

impl OnCpu for BlendCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let shape = self.out.shape;
        let (outer, inner) = (shape[..self.axis].iter().product(), shape[self.axis + 1..].iter().product());
        numbers!(self.out.dtype, "blend", T => {
            // SAFETY: operand and output are contiguous, of the dtype dispatched on, and apart: the caller's promise.
            unsafe { blend::blend::<T>(cpu.isa, slice_mut(&self.out), slice(&self.x), self.taps, outer, inner) }
        });
        Ok(Ran::Done)
    }
}
