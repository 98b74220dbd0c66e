//! Sums of a batch, and of how many.

use kiln_tensor::{DType, Result, Tensor};

/// A metric's sum over a batch: one number on the predictions' device, where it is left until the epoch ends, for reading it
/// would stop the device.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The sum of the values that count.
    pub sum: Tensor,
    /// How many they are.
    pub count: Count,
}

/// A number of things that count.
#[derive(Clone, Debug)]
pub enum Count {
    /// The host knows it.
    Known(f64),
    /// A tensor of one element, on a device that the host would have to wait for.
    There(Tensor),
}

impl Count {
    /// How many elements of a mask are true.
    ///
    /// # Errors
    /// Out of memory.
    pub fn of(mask: &Tensor) -> Result<Self> {
        if mask.device().backend().is_host() {
            let mask = mask.contiguous()?;
            return Ok(Count::Known(mask.as_slice::<bool>()?.iter().filter(|&&counts| counts).count() as f64));
        }
        mask.to_dtype(DType::F64)?.sum_all().map(Count::There)
    }

    pub(super) fn times(self, factor: f64) -> Result<Self> {
        Ok(match self {
            Count::Known(count) => Count::Known(count * factor),
            Count::There(count) => Count::There(count.mul_scalar(factor)?),
        })
    }
}

/// The sum of all; of truth values how many are true.
pub(super) fn summed(each: &Tensor) -> Result<Tensor> {
    match each.dtype() {
        // Half types could not count far.
        DType::F16 | DType::BF16 => each.to_dtype(DType::F32)?.sum_all(),
        _ => each.sum_all(),
    }
}
