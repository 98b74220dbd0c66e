//! Sums over an epoch.

use kiln_tensor::{DType, Result, Tensor};

/// A sum of numbers in f64: on the host where a tensor's memory is the host's, else on the device, where reading each batch's
/// number would stop the stream of launches.
#[derive(Default)]
pub(crate) struct Running {
    host: Option<f64>,
    device: Option<Tensor>,
}

impl Running {
    /// Adds `weight` · `value`, a tensor of one element. Gives the value where the host can see it without waiting.
    pub(crate) fn add(&mut self, value: &Tensor, weight: f64) -> Result<Option<f64>> {
        if value.device().backend().is_host() {
            let value = value.item()?;
            self.host = Some(self.host.unwrap_or(0.0) + weight * value);
            return Ok(Some(value));
        }
        self.add_on_device(value, weight)?;
        Ok(None)
    }

    fn add_on_device(&mut self, value: &Tensor, weight: f64) -> Result<()> {
        let value = value.to_dtype(DType::F64)?.mul_scalar(weight)?;
        match &mut self.device {
            Some(sum) => sum.add_assign(&value),
            empty => {
                *empty = Some(value);
                Ok(())
            }
        }
    }

    /// The sum divided by `count`, where the host has it.
    pub(crate) fn host_mean(&self, count: usize) -> Option<f64> {
        self.host.map(|sum| sum / count as f64)
    }

    /// The sum divided by `count`, NaN where nothing was added; waits for the device.
    pub(crate) fn mean(&self, count: usize) -> Result<f64> {
        let sum = match &self.device {
            Some(sum) => Some(sum.item()?),
            None => self.host,
        };
        Ok(sum.map_or(f64::NAN, |sum| sum / count as f64))
    }
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
            assert_eq!(host.add(&value, 3.0).unwrap(), Some(f64::from(i as f32 / 7.0)));
            device.add_on_device(&value, 3.0).unwrap();
        }
        assert_eq!(host.mean(30).unwrap(), device.mean(30).unwrap());
        assert!((host.mean(30).unwrap() - 5.5 / 7.0).abs() < 1e-7);
        assert!(Running::default().mean(3).unwrap().is_nan());
    }
}
