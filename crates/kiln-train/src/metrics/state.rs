//! What a metric has added up so far.

use crate::state::Running;
use kiln_nn::StateDict;
use kiln_tensor::{DType, Error, Result, Tensor};
use std::borrow::Cow;

/// What a metric has of a pass over the data so far: sums by name, and tensors that are kept whole. All of it stays on the predictions' device
/// until the value is asked for. It is saved with a training's state.
#[derive(Clone, Default, Debug)]
pub struct MetricState {
    /// That of a metric that is a mean.
    pub(crate) mean: Running,
    sums: Vec<(Cow<'static, str>, Tensor)>,
    kept: Vec<(Cow<'static, str>, Vec<Tensor>)>,
}

/// What stands before the names of sums and of kept tensors in a saved state.
const SUM: &str = "total-";
const KEPT: &str = "kept-";

impl MetricState {
    /// Adds a tensor to the sum of this name, in f64. All that is added to a sum has one shape.
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

    /// Keeps a tensor (n, …) whole, after those of this name before it.
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

    /// The sum of this name where it is one number; 0 where nothing was added. Waits for the device.
    ///
    /// # Errors
    /// A sum of several numbers; what a device reports late.
    pub fn sum(&self, name: &str) -> Result<f64> {
        self.tensor(name).map_or(Ok(0.0), Tensor::item)
    }

    /// The numbers of the sum of this name; none where nothing was added. Waits for the device.
    ///
    /// # Errors
    /// What a device reports late.
    pub fn sums(&self, name: &str) -> Result<Vec<f64>> {
        self.tensor(name).map_or(Ok(Vec::new()), Tensor::to_f64_vec)
    }

    fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.sums.iter().find(|(known, _)| known == name).map(|(_, sum)| sum)
    }

    /// The tensors kept under this name, one after the other along axis 0; none where nothing was kept.
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

/// Along axis 0, on the last one's device: what was loaded may be elsewhere.
fn joined(kept: &[Tensor]) -> Result<Tensor> {
    if let [one] = kept {
        return Ok(one.clone());
    }
    let device = kept.last().map(Tensor::device);
    let there = |rows: &Tensor| device.map_or(Ok(rows.clone()), |device| rows.to_device(device));
    let kept = kept.iter().map(there).collect::<Result<Vec<_>>>()?;
    Tensor::concat(&kept.iter().collect::<Vec<_>>(), 0)
}

/// Dots part the names in a saved state.
fn check(name: &str) -> Result<()> {
    if !name.contains('.') {
        return Ok(());
    }
    Err(Error::value("metric", format!("the name `{name}` of a metric's sum has a dot")))
}
