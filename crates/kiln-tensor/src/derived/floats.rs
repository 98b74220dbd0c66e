//! Which kind of number an element is, and whether numbers are close: bool tensors, which have no gradient.

use super::wide::check;
use crate::{Arithmetic, CompareOp, DType, Error, Result, Tensor};

/// The family's signatures.
#[doc(hidden)]
#[macro_export]
macro_rules! derived_floats {
    ($callback:path) => {
        $callback! { floats {
            /// Element by element: is it NaN? Of integers and bools never. A bool tensor.
            ///
            /// # Errors
            /// Out of memory.
            fn isnan() -> $crate::Tensor;

            /// Element by element: is it ∞ or −∞? Of integers and bools never. A bool tensor.
            ///
            /// # Errors
            /// Out of memory.
            fn isinf() -> $crate::Tensor;

            /// Element by element: is it neither infinite nor NaN? Of integers and bools always. A bool tensor.
            ///
            /// # Errors
            /// Out of memory.
            fn isfinite() -> $crate::Tensor;

            /// Element by element: |x − other| ≤ atol + rtol·|other|? Equal infinities are close; NaN is close to NaN if
            /// `equal_nan` is set. The shapes broadcast. Integers are compared as f64. NumPy's and PyTorch's default tolerances
            /// are rtol 10⁻⁵ and atol 10⁻⁸.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1f64, 1.0, f64::NAN], [3], &Device::cpu())?;
            /// let y = Tensor::from_slice(&[1.000_001, 1.1, f64::NAN], [3], &Device::cpu())?;
            /// assert_eq!(x.isclose(&y, 1e-5, 1e-8, true)?.to_vec::<bool>()?, [true, false, true]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Shapes that do not broadcast, dtypes or devices that differ, a tolerance that is negative or NaN.
            fn isclose(other: &Self, rtol: f64, atol: f64, equal_nan: bool) -> $crate::Tensor;

            /// Whether all elements are close, as [`isclose`](Self::isclose) says. Reads one number back from the device.
            ///
            /// # Errors
            /// As those of `isclose`.
            fn allclose(other: &Self, rtol: f64, atol: f64, equal_nan: bool) -> bool;
        } }
    };
}

/// ∞ beside floats like x.
fn infinity(x: &Tensor) -> Result<Tensor> {
    Tensor::full((), f64::INFINITY, x.dtype(), x.device())
}

/// The same answer for every element of an integer or bool tensor.
fn everywhere(x: &Tensor, answer: bool) -> Result<Tensor> {
    Tensor::full(*x.shape(), f64::from(u8::from(answer)), DType::Bool, x.device())
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn isnan<A: Arithmetic>(x: &A) -> Result<Tensor> {
    x.value().compare(CompareOp::Ne, x.value())
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn isinf<A: Arithmetic>(x: &A) -> Result<Tensor> {
    let x = x.value();
    if x.dtype().is_float() { x.abs()?.compare(CompareOp::Eq, &infinity(x)?) } else { everywhere(x, false) }
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn isfinite<A: Arithmetic>(x: &A) -> Result<Tensor> {
    let x = x.value();
    if x.dtype().is_float() { x.abs()?.compare(CompareOp::Lt, &infinity(x)?) } else { everywhere(x, true) }
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn isclose<A: Arithmetic>(x: &A, other: &A, rtol: f64, atol: f64, equal_nan: bool) -> Result<Tensor> {
    close("isclose", x, other, rtol, atol, equal_nan)
}

fn close<A: Arithmetic>(
    operation: &'static str,
    x: &A,
    other: &A,
    rtol: f64,
    atol: f64,
    equal_nan: bool,
) -> Result<Tensor> {
    // NaN fails too.
    if !(rtol >= 0.0 && atol >= 0.0) {
        let message = format!("tolerances {rtol} of the size and {atol} beside it: they must be 0 or more");
        return Err(Error::value(operation, message));
    }
    check(operation, &[x, other])?;
    let dtype = x.value().dtype();
    let dtype = if dtype.is_float() { dtype.computed_in() } else { DType::F64 };
    let (x, y) = (x.value().to_dtype(dtype)?, other.value().to_dtype(dtype)?);
    let apart = x.sub(&y)?.abs()?;
    let within = apart.compare(CompareOp::Le, &y.abs()?.affine(rtol, atol)?)?;
    // What is infinitely far apart is not close, even where the tolerance overflows.
    let finite = apart.compare(CompareOp::Lt, &infinity(&x)?)?;
    let close = within.logical_and(&finite)?.logical_or(&x.compare(CompareOp::Eq, &y)?)?;
    if equal_nan { close.logical_or(&isnan(&x)?.logical_and(&isnan(&y)?)?) } else { Ok(close) }
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn allclose<A: Arithmetic>(x: &A, other: &A, rtol: f64, atol: f64, equal_nan: bool) -> Result<bool> {
    let close = close("allclose", x, other, rtol, atol, equal_nan)?;
    let elements = close.shape().elements();
    Ok(elements == 0 || close.reshape([elements])?.to_dtype(DType::F32)?.min(0)?.item()? == 1.0)
}
