//! Maxima of windows: from windows and views to the kernels' forms.

use super::memory::{slice, slice_mut};
use super::rows::{rows, write_rows};
use crate::{DType, MaxPoolCall, MaxPoolGradCall, Result, Shape, Window, unsupported_dtype};
use half::{bf16, f16};
use kiln_cpu::Isa;
use kiln_cpu::pool::{self, Pool};

fn pool_of(window: &Window, from: &Shape, to: &Shape) -> Pool {
    let Window { kernel, stride, dilation, padding } = *window;
    let before = padding.map(|(before, _)| before);
    Pool { size: Window::sizes(from), out: Window::sizes(to), kernel, stride, dilation, before }
}

pub(super) fn max_pool(isa: Isa, call: &MaxPoolCall<'_>) -> Result<()> {
    let form = pool_of(&call.window, call.x.layout.shape(), call.out.shape);
    // SAFETY: taps are bytes, row-major, and apart from the output.
    let taps = call.taps.as_ref().map(|taps| unsafe { slice_mut::<u8>(taps) });
    floats!(call.out.dtype, "max_pool", T => {
        let x = rows::<T>(&call.x)?;
        write_rows::<T>(&call.out, |y| pool::max_pool(isa, &form, &x, y, taps))?;
    });
    Ok(())
}

pub(super) fn max_pool_grad(call: &MaxPoolGradCall<'_>) -> Result<()> {
    let form = pool_of(&call.window, call.out.shape, call.dy.layout.shape());
    // SAFETY: taps are bytes, and contiguous.
    let taps = unsafe { slice::<u8>(&call.taps) };
    floats!(call.out.dtype, "max_pool_grad", T => {
        let dy = rows::<T>(&call.dy)?;
        write_rows::<T>(&call.out, |dx| pool::max_pool_grad(&form, dx, &dy, taps))?;
    });
    Ok(())
}
