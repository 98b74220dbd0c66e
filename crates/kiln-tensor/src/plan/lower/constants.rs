//! Constants of a recording as numbers, and new ones made of them.

use super::super::kept::{BufferId, KeptView};
use super::super::recorder::{Buffer, Holds};
use crate::{DType, Device, Error, Result, Tensor, View};
use kiln_cpu::inference::{Scaling, padded_row};
use kiln_cpu::normalization::Normalizer;

/// Reads and makes constants.
pub(super) struct Constants {
    device: Device,
}

impl Constants {
    pub(super) fn new(device: Device) -> Self {
        Constants { device }
    }

    /// The elements of a constant in row-major order.
    pub(super) fn values(&self, buffers: &[Buffer], view: &KeptView) -> Result<Tensor> {
        let Holds::Constant(Some(constant)) = &buffers[view.buffer].holds else {
            return Err(Error::value("compile", "a constant was expected"));
        };
        let out = Tensor::output(view.layout.shape(), view.dtype, &self.device)?;
        let x = View { buffer: constant.view().buffer, dtype: view.dtype, layout: &view.layout };
        self.device.copy(out.view(), x)?;
        Ok(out)
    }

    /// Floats as a tensor.
    pub(super) fn tensor(&self, values: &[f32]) -> Result<Tensor> {
        Tensor::from_slice(values, [values.len()], &self.device)
    }

    /// A tensor of floats that `write` puts down, and what that gives.
    pub(super) fn written<R>(&self, count: usize, write: impl FnOnce(&mut [f32]) -> R) -> Result<(Tensor, R)> {
        let mut given = None;
        let written = Tensor::write_with([count], &self.device, |to: &mut [f32]| {
            given = Some(write(to));
            Ok(())
        })?;
        given.map(|given| (written, given)).ok_or_else(|| Error::value("compile", "a constant was not written"))
    }

    /// The floats of a row that was made here.
    pub(super) fn row(&self, buffers: &[Buffer], buffer: BufferId) -> Result<Vec<f32>> {
        match &buffers[buffer].holds {
            Holds::Constant(Some(row)) => row.to_vec(),
            _ => Err(Error::value("compile", "a constant was expected")),
        }
    }

    /// A bias as a padded row.
    pub(super) fn bias(&self, buffers: &[Buffer], bias: &KeptView) -> Result<Vec<f32>> {
        Ok(padded_row(self.values(buffers, bias)?.as_slice::<f32>()?))
    }

    /// The rows of a normalization.
    pub(super) fn scaling(
        &self,
        buffers: &[Buffer],
        epsilon: f64,
        moments: &KeptView,
        [weight, bias]: [Option<&KeptView>; 2],
    ) -> Result<Scaling> {
        let values = |view: Option<&KeptView>| view.map(|view| self.values(buffers, view)).transpose();
        let (moments, weight, bias) = (self.values(buffers, moments)?, values(weight)?, values(bias)?);
        let weight = weight.as_ref().map(Tensor::as_slice::<f32>).transpose()?;
        let bias = bias.as_ref().map(Tensor::as_slice::<f32>).transpose()?;
        let moments = moments.as_slice::<f32>()?;
        Ok(Scaling::new(&Normalizer { moments, epsilon: epsilon as f32, weight, bias, relu: false }))
    }
}

/// Whether all are constants of f32.
pub(super) fn are_floats<'a>(buffers: &[Buffer], views: impl IntoIterator<Item = &'a KeptView>) -> bool {
    views
        .into_iter()
        .all(|view| view.dtype == DType::F32 && matches!(buffers[view.buffer].holds, Holds::Constant(Some(_))))
}
