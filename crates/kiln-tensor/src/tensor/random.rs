//! Random tensors and dropout, from counter-based streams.

use super::Tensor;
use crate::{DType, Device, Distribution, Error, IntoShape, Result, unsupported_dtype};
use kiln_math::RandomStream;

impl Tensor {
    /// A stream's key and first counter in the device's memory, i64 (2,): what random operations read them from.
    ///
    /// # Errors
    /// Memory that could not be had.
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

    fn random(
        distribution: Distribution,
        shape: impl IntoShape,
        dtype: DType,
        device: &Device,
        stream: &RandomStream,
    ) -> Result<Tensor> {
        if !dtype.is_float() {
            return Err(unsupported_dtype("random", dtype, "f32, f64, f16 or bf16"));
        }
        let out = Tensor::output(&shape.into_shape()?, dtype.computed_in(), device)?;
        let stream = Tensor::random_stream(stream, device)?;
        device.random(distribution, out.out(), stream.view())?;
        out.to_dtype(dtype)
    }

    /// Uniform in [low, high): the same numbers for the same stream, whatever the device or number of threads.
    ///
    /// # Errors
    /// A dtype other than f32 and f64, bounds that are no interval.
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
        Tensor::random(Distribution::Uniform { low, high }, shape, dtype, device, &stream)
    }

    /// Normal of this mean and standard deviation.
    ///
    /// # Errors
    /// A dtype other than f32 and f64, a standard deviation that is negative or NaN.
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
        Tensor::random(Distribution::Normal { mean, std }, shape, dtype, device, &stream)
    }
}
