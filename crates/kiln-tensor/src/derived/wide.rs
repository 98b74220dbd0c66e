//! What derived operations of several operands check first, and how they compute half types.

use crate::tensor::check_pair;
use crate::{Arithmetic, DType, Result, broadcast_shapes, unsupported_dtype};

/// Whether the operands are of one dtype, on one device, and broadcast.
pub(super) fn check<A: Arithmetic>(operation: &'static str, operands: &[&A]) -> Result<()> {
    let Some((first, rest)) = operands.split_first() else { return Ok(()) };
    let mut shape = *first.shape();
    for other in rest {
        check_pair(operation, first.value(), other.value())?;
        shape = broadcast_shapes(operation, &shape, other.shape())?;
    }
    Ok(())
}

/// As [`check`], and whether they are floats.
pub(super) fn expect_floats<A: Arithmetic>(operation: &'static str, operands: &[&A]) -> Result<()> {
    let float = |dtype: DType| match dtype.is_float() {
        true => Ok(()),
        false => Err(unsupported_dtype(operation, dtype, "f32, f64, f16 or bf16")),
    };
    operands.iter().try_for_each(|x| float(x.value().dtype()))?;
    check(operation, operands)
}

/// `run` of the operands; where they are of a half type, of them in f32, and the result rounded once.
pub(super) fn in_wide<A: Arithmetic, const N: usize>(
    dtype: DType,
    operands: [&A; N],
    run: impl FnOnce([&A; N]) -> Result<A>,
) -> Result<A> {
    let wide = dtype.computed_in();
    if wide == dtype {
        return run(operands);
    }
    let converted: Vec<A> = operands.iter().map(|x| x.to_dtype(wide)).collect::<Result<_>>()?;
    run(std::array::from_fn(|i| &converted[i]))?.to_dtype(dtype)
}
