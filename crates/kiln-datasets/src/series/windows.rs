//! Windows over time series.

use crate::sequences::check_indices;
use crate::{Batch, Dataset};
use kiln_tensor::{Device, Error, Result, Tensor};

/// Windows over a time series of features: (n, length, features), and as targets what follows, (n, horizon × targets): of each of the
/// `horizon` next steps the values of the target features.
///
/// ```
/// use kiln_datasets::{Dataset, SeriesWindows};
/// use kiln_tensor::{Device, Tensor};
/// let cpu = Device::cpu();
/// let series = Tensor::from_vec((0..20).map(|t| t as f32).collect(), [10, 2], &cpu)?; // 10 steps of 2 features
/// let windows = SeriesWindows::new(&series, 4)?.horizon(2).targets([1])?;
/// assert_eq!(windows.len(), 5);
/// let batch = windows.batch(&[1], &[], &cpu)?;
/// assert_eq!(batch.inputs.to_vec::<f32>()?, [2., 3., 4., 5., 6., 7., 8., 9.]);
/// assert_eq!(batch.targets.to_vec::<f32>()?, [11., 13.]);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SeriesWindows {
    /// Step after step: the features, then targets that are no features.
    values: Vec<f32>,
    /// Values of a step.
    width: usize,
    shape: [usize; 2],
    horizon: usize,
    /// By their places in a step.
    targets: Vec<usize>,
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
        Ok(SeriesWindows {
            values,
            width: features,
            shape: [length, features],
            horizon: 1,
            targets: vec![0],
            stride: 1,
        })
    }

    /// Of values with `width` in a step, of which the first ones are features. There are as many as a window and its targets need.
    pub(super) fn of(values: Vec<f32>, width: usize, shape: [usize; 2], targets: Vec<usize>) -> Self {
        SeriesWindows { values, width, shape, horizon: 1, targets, stride: 1 }
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

    /// Which features are foretold, by their places.
    ///
    /// # Errors
    /// No feature, or one that the series does not have.
    pub fn targets(self, features: impl IntoIterator<Item = usize>) -> Result<Self> {
        let targets: Vec<usize> = features.into_iter().collect();
        let count = self.shape[1];
        match targets.iter().find(|&&feature| feature >= count) {
            Some(feature) => {
                let message = format!("feature {feature} is to be foretold, the series has {count}");
                Err(Error::value("SeriesWindows", message))
            }
            None if targets.is_empty() => Err(Error::value("SeriesWindows", "no feature is to be foretold")),
            None => Ok(SeriesWindows { targets, ..self }),
        }
    }
}

impl Dataset for SeriesWindows {
    fn len(&self) -> usize {
        let steps = self.values.len() / self.width;
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
        let step = |at: usize| &self.values[at * self.width..(at + 1) * self.width];
        let starts = || indices.iter().map(|index| index * self.stride);
        let inputs = Tensor::write_with([indices.len(), length, features], device, |to: &mut [f32]| {
            for (to, at) in to.chunks_exact_mut(features).zip(starts().flat_map(|start| start..start + length)) {
                to.copy_from_slice(&step(at)[..features]);
            }
            Ok(())
        })?;
        let targets =
            Tensor::write_with([indices.len(), self.horizon * self.targets.len()], device, |to: &mut [f32]| {
                let steps = starts().flat_map(|start| start + length..start + length + self.horizon);
                let values = steps.flat_map(|at| self.targets.iter().map(move |&target| step(at)[target]));
                to.iter_mut().zip(values).for_each(|(to, value)| *to = value);
                Ok(())
            })?;
        Ok(Batch::new(inputs, targets))
    }
}
