//! Norms and what is made of them.

use super::reduce::{float, root, scalar, without};
use crate::{Arithmetic, Axes, DType, Error, IntoAxes, IntoAxis, Result, Shape, Tensor, axis_index};
use kiln_math::{BinaryOp, UnaryOp};

/// The family's signatures.
#[doc(hidden)]
#[macro_export]
macro_rules! derived_norm {
    ($callback:path) => {
        $callback! { norm {
            /// The p-norm over `axes` (negative ones count from the end, `..` is all): (Σ |x|ᵖ)^(1/p). With p = ∞ the largest |x|, with
            /// −∞ the smallest, with 0 how many elements are not 0. Over two axes with p = 2 it is the Frobenius norm of matrices. The
            /// gradient is 0 where the norm is; of p = 0 there is none. With p = 2 squares of very large or small elements neither
            /// overflow nor vanish. Floats of all types.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[3.0f32, -4.0], [2], &Device::cpu())?;
            /// assert_eq!(x.norm(2.0, ..)?.item()?, 5.0);
            /// assert_eq!(x.norm(1.0, ..)?.item()?, 7.0);
            /// assert_eq!(x.norm(f64::INFINITY, ..)?.item()?, 4.0);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range or named twice, a p of NaN, a dtype that is not a float type; with p = ±∞ an empty axis.
            fn norm(p: f64, axes: impl $crate::IntoAxes) -> Self;

            /// [`norm`](Self::norm) with the axes kept at size 1.
            ///
            /// # Errors
            /// As `norm`.
            fn norm_keepdim(p: f64, axes: impl $crate::IntoAxes) -> Self;

            /// x / max(‖x‖, epsilon) with the p-norm along `axis`: rows of norm 1. Floats of all types.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[6.0f64, 8.0], [2], &Device::cpu())?;
            /// assert_eq!(x.normalized(2.0, 0, 1e-12)?.to_vec::<f64>()?, [0.6, 0.8]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// As `norm`.
            fn normalized(p: f64, axis: impl $crate::IntoAxis, epsilon: f64) -> Self;

            /// The cosine of the angle between vectors along `axis`: x·y / (max(‖x‖, epsilon) · max(‖y‖, epsilon)). The shapes broadcast.
            /// Floats of all types.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 0.0], [2], &Device::cpu())?;
            /// let y = Tensor::from_slice(&[0.0f32, 2.0], [2], &Device::cpu())?;
            /// assert_eq!(x.cosine_similarity(&y, 0, 1e-8)?.item()?, 0.0);
            /// assert_eq!(y.cosine_similarity(&y, 0, 1e-8)?.item()?, 1.0);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Shapes that do not broadcast, an axis out of range of their product, dtypes or devices that differ, a dtype that is not
            /// a float type.
            fn cosine_similarity(other: &Self, axis: impl $crate::IntoAxis, epsilon: f64) -> Self;
        } }
    };
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn norm<A: Arithmetic>(x: &A, p: f64, axes: impl IntoAxes) -> Result<A> {
    let axes = axes.into_axes(x.shape())?;
    without(norm_keepdim(x, p, axes)?, axes)
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn norm_keepdim<A: Arithmetic>(x: &A, p: f64, axes: impl IntoAxes) -> Result<A> {
    float("norm", x)?;
    let axes = axes.into_axes(x.shape())?;
    if p.is_nan() {
        return Err(Error::value("norm", "p is NaN: a number or an infinity is expected"));
    }
    x.in_wide(|x| {
        if p == 2.0 {
            return euclidean(x, &axes);
        }
        if p == 0.0 {
            return Ok(A::constant(not_zero(x.value())?.sum_keepdim(axes)?.to_dtype(x.value().dtype())?));
        }
        let size = x.map(UnaryOp::Abs)?;
        if p == 1.0 {
            size.sum_keepdim(&axes)
        } else if p == f64::INFINITY {
            size.max_keepdim(&axes)
        } else if p == f64::NEG_INFINITY {
            size.min_keepdim(&axes)
        } else {
            of_powers(&size, p, &axes)
        }
    })
}

fn not_zero(x: &Tensor) -> Result<Tensor> {
    x.ne(&Tensor::zeros((), x.dtype(), x.device())?)
}

/// x to a power, where x is not negative: of 0 a constant, as the slope there is 0 or none.
fn power<A: Arithmetic>(x: &A, p: f64) -> Result<A> {
    let present = not_zero(x.value())?;
    let inside = A::select(&present, x, &scalar(x, 1.0)?)?;
    let at_zero = if p > 0.0 { 0.0 } else { f64::INFINITY };
    A::select(&present, &inside.binary(BinaryOp::Pow, &scalar(x, p)?)?, &scalar(x, at_zero)?)
}

/// (Σ xᵖ)^(1/p) of what is not negative.
fn of_powers<A: Arithmetic>(x: &A, p: f64, axes: &[usize]) -> Result<A> {
    let sum = power(x, p)?.sum_keepdim(axes)?;
    if p > 0.0 {
        return power(&sum, 1.0 / p);
    }
    // An infinite sum has an element of 0, and so has the norm.
    let infinite = scalar(x, f64::INFINITY)?;
    let finite = sum.value().lt(infinite.value())?;
    let inside = A::select(&finite, &sum, &scalar(x, 1.0)?)?;
    A::select(&finite, &power(&inside, 1.0 / p)?, &A::constant(sum.value().map(UnaryOp::Recip)?))
}

/// √Σ x². Where squares may have overflowed or vanished, the elements are first divided by the largest.
fn euclidean<A: Arithmetic>(x: &A, axes: &Axes) -> Result<A> {
    let empty = axes.iter().any(|&axis| x.shape()[axis] == 0);
    if empty || x.value().device().backend().is_host() {
        let squares = x.squares_keepdim(axes, false)?;
        if empty || are_exact(squares.value())? {
            return root(&squares);
        }
    }
    let largest = x.value().abs()?.max_keepdim(*axes)?;
    let (one, zero) = (scalar(&largest, 1.0)?, scalar(&largest, 0.0)?);
    let usable = largest.gt(&zero)?.logical_and(&largest.lt(&scalar(&largest, f64::INFINITY)?)?)?;
    let scale = A::constant(Tensor::select(&usable, &largest, &one)?);
    root(&x.div(&scale)?.squares_keepdim(axes, false)?)?.mul(&scale)
}

/// Whether sums of squares, which lie on the host, are all within the range where none can have overflowed or vanished.
fn are_exact(sums: &Tensor) -> Result<bool> {
    // Squares below the smallest normal number are lost, which 2⁻²⁴ of this would still feel.
    let lowest = sums.dtype().smallest_normal() * 2f64.powi(60);
    let exact = |sum: f64| sum.is_nan() || (lowest..f64::INFINITY).contains(&sum);
    Ok(match sums.dtype() {
        DType::F64 => sums.to_vec::<f64>()?.into_iter().all(exact),
        _ => sums.to_vec::<f32>()?.into_iter().all(|sum| exact(f64::from(sum))),
    })
}

/// The p-norm along an axis, at least epsilon.
fn length<A: Arithmetic>(x: &A, p: f64, axis: usize, epsilon: f64) -> Result<A> {
    norm_keepdim(x, p, axis)?.binary(BinaryOp::Maximum, &scalar(x, epsilon)?)
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn normalized<A: Arithmetic>(x: &A, p: f64, axis: impl IntoAxis, epsilon: f64) -> Result<A> {
    float("normalized", x)?;
    let axis = axis_index("normalized", axis, x.shape())?;
    x.in_wide(|x| x.div(&length(x, p, axis, epsilon)?))
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn cosine_similarity<A: Arithmetic>(x: &A, other: &A, axis: impl IntoAxis, epsilon: f64) -> Result<A> {
    float("cosine_similarity", x)?;
    crate::tensor::check_pair("cosine_similarity", x.value(), other.value())?;
    let shape = crate::broadcast_shapes("cosine_similarity", x.shape(), other.shape())?;
    let axis = axis_index("cosine_similarity", axis, &shape)?;
    let wide = x.value().dtype().computed_in();
    let dtype = x.value().dtype();
    let whole = |x: &A| -> Result<A> {
        let mut dims = vec![1; shape.rank() - x.shape().rank()];
        dims.extend_from_slice(x.shape());
        let x = x.reshape(Shape::new(&dims)?)?.to_dtype(wide)?;
        if dims[axis] == shape[axis] {
            return Ok(x);
        }
        // One element that is stretched is as long as all of them.
        dims.fill(1);
        dims[axis] = shape[axis];
        x.add(&A::constant(Tensor::zeros(Shape::new(&dims)?, wide, x.value().device())?))
    };
    let (x, y) = (whole(x)?, whole(other)?);
    let (x, y) = (x.div(&length(&x, 2.0, axis, epsilon)?)?, y.div(&length(&y, 2.0, axis, epsilon)?)?);
    let axes = axis.into_axes(&shape)?;
    without(x.mul(&y)?.sum_keepdim(&axes)?.to_dtype(dtype)?, axes)
}
