//! Maxima of windows: from windows and views to the kernels' forms.

use super::CpuBackend;
use super::calls::OnCpu;
use super::memory::{slice, slice_mut};
use super::rows::{given, rows, write_given, write_rows};
use crate::{DType, MaxPoolCall, MaxPoolGradCall, Ran, Result, Shape, Window, unsupported_dtype};
use half::{bf16, f16};
use kiln_cpu::operand::Stored;
use kiln_cpu::pool::{self, Pool};

/// The kernels' form of a pool.
pub(crate) fn pool_of(window: &Window, from: &Shape, to: &Shape) -> Pool {
    let Window { kernel, stride, dilation, padding } = *window;
    let before = padding.map(|(before, _)| before);
    Pool { size: Window::sizes(from), out: Window::sizes(to), kernel, stride, dilation, before }
}

impl OnCpu for MaxPoolCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let isa = cpu.isa;
        let form = pool_of(&self.window, self.x.layout.shape(), self.out.shape);
        // SAFETY: taps are bytes, row-major, and apart from the output.
        let taps = self.taps.as_ref().map(|taps| unsafe { slice_mut::<u8>(taps) });
        // SAFETY: operands and output are of the dtype dispatched on; the output is apart from them: the caller's promise.
        floats!(self.out.dtype, "max_pool", T => unsafe {
            let x = given::<T>(cpu, &self.x)?;
            write_given::<T>(cpu, &self.out, |y| {
                pool::max_pool::<<T as Stored>::Compute, _>(isa, &form, &x, y, taps);
            })?;
        });
        Ok(Ran::Done)
    }
}

impl OnCpu for MaxPoolGradCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let form = pool_of(&self.window, self.out.shape, self.dy.layout.shape());
        // SAFETY: taps are bytes, and contiguous.
        let taps = unsafe { slice::<u8>(&self.taps) };
        // SAFETY: operands and output are of the dtype dispatched on; the output is apart from them: the caller's promise.
        floats!(self.out.dtype, "max_pool_grad", T => unsafe {
            let dy = rows::<T>(cpu, &self.dy)?;
            write_rows::<T>(cpu, &self.out, |dx| pool::max_pool_grad(&form, dx, &dy, taps))?;
        });
        Ok(Ran::Done)
    }
}
