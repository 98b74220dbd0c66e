//! The training loop.

use crate::running::Running;
use crate::{EpochRecord, Evaluation, FitOptions, History, Metric, Objective, Outcome, Progress, Supervised};
use kiln_autograd::Var;
use kiln_datasets::{Batch, Dataset, Loader};
use kiln_nn::{Ctx, Layer, Loss};
use kiln_optim::Optimizer;
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};
use std::time::Instant;

/// Samples evaluated together, where batches are smaller.
const EVALUATION_BATCH: usize = 512;

/// An objective with the optimizer that trains it and the metrics that are reported.
pub struct Trainer<O, P> {
    /// What is trained.
    pub objective: O,
    /// What trains it.
    pub optimizer: P,
    metrics: Vec<Box<dyn Metric>>,
    steps: u64,
}

/// A model ready to be trained, in Keras's words: an optimizer and the loss of the model's output against the targets.
pub fn compile<M: Layer, L: Loss, P: Optimizer>(model: M, optimizer: P, loss: L) -> Trainer<Supervised<M, L>, P> {
    Trainer::new(Supervised { model, loss }, optimizer)
}

/// Loss and metrics of an epoch, summed on the device.
struct Tally {
    loss: Running,
    metrics: Vec<Running>,
    samples: usize,
}

impl Tally {
    fn new(metrics: usize) -> Self {
        Tally { loss: Running::default(), metrics: (0..metrics).map(|_| Running::default()).collect(), samples: 0 }
    }

    fn add(&mut self, metrics: &[Box<dyn Metric>], batch: &Batch, outcome: &Outcome) -> Result<()> {
        self.samples += batch.len();
        self.loss.add(outcome.loss.tensor(), batch.len() as f64)?;
        if let Some(predictions) = &outcome.predictions {
            for (metric, sum) in metrics.iter().zip(&mut self.metrics) {
                sum.add(&metric.sum(predictions.tensor(), &batch.targets)?, 1.0)?;
            }
        }
        Ok(())
    }

    fn finish(&self, metrics: &[Box<dyn Metric>]) -> Result<Evaluation> {
        let named = metrics.iter().zip(&self.metrics).map(|(metric, sum)| Ok((metric.name(), sum.mean(self.samples)?)));
        Ok(Evaluation { loss: self.loss.mean(self.samples)?, metrics: named.collect::<Result<_>>()? })
    }
}

impl<O: Objective, P: Optimizer> Trainer<O, P> {
    /// A trainer of any objective, without metrics.
    pub fn new(objective: O, optimizer: P) -> Self {
        Trainer { objective, optimizer, metrics: Vec::new(), steps: 0 }
    }

    /// Reports a metric too.
    #[must_use]
    pub fn metric(mut self, metric: impl Metric + 'static) -> Self {
        self.metrics.push(Box::new(metric));
        self
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// One step on a batch: forward, backward, update.
    fn step(&mut self, batch: &Batch, seed: u64, tally: &mut Tally) -> Result<()> {
        let ctx = Ctx::train(seed, self.steps);
        let outcome = self.objective.loss(batch, &ctx)?;
        tally.add(&self.metrics, batch, &outcome)?;
        let Outcome { loss, predictions } = outcome;
        // Let go, so that the backward pass frees what it has used.
        drop(predictions);
        let gradients = loss.backward()?;
        self.optimizer.step(&mut self.objective, &gradients)?;
        ctx.commit(&mut self.objective)?;
        self.steps += 1;
        Ok(())
    }

    /// Trains for some epochs, inside the thread team. The weights stay those of the last finished step on an error.
    ///
    /// # Errors
    /// Options that make no sense, data that does not fit the model, a loss that is not finite at an epoch's end.
    pub fn fit(&mut self, data: &dyn Dataset, options: FitOptions<'_>) -> Result<History> {
        if options.epochs == 0 {
            return Err(Error::new(ErrorKind::Value, "fit", "0 epochs: at least 1 is needed"));
        }
        kiln_cpu::team::run(|| self.run(data, options))
    }

    fn run(&mut self, data: &dyn Dataset, mut options: FitOptions<'_>) -> Result<History> {
        let mut loader =
            Loader::new(data).batch_size(options.batch_size).workers(options.workers).device(&options.device);
        if options.shuffle {
            loader = loader.shuffle(options.seed);
        }
        let batches = loader.batches();
        let begin = Instant::now();
        let mut history = History::default();
        for epoch in 1..=options.epochs {
            let start = Instant::now();
            let mut tally = Tally::new(self.metrics.len());
            loader.epoch(epoch as u64, |stream| {
                for (position, batch) in stream.enumerate() {
                    let batch = batch?;
                    self.step(&batch, options.seed, &mut tally)?;
                    if let Some(on_batch) = &mut options.on_batch {
                        on_batch(&Progress { epoch, batch: position + 1, batches, samples: batch.len() });
                    }
                }
                Ok(())
            })?;
            let train = tally.finish(&self.metrics)?;
            if !train.loss.is_finite() {
                return Err(Error::new(
                    ErrorKind::Value,
                    "fit",
                    format!("the loss of epoch {epoch} is {}: a smaller learning rate may help", train.loss),
                ));
            }
            let validation = match options.validation {
                Some(data) => Some(measure(&self.objective, &self.metrics, data, options.batch_size, &options.device)?),
                None => None,
            };
            let record = EpochRecord { epoch, train, validation, seconds: start.elapsed().as_secs_f64() };
            if let Some(on_epoch) = &mut options.on_epoch {
                on_epoch(&record);
            }
            history.epochs.push(record);
        }
        history.seconds = begin.elapsed().as_secs_f64();
        Ok(history)
    }

    /// Loss and metrics on a data set, with the layers in evaluation mode.
    ///
    /// # Errors
    /// Data that is empty or does not fit the model.
    pub fn evaluate(&self, data: &dyn Dataset) -> Result<Evaluation> {
        let (objective, metrics) = (&self.objective, &self.metrics);
        kiln_cpu::team::run(|| measure(objective, metrics, data, EVALUATION_BATCH, &Device::cpu()))
    }
}

/// Mean loss and metrics of an objective on a data set.
fn measure<O: Objective>(
    objective: &O,
    metrics: &[Box<dyn Metric>],
    data: &dyn Dataset,
    batch_size: usize,
    device: &Device,
) -> Result<Evaluation> {
    let mut tally = Tally::new(metrics.len());
    let ctx = Ctx::eval();
    Loader::new(data).batch_size(batch_size.max(EVALUATION_BATCH)).device(device).epoch(0, |batches| {
        for batch in batches {
            let batch = batch?;
            let outcome = objective.loss(&batch, &ctx)?;
            tally.add(metrics, &batch, &outcome)?;
        }
        Ok(())
    })?;
    tally.finish(metrics)
}

impl<M: Layer, L: Loss, P: Optimizer> Trainer<Supervised<M, L>, P> {
    /// The model's output for inputs (n, …), with the layers in evaluation mode.
    ///
    /// # Errors
    /// Inputs that do not fit the model.
    pub fn predict(&self, inputs: &Tensor) -> Result<Tensor> {
        let model = &self.objective.model;
        kiln_cpu::team::run(|| Ok(model.forward(&Var::from(inputs), &Ctx::eval())?.into_tensor()))
    }

    /// The model alone.
    pub fn into_model(self) -> M {
        self.objective.model
    }
}
