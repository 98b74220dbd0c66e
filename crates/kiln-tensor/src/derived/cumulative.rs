//! Cumulative operations along an axis.

use crate::{Arithmetic, Error, IntoAxis, Result, ScanOp, Tensor, axis_index};

/// The family's signatures.
#[doc(hidden)]
#[macro_export]
macro_rules! derived_cumulative {
    ($callback:path) => {
        $callback! { cumulative {
            /// The sums so far along `axis`: y\[i\] = x\[0\] + … + x\[i\]. Half types are added up in f32; sums of integers and bool
            /// are i64, as those of `sum`, and wrap. A sum of floats is added up in chunks of 256, so that its error grows slowly; the order is the same for any number of
            /// threads and on every device.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0], [3], &Device::cpu())?;
            /// assert_eq!(x.cumsum(0)?.to_vec::<f32>()?, [1.0, 3.0, 6.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range.
            fn cumsum(axis: impl $crate::IntoAxis) -> Self;

            /// The products so far along `axis`: y\[i\] = x\[0\] · … · x\[i\]. Products of integers and bool are i64 and wrap. Its gradient is right where
            /// elements are 0, too.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[2.0f32, 3.0, 4.0], [3], &Device::cpu())?;
            /// assert_eq!(x.cumprod(0)?.to_vec::<f32>()?, [2.0, 6.0, 24.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range.
            fn cumprod(axis: impl $crate::IntoAxis) -> Self;

            /// y\[i\] = ln(exp(x\[0\]) + … + exp(x\[i\])) along `axis`, computed without overflow. Floats of all types.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1000.0f32, 1000.0], [2], &Device::cpu())?;
            /// assert_eq!(x.logcumsumexp(0)?.to_vec::<f32>()?, [1000.0, 1000.0 + 2f32.ln()]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range, a dtype that is not a float type.
            fn logcumsumexp(axis: impl $crate::IntoAxis) -> Self;

            /// The largest element so far along `axis`, and its position (i64): the last of equal ones; NaN counts as the largest. Any
            /// dtype. The gradient goes to the element at the position.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 3.0, 2.0], [3], &Device::cpu())?;
            /// let (values, positions) = x.cummax(0)?;
            /// assert_eq!(values.to_vec::<f32>()?, [1.0, 3.0, 3.0]);
            /// assert_eq!(positions.to_vec::<i64>()?, [0, 1, 1]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range.
            fn cummax(axis: impl $crate::IntoAxis) -> (Self, $crate::Tensor);

            /// The smallest element so far along `axis`, and its position (i64): the last of equal ones; NaN counts as the smallest. Any
            /// dtype. The gradient goes to the element at the position.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[2.0f32, 3.0, 1.0], [3], &Device::cpu())?;
            /// assert_eq!(x.cummin(0)?.0.to_vec::<f32>()?, [2.0, 2.0, 1.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range.
            fn cummin(axis: impl $crate::IntoAxis) -> (Self, $crate::Tensor);

            /// The linear recurrence y\[i\] = a\[i\]·y\[i − 1\] + b\[i\] along `axis`, from y\[0\] = b\[0\] on, where this is a. Floats of
            /// all types.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let a = Tensor::from_slice(&[0.0f32, 0.5, 0.5], [3], &Device::cpu())?;
            /// let b = Tensor::from_slice(&[4.0f32, 1.0, 0.0], [3], &Device::cpu())?;
            /// assert_eq!(a.linear_recurrence(&b, 0)?.to_vec::<f32>()?, [4.0, 3.0, 1.5]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range, shapes, dtypes or devices that differ, a dtype that is not a float type.
            fn linear_recurrence(b: &Self, axis: impl $crate::IntoAxis) -> Self;

            /// The differences of neighbors along `axis`, taken `n` times: y\[i\] = x\[i + 1\] − x\[i\]. The axis gets shorter by n.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 4.0, 9.0], [3], &Device::cpu())?;
            /// assert_eq!(x.diff(1, 0)?.to_vec::<f32>()?, [3.0, 5.0]);
            /// assert_eq!(x.diff(2, 0)?.to_vec::<f32>()?, [2.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range, fewer than `n` elements along it, a dtype without subtraction.
            fn diff(n: usize, axis: impl $crate::IntoAxis) -> Self;
        } }
    };
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn cumsum<A: Arithmetic>(x: &A, axis: impl IntoAxis) -> Result<A> {
    x.scan(ScanOp::Sum, axis_index("cumsum", axis, x.shape())?)
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn cumprod<A: Arithmetic>(x: &A, axis: impl IntoAxis) -> Result<A> {
    x.scan(ScanOp::Prod, axis_index("cumprod", axis, x.shape())?)
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn logcumsumexp<A: Arithmetic>(x: &A, axis: impl IntoAxis) -> Result<A> {
    x.scan(ScanOp::LogSumExp, axis_index("logcumsumexp", axis, x.shape())?)
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn cummax<A: Arithmetic>(x: &A, axis: impl IntoAxis) -> Result<(A, Tensor)> {
    extrema(x, axis_index("cummax", axis, x.shape())?, false)
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn cummin<A: Arithmetic>(x: &A, axis: impl IntoAxis) -> Result<(A, Tensor)> {
    extrema(x, axis_index("cummin", axis, x.shape())?, true)
}

fn extrema<A: Arithmetic>(x: &A, axis: usize, smallest: bool) -> Result<(A, Tensor)> {
    let (values, positions) = x.value().scanned_extrema(axis, smallest)?;
    Ok((x.chosen(axis, values, &positions)?, positions))
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn linear_recurrence<A: Arithmetic>(a: &A, b: &A, axis: impl IntoAxis) -> Result<A> {
    a.linear_scan(b, axis_index("linear_recurrence", axis, a.shape())?)
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn diff<A: Arithmetic>(x: &A, n: usize, axis: impl IntoAxis) -> Result<A> {
    let axis = axis_index("diff", axis, x.shape())?;
    let size = x.shape()[axis];
    if size < n {
        return Err(Error::shape(
            "diff",
            format!("axis {axis} of {} has {size} elements: differences are taken at most {size} times", x.shape()),
        ));
    }
    x.in_wide(|x| {
        (0..n).try_fold(x.clone(), |x, done| {
            let size = size - done;
            x.slice(axis, 1..size)?.sub(&x.slice(axis, 0..size - 1)?)
        })
    })
}
