//! What a lookup reads in each forward pass, in a device's memory.

use kiln_tensor::{Device, Result, Tensor};
use std::sync::{Mutex, PoisonError};

/// Tables of integers, made when they are first asked for and again for another device.
#[derive(Default, Debug)]
pub(super) struct Tables(Mutex<Vec<Tensor>>);

impl Tables {
    /// The tables on this device, made by `make` where they are not there.
    pub(super) fn on<const N: usize>(
        &self,
        device: &Device,
        make: impl FnOnce() -> Result<[Vec<i64>; N]>,
    ) -> Result<[Tensor; N]> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.first().is_none_or(|table| table.device() != device) {
            let upload = |table: Vec<i64>| Tensor::from_slice(&table, [table.len()], device);
            *kept = make()?.into_iter().map(upload).collect::<Result<_>>()?;
        }
        Ok(std::array::from_fn(|at| kept[at].clone()))
    }
}

impl Clone for Tables {
    /// A copy makes its own: its settings may change.
    fn clone(&self) -> Self {
        Tables::default()
    }
}
