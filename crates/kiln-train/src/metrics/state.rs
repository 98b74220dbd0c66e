//! The state of a metric.

use crate::state::Running;
use kiln_nn::StateDict;
use kiln_tensor::{DType, Error, Result, Tensor};
use std::borrow::Cow;

/// The state of a metric: sums by name, and tensors that are kept. It stays on the predictions' device until the
/// value is computed, and it is saved with the training's state.
#[derive(Clone, Default, Debug)]
pub struct MetricState {
    /// For a `MeanMetric`.
    pub(crate) mean: Running,
    sums: Vec<(Cow<'static, str>, Tensor)>,
    kept: Vec<(Cow<'static, str>, Vec<Tensor>)>,
}

/// Prefixes of the names of sums and of kept tensors in a saved state.
const SUM: &str = "total-";
const KEPT: &str = "kept-";

impl MetricState {
    /// Adds a tensor to the sum of this name, in f64. All tensors added to a sum have one shape.
    ///
    /// # Errors
    /// Another shape; a name with a dot.
    pub fn add(&mut self, name: &'static str, value: &Tensor) -> Result<()> {
        let value = value.to_dtype(DType::F64)?;
        match self.sums.iter_mut().find(|(known, _)| known == name) {
            None => {
                check(name)?;
                self.sums.push((Cow::Borrowed(name), value));
            }
            Some((_, sum)) if sum.shape() != value.shape() => {
                let message = format!("the sum `{name}` is {}, and {} is to be added", sum.shape(), value.shape());
                return Err(Error::shape("metric", message));
            }
            // A sum that was loaded may be elsewhere.
            Some((_, sum)) if sum.device() != value.device() => {
                *sum = sum.to_device(value.device())?.add(&value)?;
            }
            Some((_, sum)) => sum.add_assign(&value)?,
        }
        Ok(())
    }

    /// Adds the sum and the number of values that count, as [`Seen::total`](crate::Seen::total) gives them.
    ///
    /// # Errors
    /// As [`MetricState::add`].
    pub fn add_total(&mut self, [sum, count]: [Tensor; 2]) -> Result<()> {
        self.add("sum", &sum)?;
        self.add("count", &count)
    }

    /// The mean of all values given to [`MetricState::add_total`]; none if no value counts. Waits for the device.
    ///
    /// # Errors
    /// What a device reports late.
    pub fn mean_of_total(&self) -> Result<Option<f64>> {
        let count = self.sum("count")?;
        Ok(if count == 0.0 { None } else { Some(self.sum("sum")? / count) })
    }

    /// Keeps a tensor (n, …), after the ones kept under this name before.
    ///
    /// # Errors
    /// A name with a dot.
    pub fn keep(&mut self, name: &'static str, rows: Tensor) -> Result<()> {
        match self.kept.iter_mut().find(|(known, _)| known == name) {
            None => {
                check(name)?;
                self.kept.push((Cow::Borrowed(name), vec![rows]));
            }
            Some((_, kept)) => kept.push(rows),
        }
        Ok(())
    }

    /// The sum of this name if it is one number; 0 if nothing was added. Waits for the device.
    ///
    /// # Errors
    /// A sum of several numbers; what a device reports late.
    pub fn sum(&self, name: &str) -> Result<f64> {
        self.tensor(name).map_or(Ok(0.0), Tensor::item)
    }

    /// All numbers of the sum of this name; empty if nothing was added. Waits for the device.
    ///
    /// # Errors
    /// What a device reports late.
    pub fn sums(&self, name: &str) -> Result<Vec<f64>> {
        self.tensor(name).map_or(Ok(Vec::new()), Tensor::to_f64_vec)
    }

    fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.sums.iter().find(|(known, _)| known == name).map(|(_, sum)| sum)
    }

    /// The tensors kept under this name, concatenated along axis 0; none if nothing was kept.
    ///
    /// # Errors
    /// Tensors that differ in more than their first axis.
    pub fn kept(&self, name: &str) -> Result<Option<Tensor>> {
        let Some((_, kept)) = self.kept.iter().find(|(known, _)| known == name) else { return Ok(None) };
        joined(kept).map(Some)
    }

    /// Adds `PREFIX.PART` for all parts.
    pub(crate) fn save(&self, prefix: &str, state: &mut StateDict) -> Result<()> {
        self.mean.save(prefix, state)?;
        for (name, sum) in &self.sums {
            // A copy: the sum goes on in its own memory.
            state.insert(format!("{prefix}.{SUM}{name}"), sum.copied()?);
        }
        for (name, kept) in &self.kept {
            state.insert(format!("{prefix}.{KEPT}{name}"), joined(kept)?);
        }
        Ok(())
    }

    /// What [`MetricState::save`] wrote under this name; gives whether it is one of those.
    pub(crate) fn load(&mut self, part: &str, value: &Tensor) -> Result<bool> {
        if let Some(name) = part.strip_prefix(SUM) {
            self.sums.push((Cow::Owned(name.to_owned()), value.copied()?));
        } else if let Some(name) = part.strip_prefix(KEPT) {
            self.kept.push((Cow::Owned(name.to_owned()), vec![value.copied()?]));
        } else {
            return self.mean.load(part, value);
        }
        Ok(true)
    }
}

/// Concatenated on the device of the last one: tensors that were loaded may be elsewhere.
fn joined(kept: &[Tensor]) -> Result<Tensor> {
    if let [one] = kept {
        return Ok(one.clone());
    }
    let device = kept.last().map(Tensor::device);
    let there = |rows: &Tensor| device.map_or(Ok(rows.clone()), |device| rows.to_device(device));
    let kept = kept.iter().map(there).collect::<Result<Vec<_>>>()?;
    Tensor::concat(&kept.iter().collect::<Vec<_>>(), 0)
}

/// A dot separates the names in a saved state.
fn check(name: &str) -> Result<()> {
    if !name.contains('.') {
        return Ok(());
    }
    Err(Error::value("metric", format!("the name `{name}` of a metric's sum has a dot")))
}
