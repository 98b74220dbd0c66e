//! Reductions of integers and truth values.

use super::memory::{output, strided};
use crate::{DType, Out, ReduceOp, Result, View, unsupported_dtype};
use kiln_cpu::copy::Convert;
use kiln_cpu::reduce::reduce_with;
use kiln_math::Integer;

/// Sums and products in i64, extrema in the dtype itself.
///
/// # Safety
/// As for [`crate::Backend::reduce`].
pub(super) unsafe fn reduce(op: ReduceOp, out: &Out<'_>, x: &View<'_>, axes: &[usize]) -> Result<()> {
    integers!(x.dtype, "reduce", T => {
        // SAFETY: the operand is of the dtype dispatched on; sums and products are i64, extrema of the operand's dtype.
        unsafe {
            let x = strided::<T>(x);
            let wide = |x: T| Convert::<i64>::convert(x);
            match op {
                ReduceOp::Sum => reduce_with(&mut output(out), x, axes, 0, |sum: i64, x| sum.wrapping_add(wide(x))),
                ReduceOp::Prod => reduce_with(&mut output(out), x, axes, 1, |product: i64, x| product.wrapping_mul(wide(x))),
                ReduceOp::Max => reduce_with(&mut output(out), x, axes, <T as Integer>::MIN, T::maximum),
                ReduceOp::Min => reduce_with(&mut output(out), x, axes, <T as Integer>::MAX, T::minimum),
                ReduceOp::Mean => return Err(unsupported_dtype("mean", out.dtype, "floats")),
            }
        }
    });
    Ok(())
}
