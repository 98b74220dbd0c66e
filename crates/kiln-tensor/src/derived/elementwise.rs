//! Operations that go element by element and are made of others.

use super::wide::{check, expect_floats, in_wide};
use crate::{Arithmetic, CompareOp, DType, Error, Result, Shape, Tensor, UnaryCall};
use kiln_math::{BinaryOp, UnaryOp};

/// The family's signatures.
#[doc(hidden)]
#[macro_export]
macro_rules! derived_elementwise {
    ($callback:path) => {
        $callback! { elementwise {
            /// Linear interpolation: x + weight·(end − x), from x at weight 0 to `end` at weight 1, both of them exact. The shapes
            /// broadcast. PyTorch's `lerp`.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let (a, b) = (Tensor::scalar(10f32, &Device::cpu())?, Tensor::scalar(20f32, &Device::cpu())?);
            /// assert_eq!(a.lerp(&b, 0.25)?.item()?, 12.5);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Shapes that do not broadcast, dtypes or devices that differ, a dtype that is not a float type.
            fn lerp(end: &Self, weight: f64) -> Self;

            /// As [`lerp`](Self::lerp), with a weight for each element. All three shapes broadcast.
            ///
            /// # Errors
            /// As those of `lerp`.
            fn lerp_tensor(end: &Self, weight: &Self) -> Self;

            /// min(max(x, low), high) with bounds for each element, which broadcast; `None` is no bound. NaN where x or a bound
            /// is. Where low > high the result is high. The gradient goes to what the result is taken from, in halves where
            /// two are equal. PyTorch's `clamp` of tensors, NumPy's `clip`.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[-5f32, 0.5, 5.0], [3], &Device::cpu())?;
            /// let high = Tensor::from_slice(&[1f32, 1.0, 3.0], [3], &Device::cpu())?;
            /// assert_eq!(x.clamp_tensors(None, Some(&high))?.to_vec::<f32>()?, [-5.0, 0.5, 3.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Shapes that do not broadcast, dtypes or devices that differ.
            fn clamp_tensors(low: Option<&Self>, high: Option<&Self>) -> Self;

            /// x with NaN replaced by `nan`, ∞ by `infinity` and −∞ by `negative_infinity`; `None` for those two is the largest
            /// and the smallest finite number of the dtype. The gradient is 0 where something was replaced.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[f32::NAN, f32::INFINITY, 2.0], [3], &Device::cpu())?;
            /// assert_eq!(x.nan_to_num(0.0, None, None)?.to_vec::<f32>()?, [0.0, f32::MAX, 2.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// A dtype that is not a float type.
            fn nan_to_num(nan: f64, infinity: Option<f64>, negative_infinity: Option<f64>) -> Self;

            /// x where positive, else weight·x (He et al. 2015). The weight is one number, of shape () or (1), or one for each
            /// channel, which is axis 1: x (N, C, …), weight (C).
            ///
            /// # Errors
            /// A weight of another shape, dtypes or devices that differ, a dtype that is not a float type.
            fn prelu(weight: &Self) -> Self;
        } }
    };
}

/// a + w·(b − a) on the side of a, b − (1 − w)·(b − a) on that of b: exact at either end.
#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn lerp<A: Arithmetic>(x: &A, end: &A, weight: f64) -> Result<A> {
    expect_floats("lerp", &[x, end])?;
    in_wide(x.value().dtype(), [x, end], |[x, end]| {
        let apart = end.sub(x)?;
        if weight.abs() < 0.5 { x.add(&apart.affine(weight, 0.0)?) } else { end.sub(&apart.affine(1.0 - weight, 0.0)?) }
    })
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn lerp_tensor<A: Arithmetic>(x: &A, end: &A, weight: &A) -> Result<A> {
    expect_floats("lerp_tensor", &[x, end, weight])?;
    in_wide(x.value().dtype(), [x, end, weight], |[x, end, weight]| {
        let apart = end.sub(x)?;
        let near_x = weight.value().abs()?.compare(CompareOp::Lt, &number(0.5, weight.value())?)?;
        A::select(&near_x, &x.add(&weight.mul(&apart)?)?, &end.sub(&weight.affine(-1.0, 1.0)?.mul(&apart)?)?)
    })
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn clamp_tensors<A: Arithmetic>(x: &A, low: Option<&A>, high: Option<&A>) -> Result<A> {
    let all: Vec<&A> = [Some(x), low, high].into_iter().flatten().collect();
    check("clamp_tensors", &all)?;
    let raised = match low {
        Some(low) => x.binary(BinaryOp::Maximum, low)?,
        None => x.clone(),
    };
    match high {
        Some(high) => raised.binary(BinaryOp::Minimum, high),
        None => Ok(raised),
    }
}

/// The largest finite number.
fn largest(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 65_504.0,
        DType::BF16 => f64::from(f32::from_bits(0x7f7f_0000)),
        DType::F32 => f32::MAX.into(),
        _ => f64::MAX,
    }
}

/// A number as a scalar tensor beside `like`.
fn number(value: f64, like: &Tensor) -> Result<Tensor> {
    Tensor::full((), value, like.dtype(), like.device())
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn nan_to_num<A: Arithmetic>(x: &A, nan: f64, infinity: Option<f64>, negative_infinity: Option<f64>) -> Result<A> {
    expect_floats("nan_to_num", &[x])?;
    let value = x.value();
    let bound = largest(value.dtype());
    // Between these bounds a clamp changes infinities alone.
    let params = [negative_infinity.map_or(-bound, |_| f64::NEG_INFINITY), infinity.map_or(bound, |_| f64::INFINITY)];
    let mut y = x.unary(UnaryCall { op: UnaryOp::Clamp, params })?;
    for (from, to) in [(f64::INFINITY, infinity), (f64::NEG_INFINITY, negative_infinity)] {
        if let Some(to) = to {
            let met = value.compare(CompareOp::Eq, &number(from, value)?)?;
            y = A::select(&met, &A::constant(number(to, value)?), &y)?;
        }
    }
    A::select(&value.compare(CompareOp::Ne, value)?, &A::constant(number(nan, value)?), &y)
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn prelu<A: Arithmetic>(x: &A, weight: &A) -> Result<A> {
    let (shape, factors) = (x.shape(), weight.shape());
    let one = factors.elements() == 1 && factors.rank() <= 1;
    let by_channel = factors.rank() == 1 && shape.rank() > 1 && shape[1] == factors[0];
    if !(one || by_channel) {
        let channels =
            if shape.rank() > 1 { format!(" or ({},), one number a channel", shape[1]) } else { String::new() };
        let message = format!("x {shape} with a weight {factors}: the weight must be of shape (1,){channels}");
        return Err(Error::shape("prelu", message));
    }
    let dims: Vec<usize> = (0..shape.rank()).map(|axis| if axis == 1 && !one { shape[1] } else { 1 }).collect();
    let weight = weight.reshape(Shape::new(&dims)?)?;
    expect_floats("prelu", &[x, &weight])?;
    in_wide(x.value().dtype(), [x, &weight], |[x, weight]| {
        let positive = x.value().compare(CompareOp::Gt, &number(0.0, x.value())?)?;
        A::select(&positive, x, &x.mul(weight)?)
    })
}
