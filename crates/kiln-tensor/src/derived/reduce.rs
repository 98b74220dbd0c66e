//! Reductions made of others.

use crate::{Arithmetic, Axes, DType, IntoAxes, IntoAxis, Result, Shape, Tensor, axis_index, unsupported_dtype};
use kiln_math::UnaryOp;

/// The family's signatures.
#[doc(hidden)]
#[macro_export]
macro_rules! derived_reduce {
    ($callback:path) => {
        $callback! { reduce {
            /// The variance over `axes` (negative ones count from the end, `..` is all): Σ (x − mean)² / (n − correction), of n elements.
            /// A correction of 1 is the sample's variance, 0 that of the numbers themselves. Floats of all types; computed in two passes,
            /// so that a large mean costs no accuracy. NaN where n is not larger than the correction.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [4], &Device::cpu())?;
            /// assert_eq!(x.var(.., 0)?.item()?, 1.25);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range or named twice, a dtype that is not a float type.
            fn var(axes: impl $crate::IntoAxes, correction: usize) -> Self;

            /// [`var`](Self::var) with the axes kept at size 1.
            ///
            /// # Errors
            /// As `var`.
            fn var_keepdim(axes: impl $crate::IntoAxes, correction: usize) -> Self;

            /// The standard deviation over `axes`: the square root of [`var`](Self::var). Where it is 0, its slope is 0.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 3.0], [2], &Device::cpu())?;
            /// assert_eq!(x.std(0, 0)?.item()?, 1.0);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// As `var`.
            fn std(axes: impl $crate::IntoAxes, correction: usize) -> Self;

            /// [`std`](Self::std) with the axes kept at size 1.
            ///
            /// # Errors
            /// As `var`.
            fn std_keepdim(axes: impl $crate::IntoAxes, correction: usize) -> Self;

            /// The variance and the mean over `axes`.
            ///
            /// # Errors
            /// As `var`.
            fn var_mean(axes: impl $crate::IntoAxes, correction: usize) -> (Self, Self);

            /// The smallest and the largest element over `axes`; NaN wins. Equal ones share the gradient.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[2.0f32, -1.0, 5.0], [3], &Device::cpu())?;
            /// let (low, high) = x.aminmax(..)?;
            /// assert_eq!((low.item()?, high.item()?), (-1.0, 5.0));
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range, named twice or empty, a dtype without an order.
            fn aminmax(axes: impl $crate::IntoAxes) -> (Self, Self);

            /// Σ x over `axes`, where NaN counts as 0 and gets a gradient of 0.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, f32::NAN, 3.0], [3], &Device::cpu())?;
            /// assert_eq!((x.nansum(..)?.item()?, x.nanmean(..)?.item()?), (4.0, 2.0));
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range or named twice, a dtype that is not a float type.
            fn nansum(axes: impl $crate::IntoAxes) -> Self;

            /// The mean over `axes` of the elements that are not NaN; NaN where there is none.
            ///
            /// # Errors
            /// As `nansum`.
            fn nanmean(axes: impl $crate::IntoAxes) -> Self;

            /// How many elements over `axes` are not 0, as i64; NaN is not 0. Any dtype.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[0i64, 3, 0, -1], [2, 2], &Device::cpu())?;
            /// assert_eq!(x.count_nonzero(1)?.to_vec::<i64>()?, [1, 1]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range or named twice.
            fn count_nonzero(axes: impl $crate::IntoAxes) -> $crate::Tensor;

            /// Whether any element over `axes` is not 0, as bool; false of none. Any dtype.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[true, false, false, false], [2, 2], &Device::cpu())?;
            /// assert_eq!(x.any(1)?.to_vec::<bool>()?, [true, false]);
            /// assert_eq!(x.all(0)?.to_vec::<bool>()?, [false, false]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range or named twice.
            fn any(axes: impl $crate::IntoAxes) -> $crate::Tensor;

            /// Whether no element over `axes` is 0, as bool; true of none. Any dtype.
            ///
            /// # Errors
            /// An axis out of range or named twice.
            fn all(axes: impl $crate::IntoAxes) -> $crate::Tensor;

            /// Where the largest of all elements is, counted in row-major order, as an i64 scalar: the first one; NaN wins.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 5.0, 7.0, 2.0], [2, 2], &Device::cpu())?;
            /// assert_eq!((x.argmax_all()?.item()?, x.argmin_all()?.item()?), (2.0, 0.0));
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// A tensor without elements.
            fn argmax_all() -> $crate::Tensor;

            /// Where the smallest of all elements is, counted in row-major order, as an i64 scalar: the first one; NaN wins.
            ///
            /// # Errors
            /// A tensor without elements.
            fn argmin_all() -> $crate::Tensor;

            /// Where along `axis` the largest element is, with the axis kept at size 1.
            ///
            /// # Errors
            /// An axis out of range or empty.
            fn argmax_keepdim(axis: impl $crate::IntoAxis) -> $crate::Tensor;

            /// Where along `axis` the smallest element is, with the axis kept at size 1.
            ///
            /// # Errors
            /// An axis out of range or empty.
            fn argmin_keepdim(axis: impl $crate::IntoAxis) -> $crate::Tensor;
        } }
    };
}

/// The value without `axes`, which have size 1.
pub(super) fn without<A: Arithmetic>(x: A, axes: Axes) -> Result<A> {
    let rest = x.shape().iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, &size)| size);
    let shape = Shape::new(&rest.collect::<Vec<_>>())?;
    x.reshape(shape)
}

/// A float as a scalar of x's dtype.
pub(super) fn scalar<A: Arithmetic>(x: &A, value: f64) -> Result<A> {
    Ok(A::constant(Tensor::full((), value, x.value().dtype(), x.value().device())?))
}

/// Refuses all but floats.
pub(super) fn float<A: Arithmetic>(operation: &'static str, x: &A) -> Result<()> {
    match x.value().dtype() {
        dtype if dtype.is_float() => Ok(()),
        dtype => Err(unsupported_dtype(operation, dtype, "f32, f64, f16 or bf16")),
    }
}

/// √x of what is not negative, whose slope is 0 where x is.
pub(super) fn root<A: Arithmetic>(x: &A) -> Result<A> {
    let positive = x.value().gt(scalar(x, 0.0)?.value())?;
    let inside = A::select(&positive, x, &scalar(x, 1.0)?)?;
    A::select(&positive, &inside.map(UnaryOp::Sqrt)?, &A::constant(x.value().clone()))
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn var_keepdim<A: Arithmetic>(x: &A, axes: impl IntoAxes, correction: usize) -> Result<A> {
    float("var", x)?;
    let axes = axes.into_axes(x.shape())?;
    let count: usize = axes.iter().map(|&axis| x.shape()[axis]).product();
    x.in_wide(|x| {
        let squares = x.squares_keepdim(&axes, true)?;
        squares.div(&scalar(x, count.saturating_sub(correction) as f64)?)
    })
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn var<A: Arithmetic>(x: &A, axes: impl IntoAxes, correction: usize) -> Result<A> {
    let axes = axes.into_axes(x.shape())?;
    without(var_keepdim(x, axes, correction)?, axes)
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn std_keepdim<A: Arithmetic>(x: &A, axes: impl IntoAxes, correction: usize) -> Result<A> {
    let axes = axes.into_axes(x.shape())?;
    x.in_wide(|x| root(&var_keepdim(x, axes, correction)?))
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn std<A: Arithmetic>(x: &A, axes: impl IntoAxes, correction: usize) -> Result<A> {
    let axes = axes.into_axes(x.shape())?;
    without(std_keepdim(x, axes, correction)?, axes)
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn var_mean<A: Arithmetic>(x: &A, axes: impl IntoAxes, correction: usize) -> Result<(A, A)> {
    let axes = axes.into_axes(x.shape())?;
    Ok((var(x, axes, correction)?, without(x.mean_keepdim(&axes)?, axes)?))
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn aminmax<A: Arithmetic>(x: &A, axes: impl IntoAxes) -> Result<(A, A)> {
    let axes = axes.into_axes(x.shape())?;
    Ok((without(x.min_keepdim(&axes)?, axes)?, without(x.max_keepdim(&axes)?, axes)?))
}

/// The elements with 0 in the place of NaN, and where there was none.
fn without_nan<A: Arithmetic>(operation: &'static str, x: &A) -> Result<(A, Tensor)> {
    float(operation, x)?;
    let numbers = x.value().eq(x.value())?;
    Ok((A::select(&numbers, x, &scalar(x, 0.0)?)?, numbers))
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn nansum<A: Arithmetic>(x: &A, axes: impl IntoAxes) -> Result<A> {
    let axes = axes.into_axes(x.shape())?;
    without(without_nan("nansum", x)?.0.sum_keepdim(&axes)?, axes)
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn nanmean<A: Arithmetic>(x: &A, axes: impl IntoAxes) -> Result<A> {
    let axes = axes.into_axes(x.shape())?;
    let y = x.in_wide(|x| {
        let (numbers, present) = without_nan("nanmean", x)?;
        let count = A::constant(present.sum_keepdim(axes)?.to_dtype(x.value().dtype())?);
        numbers.sum_keepdim(&axes)?.div(&count)
    })?;
    without(y, axes)
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn count_nonzero<A: Arithmetic>(x: &A, axes: impl IntoAxes) -> Result<Tensor> {
    let x = x.value();
    if x.dtype() == DType::Bool {
        return x.sum(axes);
    }
    x.ne(&Tensor::zeros((), x.dtype(), x.device())?)?.sum(axes)
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn any<A: Arithmetic>(x: &A, axes: impl IntoAxes) -> Result<Tensor> {
    count_nonzero(x, axes)?.to_dtype(DType::Bool)
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn all<A: Arithmetic>(x: &A, axes: impl IntoAxes) -> Result<Tensor> {
    let axes = axes.into_axes(x.shape())?;
    let count: usize = axes.iter().map(|&axis| x.shape()[axis]).product();
    let device = x.value().device();
    count_nonzero(x, axes)?.eq(&Tensor::full((), count as f64, DType::I64, device)?)
}

/// All elements as one axis.
fn flat<A: Arithmetic>(x: &A) -> Result<Tensor> {
    x.value().reshape([x.shape().elements()])
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn argmax_all<A: Arithmetic>(x: &A) -> Result<Tensor> {
    flat(x)?.argmax(0)
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn argmin_all<A: Arithmetic>(x: &A) -> Result<Tensor> {
    flat(x)?.argmin(0)
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn argmax_keepdim<A: Arithmetic>(x: &A, axis: impl IntoAxis) -> Result<Tensor> {
    let axis = axis_index("argmax", axis, x.shape())?;
    x.value().argmax(axis)?.unsqueeze(axis)
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn argmin_keepdim<A: Arithmetic>(x: &A, axis: impl IntoAxis) -> Result<Tensor> {
    let axis = axis_index("argmin", axis, x.shape())?;
    x.value().argmin(axis)?.unsqueeze(axis)
}
