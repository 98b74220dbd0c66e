//! Dropout, drawn from a counter-based stream.

use super::{Tensor, check_device};
use crate::{Arithmetic, Call, DType, Distribution, Error, Out, Ran, Result, View, unsupported_dtype};
use kiln_math::draws::kept_scale;

/// out = x / (1 − rate) where the stream's draw, uniform in [0, 1), is at least the rate, else 0. Its gradient is the same call on dy.
#[derive(Clone, Copy, Debug)]
pub struct DropoutCall<'a> {
    /// From 0 to 1.
    pub rate: f64,
    /// Of x's shape, f32 or f64.
    pub out: Out<'a>,
    /// Any layout.
    pub x: View<'a>,
    /// i64 (2,): key and first counter.
    pub stream: View<'a>,
}

/// The composed form.
///
/// # Errors
/// A stream that is not i64 (2,) on x's device; those of the operations.
pub fn composed<T: Arithmetic>(rate: f64, x: &T, stream: &Tensor) -> Result<T> {
    Tensor::check_stream("dropout", stream)?;
    check_device("dropout", x.value(), stream)?;
    let (shape, device) = (x.value().shape(), x.value().device());
    let draw = Tensor::output(shape, DType::F32, device)?;
    device.random(Distribution::Uniform { low: 0.0, high: 1.0 }, draw.out(), stream.view())?;
    let keep = draw.ge(&Tensor::full((), rate, DType::F32, device)?)?;
    let zero = T::constant(Tensor::zeros((), x.value().dtype, device)?);
    T::select(&keep, &x.affine(kept_scale(rate), 0.0)?, &zero)
}

impl Tensor {
    /// Each element zero with probability `rate`, the others divided by 1 − rate; all zero at a rate of 1. Drawn from the
    /// stream (i64 (2,), by [`Tensor::random_stream`]).
    ///
    /// # Errors
    /// A rate below 0 or above 1, a dtype that is not a float type.
    pub fn dropout(&self, rate: f64, stream: &Tensor) -> Result<Tensor> {
        Tensor::check_stream("dropout", stream)?;
        check_device("dropout", self, stream)?;
        if !(0.0..=1.0).contains(&rate) {
            return Err(Error::value("dropout", format!("a rate from 0 to 1 is expected, got {rate}")));
        }
        if !self.dtype.is_float() {
            return Err(unsupported_dtype("dropout", self.dtype, "f32, f64, f16 or bf16"));
        }
        self.in_wide(|x| {
            let out = Tensor::output(x.shape(), x.dtype, x.device())?;
            let call = DropoutCall { rate, out: out.out(), x: x.view(), stream: stream.view() };
            match x.device().run(&Call::Dropout(call))? {
                Ran::Done => Ok(out),
                Ran::NotHere => composed(rate, x, stream),
            }
        })
    }
}
