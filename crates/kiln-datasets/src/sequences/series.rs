//! Windows over time series.

use super::check_indices;
use crate::{Batch, Dataset};
use kiln_tensor::{Device, Error, Result, Tensor};

/// Windows over a time series of features: (n, length, features), and as targets the `horizon` values of one feature that
/// follow, (n, horizon).
///
/// ```
/// use kiln_datasets::{Dataset, SeriesWindows};
/// use kiln_tensor::{Device, Tensor};
/// let cpu = Device::cpu();
/// let series = Tensor::from_vec((0..20).map(|t| t as f32).collect(), [10, 2], &cpu)?; // 10 steps of 2 features
/// let windows = SeriesWindows::new(&series, 4)?.horizon(2).target(1)?;
/// assert_eq!(windows.len(), 5);
/// let batch = windows.batch(&[1], &[], &cpu)?;
/// assert_eq!(batch.inputs.to_vec::<f32>()?, [2., 3., 4., 5., 6., 7., 8., 9.]);
/// assert_eq!(batch.targets.to_vec::<f32>()?, [11., 13.]);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SeriesWindows {
    values: Vec<f32>,
    shape: [usize; 2],
    horizon: usize,
    target: usize,
    stride: usize,
}

impl SeriesWindows {
    /// Windows of `length` steps over a series (steps, features), each with the next value of the first feature as its
    /// target, one beginning a step after the other.
    ///
    /// # Errors
    /// A series of other axes or not longer than a window, a length of 0.
    pub fn new(series: &Tensor, length: usize) -> Result<Self> {
        let &[steps, features] = series.dims() else {
            return Err(Error::shape(
                "SeriesWindows",
                format!("a series of shape (steps, features) is expected, got {}", series.shape()),
            ));
        };
        if length == 0 || steps <= length || features == 0 {
            return Err(Error::value(
                "SeriesWindows",
                format!(
                    "windows of {length} steps over {}: at least 1, and a step after the last, are needed",
                    series.shape()
                ),
            ));
        }
        let values = series.to_dtype(kiln_tensor::DType::F32)?.to_vec()?;
        Ok(SeriesWindows { values, shape: [length, features], horizon: 1, target: 0, stride: 1 })
    }

    /// How many values after a window are its target.
    #[must_use]
    pub fn horizon(self, steps: usize) -> Self {
        SeriesWindows { horizon: steps, ..self }
    }

    /// How far apart windows begin; 0 is taken as 1.
    #[must_use]
    pub fn stride(self, steps: usize) -> Self {
        SeriesWindows { stride: steps.max(1), ..self }
    }

    /// Which feature is foretold.
    ///
    /// # Errors
    /// A feature that the series does not have.
    pub fn target(self, feature: usize) -> Result<Self> {
        if feature >= self.shape[1] {
            let message = format!("feature {feature} is to be foretold, the series has {}", self.shape[1]);
            return Err(Error::value("SeriesWindows", message));
        }
        Ok(SeriesWindows { target: feature, ..self })
    }
}

impl Dataset for SeriesWindows {
    fn len(&self) -> usize {
        let steps = self.values.len() / self.shape[1];
        let needed = self.shape[0].saturating_add(self.horizon);
        steps.checked_sub(needed).map_or(0, |rest| rest / self.stride + 1)
    }

    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn sequential(&self) -> bool {
        true
    }

    fn batch(&self, indices: &[usize], _: &[usize], device: &Device) -> Result<Batch> {
        check_indices("SeriesWindows", indices, self.len())?;
        let [length, features] = self.shape;
        let starts = || indices.iter().map(|index| index * self.stride);
        let inputs = Tensor::write_with([indices.len(), length, features], device, |to: &mut [f32]| {
            for (to, start) in to.chunks_exact_mut(length * features).zip(starts()) {
                to.copy_from_slice(&self.values[start * features..(start + length) * features]);
            }
            Ok(())
        })?;
        let targets = Tensor::write_with([indices.len(), self.horizon], device, |to: &mut [f32]| {
            for (to, start) in to.chunks_exact_mut(self.horizon.max(1)).zip(starts()) {
                for (ahead, to) in to.iter_mut().enumerate() {
                    *to = self.values[(start + length + ahead) * features + self.target];
                }
            }
            Ok(())
        })?;
        Ok(Batch::new(inputs, targets))
    }
}
