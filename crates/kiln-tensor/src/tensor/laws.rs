//! Random tensors of distributions with parameters, one for all elements or one for each.
//!
//! They are computed in f64 and rounded once to the dtype; an element's number is a function of the stream, its place and its
//! parameters, whatever the device or the number of threads.

use super::{Tensor, check_device};
use crate::{DType, Device, Error, IntoShape, Result, broadcast_shapes, unsupported_dtype};
use kiln_math::{Law, RandomStream};

/// The error of invalid parameters.
#[cold]
fn no_distribution(law: Law, [a, b]: [f64; 2]) -> Error {
    let message = match law {
        Law::Bernoulli => format!("a probability from 0 to 1 is expected, got {a}"),
        Law::Exponential => format!("a finite rate above 0 is expected, got {a}"),
        Law::Gamma => format!("a finite concentration and rate above 0 are expected, got {a} and {b}"),
        Law::Beta => format!("two finite concentrations above 0 are expected, got {a} and {b}"),
        Law::Poisson => format!("a finite rate of 0 or more is expected, got {a}"),
        Law::TruncatedNormal => format!("there are no numbers from {a} to {b} standard deviations"),
    };
    Error::value(law.name(), message)
}

impl Tensor {
    /// A sample of the distribution `law` for each element of its one or two parameters, which broadcast, in their dtype. Invalid
    /// parameters give NaN.
    ///
    /// ```
    /// use kiln_math::{Law, Purpose, RandomStream};
    /// use kiln_tensor::{Device, Tensor};
    /// let p = Tensor::from_slice(&[0.0f32, 1.0, 0.5], [3], &Device::cpu())?;
    /// let x = Tensor::sample(Law::Bernoulli, &[&p], RandomStream::new(0, Purpose::Data, 0))?.to_vec::<f32>()?;
    /// assert_eq!(x[..2], [0.0, 1.0]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Another number of parameters, shapes that do not broadcast, dtypes or devices that differ, a dtype that is not a float type.
    pub fn sample(law: Law, parameters: &[&Tensor], stream: RandomStream) -> Result<Tensor> {
        let (a, b) = match (law.parameters(), parameters) {
            (1, &[a]) => (a, a),
            (2, &[a, b]) => (a, b),
            (count, given) => {
                let message = format!("it has {count} parameters, got {}", given.len());
                return Err(Error::value(law.name(), message));
            }
        };
        super::check_pair(law.name(), a, b)?;
        if !a.dtype.is_float() {
            return Err(unsupported_dtype(law.name(), a.dtype, "parameters of f32, f64, f16 or bf16"));
        }
        let shape = broadcast_shapes(law.name(), a.shape(), b.shape())?;
        let stream = Tensor::random_stream(&stream, a.device())?;
        check_device(law.name(), a, &stream)?;
        let wide = |x: &Tensor| x.to_dtype(DType::F64)?.broadcast_to(shape);
        let (wide_a, wide_b) = (wide(a)?, wide(b)?);
        let out = Tensor::output(&shape, DType::F64, a.device())?;
        a.device().sample(law, out.out(), wide_a.view(), wide_b.view(), stream.view())?;
        out.to_dtype(a.dtype)
    }

    /// Numbers of one law, in f64.
    fn sample_of(
        law: Law,
        [a, b]: [f64; 2],
        shape: impl IntoShape,
        device: &Device,
        stream: RandomStream,
    ) -> Result<Tensor> {
        if !law.takes([a, b]) {
            return Err(no_distribution(law, [a, b]));
        }
        let a = Tensor::full((), a, DType::F64, device)?.broadcast_to(shape)?;
        let b = Tensor::full((), b, DType::F64, device)?;
        Tensor::sample(law, &[&a, &b][..law.parameters()], stream)
    }

    /// As [`Tensor::sample_of`], in a float type.
    fn floats_of(
        law: Law,
        parameters: [f64; 2],
        shape: impl IntoShape,
        dtype: DType,
        device: &Device,
        stream: RandomStream,
    ) -> Result<Tensor> {
        if !dtype.is_float() {
            return Err(unsupported_dtype(law.name(), dtype, "f32, f64, f16 or bf16"));
        }
        Tensor::sample_of(law, parameters, shape, device, stream)?.to_dtype(dtype)
    }

    /// 1 with probability `p`, else 0, in any dtype; true and false in bool. [`Tensor::sample`] takes a tensor of probabilities.
    ///
    /// # Errors
    /// A probability that is not from 0 to 1.
    pub fn bernoulli(
        shape: impl IntoShape,
        p: f64,
        dtype: DType,
        device: &Device,
        stream: RandomStream,
    ) -> Result<Tensor> {
        Tensor::sample_of(Law::Bernoulli, [p, 0.0], shape, device, stream)?.to_dtype(dtype)
    }

    /// Exponential of a rate λ: density λ·exp(−λx), mean 1/λ.
    ///
    /// # Errors
    /// A rate that is not above 0, a dtype that is not a float type.
    pub fn exponential(
        shape: impl IntoShape,
        rate: f64,
        dtype: DType,
        device: &Device,
        stream: RandomStream,
    ) -> Result<Tensor> {
        Tensor::floats_of(Law::Exponential, [rate, 0.0], shape, dtype, device, stream)
    }

    /// Gamma of a concentration α and a rate β: density proportional to xᵅ⁻¹·exp(−βx), mean α/β, variance α/β² (Marsaglia and
    /// Tsang 2000).
    ///
    /// # Errors
    /// A concentration or rate that is not above 0, a dtype that is not a float type.
    pub fn gamma(
        shape: impl IntoShape,
        concentration: f64,
        rate: f64,
        dtype: DType,
        device: &Device,
        stream: RandomStream,
    ) -> Result<Tensor> {
        Tensor::floats_of(Law::Gamma, [concentration, rate], shape, dtype, device, stream)
    }

    /// Beta of the concentrations a and b: density proportional to xᵃ⁻¹·(1 − x)ᵇ⁻¹, mean a/(a + b).
    ///
    /// # Errors
    /// A concentration that is not above 0, a dtype that is not a float type.
    pub fn beta(
        shape: impl IntoShape,
        a: f64,
        b: f64,
        dtype: DType,
        device: &Device,
        stream: RandomStream,
    ) -> Result<Tensor> {
        Tensor::floats_of(Law::Beta, [a, b], shape, dtype, device, stream)
    }

    /// Poisson of a rate λ: probability λᵏ·exp(−λ)/k! of k, mean and variance λ; in any dtype but bool. An integer type saturates.
    ///
    /// # Errors
    /// A rate below 0 or infinite, bool.
    pub fn poisson(
        shape: impl IntoShape,
        rate: f64,
        dtype: DType,
        device: &Device,
        stream: RandomStream,
    ) -> Result<Tensor> {
        if dtype == DType::Bool {
            return Err(unsupported_dtype("poisson", dtype, "numbers"));
        }
        Tensor::sample_of(Law::Poisson, [rate, 0.0], shape, device, stream)?.to_dtype(dtype)
    }

    /// Normal of this mean and standard deviation, given that it is from low to high, either of which may be infinite: PyTorch's
    /// `trunc_normal_`.
    ///
    /// # Errors
    /// A standard deviation that is not above 0, no numbers from low to high, a dtype that is not a float type.
    pub fn truncated_normal(
        shape: impl IntoShape,
        [mean, std]: [f64; 2],
        [low, high]: [f64; 2],
        dtype: DType,
        device: &Device,
        stream: RandomStream,
    ) -> Result<Tensor> {
        if !(mean.is_finite() && std > 0.0 && std.is_finite()) {
            let message =
                format!("a finite mean and a finite standard deviation above 0 are expected, got {mean} and {std}");
            return Err(Error::value("truncated_normal", message));
        }
        if !dtype.is_float() {
            return Err(unsupported_dtype("truncated_normal", dtype, "f32, f64, f16 or bf16"));
        }
        let ends = [(low - mean) / std, (high - mean) / std];
        let z = Tensor::sample_of(Law::TruncatedNormal, ends, shape, device, stream)?;
        // Rounding may reach beyond an end.
        z.affine(std, mean)?.clamp(low, high)?.to_dtype(dtype)
    }
}
