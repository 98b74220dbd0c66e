//! Uniform, normal and integer random tensors, from counter-based streams.

use super::Tensor;
use crate::{DType, Device, Distribution, Error, IntoShape, Result, unsupported_dtype};
use kiln_math::RandomStream;

impl Tensor {
    /// A stream's key and first counter in the device's memory, i64 (2,): what random operations read them from.
    ///
    /// # Errors
    /// Out of memory.
    pub fn random_stream(stream: &RandomStream, device: &Device) -> Result<Tensor> {
        Tensor::from_slice(&[stream.key() as i64, 0], [2], device)
    }

    pub(super) fn check_stream(operation: &'static str, stream: &Tensor) -> Result<()> {
        stream.expect_dtype(operation, DType::I64)?;
        if stream.dims() != [2] || !stream.is_contiguous() {
            return Err(Error::shape(
                operation,
                format!(
                    "a stream is a key and a counter, shape (2,), got {}: use `Tensor::random_stream`",
                    stream.shape()
                ),
            ));
        }
        Ok(())
    }

    /// A draw in `drawn`, which is then converted.
    fn random(
        distribution: Distribution,
        shape: impl IntoShape,
        [drawn, dtype]: [DType; 2],
        device: &Device,
        stream: &RandomStream,
    ) -> Result<Tensor> {
        let out = Tensor::output(&shape.into_shape()?, drawn, device)?;
        let stream = Tensor::random_stream(stream, device)?;
        device.random(distribution, out.out(), stream.view())?;
        out.to_dtype(dtype)
    }

    /// Uniform in [low, high): the same numbers for the same stream, whatever the device or number of threads.
    ///
    /// # Errors
    /// A dtype that is not a float type, bounds that are no interval.
    pub fn uniform(
        shape: impl IntoShape,
        low: f64,
        high: f64,
        dtype: DType,
        device: &Device,
        stream: RandomStream,
    ) -> Result<Tensor> {
        if low.partial_cmp(&high).is_none_or(std::cmp::Ordering::is_gt) {
            return Err(Error::value("uniform", format!("[{low}, {high}) is an invalid interval")));
        }
        let drawn = expect_float("uniform", dtype)?;
        Tensor::random(Distribution::Uniform { low, high }, shape, [drawn, dtype], device, &stream)
    }

    /// Normal of this mean and standard deviation.
    ///
    /// # Errors
    /// A dtype that is not a float type, a standard deviation that is negative or NaN.
    pub fn normal(
        shape: impl IntoShape,
        mean: f64,
        std: f64,
        dtype: DType,
        device: &Device,
        stream: RandomStream,
    ) -> Result<Tensor> {
        if std.is_nan() || std < 0.0 {
            return Err(Error::value("normal", format!("{std} is an invalid standard deviation")));
        }
        let drawn = expect_float("normal", dtype)?;
        Tensor::random(Distribution::Normal { mean, std }, shape, [drawn, dtype], device, &stream)
    }

    /// Integers from `low` to below `high`, each equally likely, in any dtype that holds them.
    ///
    /// ```
    /// use kiln_math::{Purpose, RandomStream};
    /// use kiln_tensor::{DType, Device, Tensor};
    /// let dice = Tensor::randint([100], 1, 7, DType::U8, &Device::cpu(), RandomStream::new(0, Purpose::Data, 0))?;
    /// assert!(dice.to_vec::<u8>()?.iter().all(|eyes| (1..=6).contains(eyes)));
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// No integer from low to below high, bounds that the dtype does not hold.
    pub fn randint(
        shape: impl IntoShape,
        low: i64,
        high: i64,
        dtype: DType,
        device: &Device,
        stream: RandomStream,
    ) -> Result<Tensor> {
        if low >= high {
            return Err(Error::value("randint", format!("there is no integer from {low} to below {high}")));
        }
        let (least, largest) = dtype.range();
        if (low as f64) < least || (high - 1) as f64 > largest {
            return Err(Error::value(
                "randint",
                format!("{dtype} does not hold all integers from {low} to {}: choose a wider dtype", high - 1),
            ));
        }
        Tensor::random(Distribution::Integers { low, high }, shape, [DType::I64, dtype], device, &stream)
    }

    /// 0, 1, …, n − 1 in a random order, each order equally likely: i64 (n,). Put in order on the host.
    ///
    /// # Errors
    /// Out of memory.
    pub fn permutation(n: usize, device: &Device, mut stream: RandomStream) -> Result<Tensor> {
        Tensor::write_with([n], device, |to: &mut [i64]| {
            to.iter_mut().zip(0..).for_each(|(to, i)| *to = i);
            stream.shuffle(to);
            Ok(())
        })
    }
}

/// The type that numbers of a float type are drawn in.
pub(super) fn expect_float(operation: &'static str, dtype: DType) -> Result<DType> {
    if dtype.is_float() {
        Ok(dtype.computed_in())
    } else {
        Err(unsupported_dtype(operation, dtype, "f32, f64, f16 or bf16"))
    }
}
