//! Values that depend on positions alone.

use kiln_tensor::{DType, Device, Result, Tensor};
use std::sync::{Arc, Mutex, PoisonError};

/// The least number of positions that are computed at once.
const MIN_POSITIONS: usize = 128;

/// Rows for the positions 0, 1, …. They are computed once, on the host in f64; where more are needed, they are computed again for twice as
/// many. Copies share them, so that the layers of a model have one table.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(Arc<Mutex<Vec<Tensor>>>);

impl Table {
    /// The tensors that `rows` computes, each (at least `positions`, width).
    pub(super) fn get(
        &self,
        positions: usize,
        width: usize,
        (dtype, device): (DType, &Device),
        rows: impl Fn(usize) -> Vec<Vec<f64>>,
    ) -> Result<Vec<Tensor>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |tensor: &Tensor| {
            let same = tensor.dtype() == dtype && tensor.device() == device;
            same && tensor.dims()[0] >= positions && tensor.dims()[1] == width
        };
        if known.is_empty() || !known.iter().all(fits) {
            let positions = positions.next_power_of_two().max(MIN_POSITIONS);
            let tensor = |values: Vec<f64>| {
                let values = Tensor::from_vec(values, [positions, width], &Device::cpu())?;
                values.to_dtype(dtype)?.to_device(device)
            };
            *known = rows(positions).into_iter().map(tensor).collect::<Result<_>>()?;
        }
        Ok(known.clone())
    }
}
