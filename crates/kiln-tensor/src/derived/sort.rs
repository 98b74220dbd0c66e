//! Sorting and order statistics along an axis.

use super::reduce::{float, scalar, without};
use crate::{Arithmetic, CompareOp, Error, ErrorKind, IntoAxes, IntoAxis, Order, Result, Shape, Tensor, axis_index};

/// What a quantile is between two neighbors a ≤ b, at a share t of the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Interpolation {
    /// a + t·(b − a)
    #[default]
    Linear,
    /// a
    Lower,
    /// b
    Higher,
    /// The nearer one; half way, the one of even rank.
    Nearest,
    /// (a + b)/2
    Midpoint,
}

/// The family's signatures.
#[doc(hidden)]
#[macro_export]
macro_rules! derived_sort {
    ($callback:path) => {
        $callback! { sort {
            /// The elements sorted along `axis`; NaN counts as larger than every number. Any dtype.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Order, Tensor};
            /// let x = Tensor::from_slice(&[3.0f32, 1.0, 2.0], [3], &Device::cpu())?;
            /// assert_eq!(x.sort(0, Order::Ascending)?.to_vec::<f32>()?, [1.0, 2.0, 3.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range, or of more than 2³² − 1 elements.
            fn sort(axis: impl $crate::IntoAxis, order: $crate::Order) -> Self;

            /// The positions (i64) along `axis` that sort the elements; equal elements stay in their order. Any dtype.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Order, Tensor};
            /// let x = Tensor::from_slice(&[3.0f32, 1.0, 3.0], [3], &Device::cpu())?;
            /// assert_eq!(x.argsort(0, Order::Descending)?.to_vec::<i64>()?, [0, 2, 1]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// As `sort`.
            fn argsort(axis: impl $crate::IntoAxis, order: $crate::Order) -> $crate::Tensor;

            /// The elements sorted along `axis`, and the positions (i64) where they were: [`sort`](Self::sort) and
            /// [`argsort`](Self::argsort) at once.
            ///
            /// # Errors
            /// As `sort`.
            fn sort_with_positions(axis: impl $crate::IntoAxis, order: $crate::Order) -> (Self, $crate::Tensor);

            /// The first `k` elements along `axis` as if it were sorted, and their positions (i64): the largest with
            /// `Order::Descending`, the smallest with `Order::Ascending`. Of equal
            /// elements the first ones. Any dtype.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Order, Tensor};
            /// let x = Tensor::from_slice(&[3.0f32, 9.0, 5.0], [3], &Device::cpu())?;
            /// let (values, positions) = x.topk(2, 0, Order::Descending)?;
            /// assert_eq!(values.to_vec::<f32>()?, [9.0, 5.0]);
            /// assert_eq!(positions.to_vec::<i64>()?, [1, 2]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// As `sort`; an axis of fewer than k elements.
            fn topk(k: usize, axis: impl $crate::IntoAxis, order: $crate::Order) -> (Self, $crate::Tensor);

            /// The `k`-th smallest element along `axis`, from 1 on, and its position (i64); of equal elements the first one's. NaN counts
            /// as larger than every number. Any dtype.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[3.0f32, 9.0, 5.0], [3], &Device::cpu())?;
            /// let (value, position) = x.kthvalue(2, 0)?;
            /// assert_eq!((value.item()?, position.item()?), (5.0, 2.0));
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// As `sort`; a k that is 0 or larger than the axis.
            fn kthvalue(k: usize, axis: impl $crate::IntoAxis) -> (Self, $crate::Tensor);

            /// The median along `axis` and its position (i64): of an even number of elements the smaller of the middle ones, as in
            /// PyTorch. (Their mean, as in NumPy, is `quantile(0.5, axis, Interpolation::Linear)`.) NaN where there is one. Floats of all
            /// types, i64, u8 and bool. The gradient goes to the element at the position.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Interpolation, Tensor};
            /// let x = Tensor::from_slice(&[4.0f32, 1.0, 3.0, 2.0], [4], &Device::cpu())?;
            /// assert_eq!(x.median(0)?.0.item()?, 2.0);
            /// assert_eq!(x.quantile(0.5, 0, Interpolation::Linear)?.item()?, 2.5);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range or empty.
            fn median(axis: impl $crate::IntoAxis) -> (Self, $crate::Tensor);

            /// The `q`-quantile along `axis`: of n sorted elements the one at q·(n − 1), or what `interpolation` makes of the two beside
            /// it. NaN where there is one. Floats of all types.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Interpolation, Tensor};
            /// let x = Tensor::from_slice(&[0.0f32, 10.0, 20.0], [3], &Device::cpu())?;
            /// assert_eq!(x.quantile(0.25, 0, Interpolation::Linear)?.item()?, 5.0);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range or empty, a q below 0 or above 1, a dtype that is not a float type.
            fn quantile(q: f64, axis: impl $crate::IntoAxis, interpolation: $crate::Interpolation) -> Self;

            /// Several quantiles along `axis`, one for each of `q`, in a new first axis.
            ///
            /// # Errors
            /// As `quantile`.
            fn quantiles(q: &[f64], axis: impl $crate::IntoAxis, interpolation: $crate::Interpolation) -> Self;
        } }
    };
}

/// What sorting has left out, which it never does.
#[cold]
fn left_out(operation: &'static str) -> Error {
    Error::new(ErrorKind::Fault, operation, "the sorted rows have no values or no positions")
}

/// The first k elements along the axis and where they were.
fn first<A: Arithmetic>(operation: &'static str, x: &A, k: usize, axis: usize, order: Order) -> Result<(A, Tensor)> {
    let [Some(values), Some(positions)] = x.value().sorted_along(operation, axis, k, order, [true; 2])? else {
        return Err(left_out(operation));
    };
    Ok((x.chosen(axis, values, &positions)?, positions))
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn sort_with_positions<A: Arithmetic>(x: &A, axis: impl IntoAxis, order: Order) -> Result<(A, Tensor)> {
    let axis = axis_index("sort", axis, x.shape())?;
    first("sort", x, x.shape()[axis], axis, order)
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn sort<A: Arithmetic>(x: &A, axis: impl IntoAxis, order: Order) -> Result<A> {
    if x.is_recorded() {
        return Ok(sort_with_positions(x, axis, order)?.0); // the gradient needs the positions
    }
    let axis = axis_index("sort", axis, x.shape())?;
    let [values, _] = x.value().sorted_along("sort", axis, x.shape()[axis], order, [true, false])?;
    Ok(A::constant(values.ok_or_else(|| left_out("sort"))?))
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn argsort<A: Arithmetic>(x: &A, axis: impl IntoAxis, order: Order) -> Result<Tensor> {
    let axis = axis_index("argsort", axis, x.shape())?;
    let [_, positions] = x.value().sorted_along("argsort", axis, x.shape()[axis], order, [false, true])?;
    positions.ok_or_else(|| left_out("argsort"))
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn topk<A: Arithmetic>(x: &A, k: usize, axis: impl IntoAxis, order: Order) -> Result<(A, Tensor)> {
    let axis = axis_index("topk", axis, x.shape())?;
    let size = x.shape()[axis];
    if k > size {
        return Err(Error::value(
            "topk",
            format!("k = {k} of axis {axis} of {}, which has {size} elements: give {size} or fewer", x.shape()),
        ));
    }
    first("topk", x, k, axis, order)
}

/// The element of a rank along the axis, which stays at size 1, and its position.
fn of_rank<A: Arithmetic>(x: &A, rank: usize, axis: usize) -> Result<(A, Tensor)> {
    let (values, positions) = x.value().kth_along(axis, rank)?;
    Ok((x.chosen(axis, values, &positions)?, positions))
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn kthvalue<A: Arithmetic>(x: &A, k: usize, axis: impl IntoAxis) -> Result<(A, Tensor)> {
    let axis = axis_index("kthvalue", axis, x.shape())?;
    let size = x.shape()[axis];
    if k == 0 || k > size {
        return Err(Error::value(
            "kthvalue",
            format!("k = {k} of axis {axis} of {}, which has {size} elements: k counts from 1", x.shape()),
        ));
    }
    let (values, positions) = of_rank(x, k - 1, axis)?;
    Ok((without(values, axis.into_axes(x.shape())?)?, positions.squeeze(axis)?))
}

/// Refuses an axis without elements.
fn not_empty(operation: &'static str, shape: &Shape, axis: usize) -> Result<()> {
    if shape[axis] > 0 {
        return Ok(());
    }
    Err(Error::shape(operation, format!("axis {axis} of {shape} is empty: it has no {operation}")))
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn median<A: Arithmetic>(x: &A, axis: impl IntoAxis) -> Result<(A, Tensor)> {
    let axis = axis_index("median", axis, x.shape())?;
    not_empty("median", x.shape(), axis)?;
    let (mut values, mut positions) = x.value().kth_along(axis, (x.shape()[axis] - 1) / 2)?;
    if let Some((largest, is_nan)) = nan_along(x.value(), axis)? {
        // The first NaN, which is where the maximum is.
        positions = Tensor::select(&is_nan, &x.value().argmax(axis)?.unsqueeze(axis)?, &positions)?;
        values = Tensor::select(&is_nan, &largest, &values)?;
    }
    let median = x.chosen(axis, values, &positions)?;
    Ok((without(median, axis.into_axes(x.shape())?)?, positions.squeeze(axis)?))
}

/// The maxima along the axis, which stays at size 1, and which of them are NaN. None where it is seen on the host that none is.
fn nan_along(x: &Tensor, axis: usize) -> Result<Option<(Tensor, Tensor)>> {
    if !x.dtype().is_float() {
        return Ok(None);
    }
    let largest = x.max_keepdim(axis)?;
    let is_nan = largest.compare(CompareOp::Ne, &largest)?;
    let none = x.device().backend().is_host() && is_nan.to_vec::<bool>()?.iter().all(|&is_nan| !is_nan);
    Ok((!none).then_some((largest, is_nan)))
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn quantile<A: Arithmetic>(x: &A, q: f64, axis: impl IntoAxis, interpolation: Interpolation) -> Result<A> {
    let y = quantiles(x, &[q], axis, interpolation)?;
    without(y.clone(), 0.into_axes(y.shape())?)
}

/// The ranks beside a quantile of `size` elements, and the share of the way from one to the other.
fn ranks(q: f64, size: usize, interpolation: Interpolation) -> (usize, usize, f64) {
    let place = q * (size - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    let nearest = place.round_ties_even() as usize;
    match interpolation {
        Interpolation::Linear => (low, high, place - low as f64),
        Interpolation::Midpoint => (low, high, if low == high { 0.0 } else { 0.5 }),
        Interpolation::Lower => (low, low, 0.0),
        Interpolation::Higher => (high, high, 0.0),
        Interpolation::Nearest => (nearest, nearest, 0.0),
    }
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn quantiles<A: Arithmetic>(x: &A, q: &[f64], axis: impl IntoAxis, interpolation: Interpolation) -> Result<A> {
    float("quantile", x)?;
    let axis = axis_index("quantile", axis, x.shape())?;
    not_empty("quantile", x.shape(), axis)?;
    if let Some(outside) = q.iter().find(|q| !(0.0..=1.0).contains(*q)) {
        return Err(Error::value("quantile", format!("quantiles are from 0 to 1, got {outside}")));
    }
    if q.is_empty() {
        return Err(Error::value("quantile", "there is no q: give one or more numbers from 0 to 1"));
    }
    x.in_wide(|x| {
        let size = x.shape()[axis];
        let wanted: Vec<_> = q.iter().map(|&q| ranks(q, size, interpolation)).collect();
        // A few elements are looked for; for many the axis is sorted.
        let sorted = if q.len() > 2 { Some(sort(x, axis, Order::Ascending)?) } else { None };
        let at = |rank: usize| match &sorted {
            Some(sorted) => sorted.slice(axis, rank..rank + 1),
            None => Ok(of_rank(x, rank, axis)?.0),
        };
        let nan = nan_along(x.value(), axis)?;
        let mut found = Vec::with_capacity(q.len());
        for (low, high, share) in wanted {
            let mut y = between(at(low)?, || at(high), share)?;
            if let Some((_, is_nan)) = &nan {
                y = A::select(is_nan, &scalar(x, f64::NAN)?, &y)?;
            }
            found.push(without(y, axis.into_axes(x.shape())?)?);
        }
        A::stack(&found.iter().collect::<Vec<_>>(), 0)
    })
}

/// a + share·(b − a), from the nearer end.
fn between<A: Arithmetic>(a: A, b: impl FnOnce() -> Result<A>, share: f64) -> Result<A> {
    if share == 0.0 {
        return Ok(a);
    }
    let b = b()?;
    let step = b.sub(&a)?;
    if share < 0.5 { a.add(&step.affine(share, 0.0)?) } else { b.sub(&step.affine(1.0 - share, 0.0)?) }
}
