//! How fast a training is, and how much memory it takes.

use super::Every;
use crate::{Callback, EpochRecord, Evaluation, Run};
use kiln_tensor::{Device, Result};
use std::time::Instant;

/// Measures how fast the training is and how much memory it takes. It reports, every so many steps, `samples_per_second` and `ms_per_step`
/// since the report before, and of the memory `memory_bytes` and `peak_memory_bytes` (held by tensors now, and the most at one time since
/// the process began) and `resident_bytes` (of the process, on Linux); after each epoch `epoch_samples_per_second` and `epoch_ms_per_step`.
///
/// The time is that of training with its loading of data: validations do not count. On a device a report, a validation and the end of an epoch wait for what was
/// launched.
///
/// ```
/// # use kiln_datasets::TensorDataset;
/// # use kiln_nn::{Dense, MeanSquaredError, Sequential};
/// # use kiln_optim::Sgd;
/// # use kiln_tensor::{DType, Device, Tensor};
/// # use kiln_train::{FitOptions, Meter, compile};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let cpu = Device::cpu();
/// # let model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1)?;
/// # let ones = |columns| Tensor::ones([50, columns], DType::F32, &cpu);
/// # let data = TensorDataset::new(ones(2)?, ones(1)?)?;
/// # let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
/// let mut meter = Meter::new();
/// trainer.fit(&data, FitOptions::new().epochs(3).callback(&mut meter))?;
/// let all = meter.total().unwrap();
/// println!("{:.0} samples/s, {} bytes at most", all.samples_per_second, all.peak_memory);
/// assert_eq!((meter.epochs().len(), all.samples), (3, 150));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Meter {
    every: Every,
    /// Since when the clock runs; none while it does not.
    since: Option<Instant>,
    /// Since the last report, of the epoch and of this `fit`.
    spans: [Span; 3],
    epochs: Vec<Measurement>,
    total: Option<Measurement>,
}

const REPORT: usize = 0;
const EPOCH: usize = 1;
const FIT: usize = 2;

/// What was done in some time.
#[derive(Clone, Copy, Default, Debug)]
struct Span {
    samples: u64,
    steps: u64,
    seconds: f64,
}

/// What a [`Meter`] has measured.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Measurement {
    /// Samples trained on.
    pub samples: u64,
    /// Steps of the optimizer.
    pub steps: u64,
    /// Time of the training, without validations.
    pub seconds: f64,
    /// Samples in a second of training; NaN where no time was measured.
    pub samples_per_second: f64,
    /// Milliseconds for a step; NaN where there was none.
    pub ms_per_step: f64,
    /// Bytes held by tensors on the model's device, at the end.
    pub memory: usize,
    /// The most bytes that they held at one time since the process began.
    pub peak_memory: usize,
    /// Bytes of the whole process in the host's memory, where the system tells (Linux).
    pub resident: Option<u64>,
}

impl Measurement {
    fn new(span: Span, device: &Device) -> Self {
        let Span { samples, steps, seconds } = span;
        let memory = device.memory();
        Measurement {
            samples,
            steps,
            seconds,
            samples_per_second: if seconds > 0.0 { samples as f64 / seconds } else { f64::NAN },
            ms_per_step: if steps > 0 { 1e3 * seconds / steps as f64 } else { f64::NAN },
            memory: memory.live,
            peak_memory: memory.peak,
            resident: resident(),
        }
    }
}

/// `VmRSS` of this process.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kibibytes)
}

impl Default for Meter {
    fn default() -> Self {
        Meter { every: Every(100), since: None, spans: Default::default(), epochs: Vec::new(), total: None }
    }
}

impl Meter {
    /// Every 100 steps and after each epoch.
    pub fn new() -> Self {
        Meter::default()
    }

    /// Reports after every so many steps, counted over all calls of `fit`.
    #[must_use]
    pub fn every(self, steps: u64) -> Self {
        Meter { every: Every(steps), ..self }
    }

    /// What each epoch of the last `fit` came to.
    pub fn epochs(&self) -> &[Measurement] {
        &self.epochs
    }

    /// What the last `fit` came to; none before its end.
    pub fn total(&self) -> Option<Measurement> {
        self.total
    }

    fn run_clock(&mut self) {
        self.since = Some(Instant::now());
    }

    /// Stops it where it runs, once what was launched on the device is done.
    fn stop_clock(&mut self, run: &Run<'_>) -> Result<()> {
        if self.since.is_some() {
            run.device.synchronize()?;
        }
        let seconds = self.since.take().map_or(0.0, |since| since.elapsed().as_secs_f64());
        self.spans.iter_mut().for_each(|span| span.seconds += seconds);
        Ok(())
    }

    /// What there is since the last one of this span.
    fn measure(&mut self, span: usize, run: &Run<'_>) -> Measurement {
        Measurement::new(std::mem::take(&mut self.spans[span]), &run.device)
    }

    fn report(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.stop_clock(run)?;
        let found = self.measure(REPORT, run);
        run.log("samples_per_second", found.samples_per_second);
        run.log("ms_per_step", found.ms_per_step);
        run.log("memory_bytes", found.memory as f64);
        run.log("peak_memory_bytes", found.peak_memory as f64);
        if let Some(resident) = found.resident {
            run.log("resident_bytes", resident as f64);
        }
        self.run_clock();
        Ok(())
    }
}

impl Callback for Meter {
    fn on_fit_begin(&mut self, _: &mut Run<'_>) -> Result<()> {
        self.every.check("Meter", "every(0)")?;
        *self = Meter { every: self.every, ..Meter::default() };
        Ok(())
    }

    fn on_epoch_begin(&mut self, _: &mut Run<'_>) -> Result<()> {
        self.run_clock();
        Ok(())
    }

    fn on_step_end(&mut self, _: &mut Run<'_>) -> Result<()> {
        self.spans.iter_mut().for_each(|span| span.steps += 1);
        Ok(())
    }

    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.spans.iter_mut().for_each(|span| span.samples += run.samples as u64);
        let due = self.every.is_due(run.state.step) && self.spans[REPORT].steps > 0;
        if due { self.report(run) } else { Ok(()) }
    }

    fn on_validation_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.stop_clock(run)
    }

    fn on_validation_end(&mut self, _: &mut Run<'_>, _: &Evaluation) -> Result<()> {
        self.run_clock();
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        self.stop_clock(run)?;
        let epoch = self.measure(EPOCH, run);
        // An epoch that is left is reported once its rest was trained.
        if run.has_completed(record) {
            run.log("epoch_samples_per_second", epoch.samples_per_second);
            run.log("epoch_ms_per_step", epoch.ms_per_step);
        }
        self.epochs.push(epoch);
        Ok(())
    }

    fn on_fit_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.total = Some(self.measure(FIT, run));
        Ok(())
    }
}
