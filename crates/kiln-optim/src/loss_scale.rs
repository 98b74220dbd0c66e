//! Loss scaling, for gradients in f16.

use crate::check::{above_zero, within};
use crate::norm::norm_there;
use kiln_autograd::{Gradients, Var};
use kiln_nn::{StateDict, Stateful};
use kiln_tensor::{DType, Device, Error, ErrorKind, Result, Tensor};

/// Dynamic loss scaling: the loss is multiplied by a factor before the backward pass, and the gradients are divided by it afterwards.
///
/// The smallest number above 0 of f16 is 6·10⁻⁸, and gradients below it would become 0. Scaled ones stay above it. Where a gradient
/// overflows, the step is left out and the factor is halved; after 2,000 steps without an overflow it is doubled. Source: Micikevicius et
/// al., Mixed Precision Training, 2018; the numbers are those of PyTorch's `GradScaler`. bf16 has the range of f32 and needs none of
/// this.
///
/// Factor and counts are kept in the memory of the model's device: no step waits for the host.
///
/// ```
/// # use kiln_nn::{Ctx, Dense, Loss, MeanSquaredError, Sequential};
/// # use kiln_tensor::{DType, Device, Result, Tensor};
/// use kiln_optim::{LossScale, Optimizer, Sgd};
/// # fn main() -> Result<()> {
/// # let cpu = Device::cpu();
/// # let (x, y) = (Tensor::ones([4, 2], DType::F32, &cpu)?, Tensor::ones([4, 1], DType::F32, &cpu)?);
/// # let mut model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1)?;
/// let (mut optimizer, mut scale) = (Sgd::new(0.1), LossScale::new().initial(1024.0));
/// for step in 0..10 {
///     let ctx = Ctx::train(1, step).compute(DType::F16);
///     let loss = MeanSquaredError::new().forward(&model.forward(&x, &ctx)?, &y)?;
///     let gradients = scale.scale(&loss)?.backward()?;
///     let (gradients, finite) = scale.unscale(gradients)?;
///     scale.update(&finite)?;
///     optimizer.step_if(&mut model, &gradients, Some(&finite))?;
///     Ctx::commit_all(&[ctx], &mut model, Some(&finite))?;
/// }
/// assert_eq!(scale.skipped()?, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct LossScale {
    initial: f64,
    interval: f64,
    /// Once it is known where they are to be.
    counts: Option<Counts>,
}

/// One f32 each, in the device's memory.
#[derive(Clone, Debug)]
struct Counts {
    scale: Tensor,
    /// Steps without an overflow since the factor changed.
    good: Tensor,
    skipped: Tensor,
    /// Whether the last step overflowed.
    overflowed: Tensor,
}

/// The entries of a state.
const NAMES: [&str; 4] = ["scale", "good_steps", "skipped_steps", "overflowed"];

/// The largest factor: further ones would become infinite, and stay so.
const LARGEST: f64 = (1u128 << 126) as f64;

impl Counts {
    fn new(values: [f64; 4], device: &Device) -> Result<Self> {
        let [scale, good, skipped, overflowed] = values.map(|value| Tensor::scalar(value as f32, device));
        Ok(Counts { scale: scale?, good: good?, skipped: skipped?, overflowed: overflowed? })
    }

    fn to_device(&self, device: &Device) -> Result<Self> {
        Ok(Counts {
            scale: self.scale.to_device(device)?,
            good: self.good.to_device(device)?,
            skipped: self.skipped.to_device(device)?,
            overflowed: self.overflowed.to_device(device)?,
        })
    }

    /// After a step whose gradients were finite or not.
    fn next(&self, finite: &Tensor, interval: f64) -> Result<Self> {
        let number = |value: f64| Tensor::scalar(value as f32, finite.device());
        let (zero, good) = (number(0.0)?, self.good.add_scalar(1.0)?);
        let grows = good.ge(&number(interval)?)?;
        let larger = self.scale.mul_scalar(2.0)?.minimum(&number(LARGEST)?)?;
        let larger = Tensor::select(&grows, &larger, &self.scale)?;
        let good = Tensor::select(&grows, &zero, &good)?;
        Ok(Counts {
            scale: Tensor::select(finite, &larger, &self.scale.mul_scalar(0.5)?)?,
            good: Tensor::select(finite, &good, &zero)?,
            skipped: Tensor::select(finite, &self.skipped, &self.skipped.add_scalar(1.0)?)?,
            overflowed: Tensor::select(finite, &zero, &number(1.0)?)?,
        })
    }

    fn values(&self) -> [&Tensor; 4] {
        [&self.scale, &self.good, &self.skipped, &self.overflowed]
    }
}

impl Default for LossScale {
    fn default() -> Self {
        LossScale::new()
    }
}

impl LossScale {
    /// A factor of 65,536 that is doubled after 2,000 steps without an overflow.
    pub fn new() -> Self {
        LossScale { initial: 65536.0, interval: 2000.0, counts: None }
    }

    /// The first factor. A power of two rounds nothing.
    #[must_use]
    pub fn initial(self, scale: f64) -> Self {
        LossScale { initial: scale, ..self }
    }

    /// After how many steps without an overflow the factor is doubled.
    #[must_use]
    pub fn growth_interval(self, steps: u64) -> Self {
        LossScale { interval: steps as f64, ..self }
    }

    fn check(&self) -> Result<()> {
        within("loss scale", self.initial, LARGEST)?;
        above_zero("growth interval of the loss scale", self.interval).map(drop)
    }

    /// The counts, in this device's memory.
    fn counts(&mut self, device: &Device) -> Result<&mut Counts> {
        let counts = match self.counts.take() {
            None => {
                self.check()?;
                Counts::new([self.initial, 0.0, 0.0, 0.0], device)?
            }
            Some(counts) if counts.scale.device() == device => counts,
            Some(counts) => counts.to_device(device)?,
        };
        Ok(self.counts.insert(counts))
    }

    /// The loss times the factor, of which gradients are taken.
    ///
    /// # Errors
    /// A factor or an interval that is not above 0.
    pub fn scale(&mut self, loss: &Var) -> Result<Var> {
        let scale = self.counts(loss.device())?.scale.to_dtype(loss.dtype())?;
        loss.mul(&Var::constant(scale.reshape(*loss.shape())?))
    }

    /// The gradients divided by the factor, and whether all of them are finite: one bool in the device's memory, for
    /// [`LossScale::update`] and [`Optimizer::step_if`](crate::Optimizer::step_if).
    ///
    /// # Errors
    /// Out of memory.
    pub fn unscale(&mut self, mut gradients: Gradients) -> Result<(Gradients, Tensor)> {
        let device = gradients.iter().next().map_or_else(Device::cpu, |(_, gradient)| gradient.device().clone());
        let counts = self.counts(&device)?;
        let finite = if device.backend().is_host() {
            gradients.scale(counts.scale.item()?.recip())?;
            Tensor::scalar(gradients.norm()?.is_finite(), &device)?
        } else {
            let factor = counts.scale.recip()?;
            gradients = gradients.try_map(|gradient| {
                let computed = gradient.dtype().computed_in();
                gradient.to_dtype(computed)?.mul(&factor.to_dtype(computed)?)?.to_dtype(gradient.dtype())
            })?;
            match norm_there(&gradients)? {
                Some(norm) => norm.lt(&Tensor::scalar(f64::INFINITY, &device)?)?,
                None => Tensor::ones((), DType::Bool, &device)?,
            }
        };
        Ok((gradients, finite))
    }

    /// Makes the factor that of the next step, after one whose gradients were finite or not.
    ///
    /// # Errors
    /// Out of memory.
    pub fn update(&mut self, finite: &Tensor) -> Result<()> {
        let interval = self.interval;
        let counts = self.counts(finite.device())?;
        *counts = counts.next(finite, interval)?;
        Ok(())
    }

    /// The factor of the next step. The host waits for the device.
    ///
    /// # Errors
    /// A fault of the device that surfaced.
    pub fn factor(&self) -> Result<f64> {
        self.counts.as_ref().map_or(Ok(self.initial), |counts| counts.scale.item())
    }

    /// How many steps were left out because a gradient was not finite. The host waits for the device.
    ///
    /// # Errors
    /// A fault of the device that surfaced.
    pub fn skipped(&self) -> Result<u64> {
        self.counts.as_ref().map_or(Ok(0), |counts| Ok(counts.skipped.item()? as u64))
    }

    /// Fails where no factor helps: the gradients of the last step overflowed although the factor is below 1. The host waits for the
    /// device.
    ///
    /// # Errors
    /// `ErrorKind::Diverged`; a fault of the device that surfaced.
    pub fn expect_usable(&self) -> Result<()> {
        let Some(counts) = &self.counts else { return Ok(()) };
        let factor = counts.scale.item()?;
        if factor >= 1.0 || counts.overflowed.item()? == 0.0 {
            return Ok(());
        }
        let message = format!(
            "gradients are not finite in f16 although the loss scale is {factor}: use bf16, a smaller learning rate, or inputs in a \
             smaller range"
        );
        Err(Error::new(ErrorKind::Diverged, "loss_scale", message))
    }
}

/// `scale`, `good_steps`, `skipped_steps` and `overflowed`, f32; nothing before the first step.
impl Stateful for LossScale {
    fn state_dict(&self) -> Result<StateDict> {
        let Some(counts) = &self.counts else { return Ok(StateDict::new()) };
        Ok(NAMES.into_iter().map(str::to_owned).zip(counts.values().map(Tensor::clone)).collect())
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        if state.is_empty() {
            self.counts = None;
            return Ok(());
        }
        let mut values = [0.0; 4];
        for (name, value) in NAMES.into_iter().zip(&mut values) {
            let known = state.get(name).filter(|_| state.len() == NAMES.len());
            *value = known.map(Tensor::item).transpose()?.filter(|value| value.is_finite()).ok_or_else(|| {
                let message = "this is not the state of a loss scale; nothing was changed";
                Error::new(ErrorKind::Format, "loss_scale.load_state_dict", message)
            })?;
        }
        self.counts = Some(Counts::new(values, &Device::cpu())?);
        Ok(())
    }
}
