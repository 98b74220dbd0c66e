//! Sums of numbers of which the host sees some, and a device keeps others.

use crate::Count;
use kiln_nn::StateDict;
use kiln_tensor::{DType, Device, Result, Tensor};

/// A mean in f64: sums on the host where a tensor's memory is the host's, else on the device, where reading each batch's
/// number would stop the stream of launches.
#[derive(Clone, Default, Debug)]
pub(crate) struct Running {
    sum: Sum,
    count: Sum,
}

/// A sum of numbers, of which the host has some and a device has others.
#[derive(Clone, Default, Debug)]
struct Sum {
    host: Option<f64>,
    device: Option<Tensor>,
}

impl Sum {
    fn add(&mut self, value: f64) {
        self.host = Some(self.host.unwrap_or(0.0) + value);
    }

    fn add_there(&mut self, value: Tensor) -> Result<()> {
        match &mut self.device {
            // A sum that was loaded may be elsewhere.
            Some(sum) if sum.device() != value.device() => {
                *sum = sum.to_device(value.device())?.add(&value)?;
                Ok(())
            }
            Some(sum) => sum.add_assign(&value),
            empty => {
                *empty = Some(value);
                Ok(())
            }
        }
    }

    /// Waits for the device; none where nothing was added.
    fn total(&self) -> Result<Option<f64>> {
        let device = self.device.as_ref().map(Tensor::item).transpose()?;
        Ok(match (self.host, device) {
            (None, None) => None,
            (host, device) => Some(host.unwrap_or(0.0) + device.unwrap_or(0.0)),
        })
    }

    /// The total, where the host has all of it.
    fn known(&self) -> Option<f64> {
        self.host.filter(|_| self.device.is_none())
    }
}

impl Running {
    /// Adds a mean of so many, a tensor of one element. Gives it where the host can see it without waiting.
    pub(crate) fn add_mean(&mut self, mean: &Tensor, count: &Count) -> Result<Option<f64>> {
        if let Count::Known(known) = count
            && mean.device().backend().is_host()
        {
            let value = mean.item()?;
            self.count.add(*known);
            // What nothing counted in says nothing.
            self.sum.add(if *known > 0.0 { known * value } else { 0.0 });
            return Ok(Some(value));
        }
        let mean = mean.to_dtype(DType::F64)?;
        self.add_on_device(match count {
            Count::Known(known) => mean.mul_scalar(*known)?,
            Count::There(count) => mean.mul(count)?,
        })?;
        self.add_count(count)?;
        Ok(None)
    }

    /// Adds a sum of so many.
    pub(crate) fn add_sum(&mut self, sum: &Tensor, count: &Count) -> Result<()> {
        if sum.device().backend().is_host() {
            self.sum.add(sum.item()?);
        } else {
            self.add_on_device(sum.to_dtype(DType::F64)?)?;
        }
        self.add_count(count)
    }

    fn add_on_device(&mut self, value: Tensor) -> Result<()> {
        self.sum.add_there(value)
    }

    fn add_count(&mut self, count: &Count) -> Result<()> {
        match count {
            Count::Known(count) => self.count.add(*count),
            Count::There(count) => self.count.add_there(count.to_dtype(DType::F64)?)?,
        }
        Ok(())
    }

    /// The mean so far, where the host has it.
    pub(crate) fn host_mean(&self) -> Option<f64> {
        self.sum.known().zip(self.count.known()).map(|(sum, count)| divided(sum, count))
    }

    /// The mean; NaN where nothing was added, 0 where nothing counted; waits for the device.
    pub(crate) fn mean(&self) -> Result<f64> {
        Ok(self.sum.total()?.zip(self.count.total()?).map_or(f64::NAN, |(sum, count)| divided(sum, count)))
    }
}

/// The state of a sum in the middle of an epoch.
impl Running {
    /// Adds `PREFIX.sum`, `PREFIX.count` and what a device has of them.
    pub(crate) fn save(&self, prefix: &str, state: &mut StateDict) -> Result<()> {
        for (name, sum) in [("sum", &self.sum), ("count", &self.count)] {
            if let Some(host) = sum.host {
                state.insert(format!("{prefix}.{name}"), Tensor::scalar(host, &Device::cpu())?);
            }
            if let Some(device) = &sum.device {
                // A copy: the sum goes on in its own memory.
                state.insert(format!("{prefix}.{name}_on_device"), device.copied()?);
            }
        }
        Ok(())
    }

    /// What [`Running::save`] wrote under this name; gives whether it is one of those.
    pub(crate) fn load(&mut self, name: &str, value: &Tensor) -> Result<bool> {
        match name {
            "sum" => self.sum.host = Some(value.item()?),
            "count" => self.count.host = Some(value.item()?),
            "sum_on_device" => self.sum.device = Some(value.copied()?),
            "count_on_device" => self.count.device = Some(value.copied()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn divided(sum: f64, count: f64) -> f64 {
    if count > 0.0 { sum / count } else { sum }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_tensor::Device;

    #[test]
    fn host_and_device_sum_alike() {
        let (mut host, mut device) = (Running::default(), Running::default());
        for i in 1..=10 {
            let value = Tensor::scalar(i as f32 / 7.0, &Device::cpu()).unwrap();
            assert_eq!(host.add_mean(&value, &Count::Known(3.0)).unwrap(), Some(f64::from(i as f32 / 7.0)));
            device.add_on_device(value.to_dtype(DType::F64).unwrap().mul_scalar(3.0).unwrap()).unwrap();
            device.add_count(&Count::There(Tensor::scalar(3.0f64, &Device::cpu()).unwrap())).unwrap();
        }
        assert_eq!(host.mean().unwrap(), device.mean().unwrap());
        assert!((host.mean().unwrap() - 5.5 / 7.0).abs() < 1e-7);
        assert!(host.host_mean().is_some() && device.host_mean().is_none());
        assert!(Running::default().mean().unwrap().is_nan());
    }

    #[test]
    fn batches_weigh_as_much_as_counts_in_them() {
        let mut running = Running::default();
        let mean = |value: f32| Tensor::scalar(value, &Device::cpu()).unwrap();
        running.add_mean(&mean(0.0), &Count::Known(0.0)).unwrap();
        assert_eq!(running.mean().unwrap(), 0.0, "nothing counted");
        running.add_mean(&mean(2.0), &Count::Known(1.0)).unwrap();
        running.add_mean(&mean(4.0), &Count::Known(3.0)).unwrap();
        assert_eq!(running.mean().unwrap(), 3.5);
    }
}
