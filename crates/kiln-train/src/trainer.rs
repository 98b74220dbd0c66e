//! The training loop.

use crate::class_weights::ClassWeights;
use crate::diverged::diverged;
use crate::last_batch;
use crate::options::BATCH;
use crate::progress::{Phase, ProgressBar, SoFar};
use crate::running::Running;
use crate::{
    Count, EpochRecord, EvaluateOptions, Evaluation, FitOptions, History, Measured, Metric, Objective, Outcome,
    Progress, Supervised,
};
use kiln_datasets::{Batch, Dataset, Loader, Pass};
use kiln_nn::{AnyLayer, Ctx, Layer, Loss, StateDict};
use kiln_optim::Optimizer;
use kiln_tensor::{Device, Error, Result, Shape, Tensor};
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::time::Instant;

/// An objective with the optimizer that trains it and the metrics that are reported.
pub struct Trainer<O, P> {
    /// What is trained.
    pub objective: O,
    /// What trains it.
    pub optimizer: P,
    metrics: Vec<Box<dyn Metric>>,
    steps: u64,
    epochs: u64,
    /// Samples a batch of the last fit, which evaluations take over.
    batch_size: usize,
}

/// A model ready to be trained, in Keras's words: an optimizer and the loss of the model's output against the targets.
pub fn compile<M: Layer, L: Loss, P: Optimizer>(model: M, optimizer: P, loss: L) -> Trainer<Supervised<M, L>, P> {
    Trainer::new(Supervised { model, loss }, optimizer)
}

/// A model as the last completed epoch has left it. Cheap until the next step: the tensors are shared until they change.
struct Kept {
    weights: StateDict,
    steps: u64,
    epochs: u64,
    /// 0 before the first one.
    epoch: usize,
}

/// Loss and metrics of an epoch.
struct Tally {
    loss: Running,
    metrics: Vec<Running>,
}

impl Tally {
    fn new(metrics: usize) -> Self {
        Tally { loss: Running::default(), metrics: (0..metrics).map(|_| Running::default()).collect() }
    }

    /// Gives the batch's loss where the host can see it without waiting for the device.
    fn add(&mut self, metrics: &[Box<dyn Metric>], batch: &Batch, outcome: &Outcome) -> Result<Option<f64>> {
        let mask = outcome.mask.as_deref();
        let count = mask.map_or(Ok(Count::Known(batch.len() as f64)), Count::of)?;
        let loss = self.loss.add_mean(outcome.loss.tensor(), &count)?;
        if let Some(predictions) = &outcome.predictions {
            for (metric, running) in metrics.iter().zip(&mut self.metrics) {
                let Measured { sum, count } = metric.measure(predictions.tensor(), &batch.targets, mask)?;
                running.add_sum(&sum, &count)?;
            }
        }
        Ok(loss)
    }

    /// Means of the loss and the first metric, where the host has their sums.
    fn so_far(&self, metrics: &[Box<dyn Metric>]) -> SoFar {
        let metric = metrics.first().zip(self.metrics.first());
        let metric = metric.and_then(|(metric, sum)| Some((metric.name(), sum.host_mean()?)));
        (self.loss.host_mean(), metric)
    }

    fn finish(&self, metrics: &[Box<dyn Metric>]) -> Result<Evaluation> {
        let named = metrics.iter().zip(&self.metrics).map(|(metric, sum)| Ok((metric.name(), sum.mean()?)));
        Ok(Evaluation { loss: self.loss.mean()?, metrics: named.collect::<Result<_>>()? })
    }
}

impl<O: Objective, P: Optimizer> Trainer<O, P> {
    /// A trainer of any objective, without metrics.
    pub fn new(objective: O, optimizer: P) -> Self {
        Trainer { objective, optimizer, metrics: Vec::new(), steps: 0, epochs: 0, batch_size: BATCH }
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

    /// Multiplies the batch's weights by those of its targets' classes.
    fn weigh(&self, batch: &mut Batch, weights: Option<&ClassWeights>) -> Result<()> {
        if let Some(weights) = weights {
            batch.weights = Some(weights.of(batch, &self.objective.labels(&batch.targets)?)?);
        }
        Ok(())
    }

    /// Snapshot that is restored when the loss becomes NaN or infinite.
    fn keep(&self, epoch: usize) -> Kept {
        Kept { weights: self.objective.state_dict(), steps: self.steps, epochs: self.epochs, epoch }
    }

    /// One step on a batch: forward, backward, update.
    fn step(&mut self, batch: &Batch, seed: u64, tally: &mut Tally, kept: &Kept) -> Result<()> {
        let ctx = Ctx::train(seed, self.steps);
        let outcome = self.objective.loss(batch, &ctx)?;
        if let Some(loss) = tally.add(&self.metrics, batch, &outcome)?
            && !loss.is_finite()
        {
            let place = format!("loss of step {}", self.steps + 1);
            return Err(self.go_back(kept, diverged(&self.objective, batch, ctx, &place, loss)));
        }
        let Outcome { loss, predictions, .. } = outcome;
        // Let go, so that the backward pass frees what it has used.
        drop(predictions);
        let gradients = loss.backward()?;
        self.optimizer.step(&mut self.objective, &gradients)?;
        ctx.commit(&mut self.objective)?;
        self.steps += 1;
        Ok(())
    }

    /// The error of a loss that is not finite, once the weights are those of the last completed epoch again. (The optimizer's
    /// state is not: what it remembers may hold values that are not finite.)
    #[cold]
    fn go_back(&mut self, kept: &Kept, error: Error) -> Error {
        if let Err(error) = self.objective.load_state_dict(&kept.weights, true) {
            return error;
        }
        (self.steps, self.epochs) = (kept.steps, kept.epochs);
        let weights = match kept.epoch {
            0 => "again those that it began with".to_owned(),
            epoch => format!("again those of epoch {epoch}"),
        };
        Error::new(error.kind(), error.operation(), format!("{}; the weights are {weights}", error.message()))
    }

    /// As [`Trainer::go_back`], of a loss over all of a data set.
    #[cold]
    fn diverged(
        &mut self,
        data: &dyn Dataset,
        batch_size: usize,
        ctx: Ctx,
        place: &str,
        loss: f64,
        kept: &Kept,
    ) -> Error {
        let first: Vec<usize> = (0..batch_size.min(data.len())).collect();
        match data.batch(&first, &[], &self.device()) {
            Ok(batch) => self.go_back(kept, diverged(&self.objective, &batch, ctx, place, loss)),
            Err(error) => self.go_back(kept, error),
        }
    }

    /// Where the parameters are.
    fn device(&self) -> Device {
        let parameters = self.objective.parameters();
        parameters.first().map_or_else(Device::cpu, |(_, parameter)| parameter.value().device().clone())
    }

    /// The names of the numbers that an epoch reports.
    fn reported(&self, validates: bool) -> Vec<String> {
        let names = || std::iter::once("loss").chain(self.metrics.iter().map(|metric| metric.name()));
        let validation = names().filter(|_| validates).map(|name| format!("val_{name}"));
        names().map(str::to_owned).chain(validation).collect()
    }

    /// Trains for some epochs, in a session of the model's device ([`kiln_tensor::Device::session`]). A second call goes on where the first ended: five epochs and five more
    /// are ten, bit for bit.
    ///
    /// # Errors
    /// Options that make no sense, data that does not fit the model: the weights stay those of the last finished step. A last
    /// batch of 1 sample that the model cannot be trained on is found before the first step. A loss
    /// that is not finite, in training or validation (`ErrorKind::Diverged`): they are those of the last completed epoch again.
    pub fn fit(&mut self, data: &dyn Dataset, options: FitOptions<'_>) -> Result<History> {
        if options.epochs == 0 {
            return Err(Error::value("fit", "0 epochs: at least 1 is needed"));
        }
        let device = self.device();
        device.session(|| self.run(data, options))
    }

    fn run(&mut self, data: &dyn Dataset, mut options: FitOptions<'_>) -> Result<History> {
        let device = self.device();
        let split = options.split(&data)?;
        let (data, validation): (&dyn Dataset, Option<&dyn Dataset>) = match &split {
            Some([training, validation]) => (training, Some(validation)),
            None => (data, options.validation),
        };
        let weights = match options.class_weight.as_slice() {
            [] => None,
            weights => Some(ClassWeights::new(weights, &device)?),
        };
        last_batch::check(data, &options, |samples| {
            let indices: Vec<usize> = (0..samples).collect();
            let pass = Pass { seed: options.seed, epoch: self.epochs + 1 };
            let mut batch = data.training_batch(&indices, &[], pass, &device)?;
            self.weigh(&mut batch, weights.as_ref())?;
            self.objective.begin_pass();
            self.objective.loss(&batch, &Ctx::train(options.seed, self.steps)).map(drop)
        })?;
        // Of a `fit` that is refused nothing stays.
        if options.batch_size > 0 {
            self.batch_size = options.batch_size;
        }
        let reported = self.reported(validation.is_some());
        options.callbacks.iter_mut().try_for_each(|callback| callback.on_fit_begin(&reported))?;
        let mut loader = Loader::new(data).batch_size(options.batch_size).workers(options.workers).device(&device);
        loader = loader.seed(options.seed).drop_last(options.drop_last);
        if options.shuffle {
            loader = loader.shuffle(options.seed);
        }
        let batches = loader.batches();
        let mut bar = std::mem::replace(&mut options.progress, ProgressBar::hidden());
        bar.on_fit_begin(options.epochs);
        let begin = Instant::now();
        let mut history = History::default();
        let mut last = None;
        for epoch in 1..=options.epochs {
            let start = Instant::now();
            let mut tally = Tally::new(self.metrics.len());
            let kept = self.keep(epoch - 1);
            self.epochs += 1;
            self.objective.begin_pass();
            bar.on_phase_begin(Phase { epoch, validation: false, batches, samples: data.len() });
            loader.epoch(self.epochs, |stream| {
                for (position, batch) in stream.enumerate() {
                    let mut batch = batch?;
                    self.weigh(&mut batch, weights.as_ref())?;
                    self.step(&batch, options.seed, &mut tally, &kept)?;
                    let (loss, metric) = tally.so_far(&self.metrics);
                    let progress = Progress { epoch, batch: position + 1, batches, samples: batch.len(), loss, metric };
                    if let Some(on_batch) = &mut options.on_batch {
                        on_batch(&progress);
                    }
                    bar.on_batch_end(progress.batch, || (loss, metric));
                    last = Some(progress);
                    if options.stops() {
                        break;
                    }
                }
                Ok(())
            })?;
            let train = tally.finish(&self.metrics)?;
            if !train.loss.is_finite() {
                // On a device no step waits for its loss. Weights that are not finite are so for any batch.
                let (ctx, place) = (Ctx::train(options.seed, self.steps), format!("loss of epoch {epoch}"));
                return Err(self.diverged(data, options.batch_size, ctx, &place, train.loss, &kept));
            }
            let evaluated = match validation {
                Some(data) => self.validate(data, epoch, &options, &mut bar)?,
                None => None,
            };
            if let (Some(data), Some(Evaluation { loss, .. })) = (validation, &evaluated)
                && !loss.is_finite()
            {
                let place = format!("validation loss after step {}", self.steps);
                return Err(self.diverged(data, options.batch_size, Ctx::eval(), &place, *loss, &kept));
            }
            let record = EpochRecord { epoch, train, validation: evaluated, seconds: start.elapsed().as_secs_f64() };
            bar.on_epoch_end(&record);
            let mut stop = false;
            for callback in &mut options.callbacks {
                stop |= callback.on_epoch_end(&record, &mut self.objective)?.is_break();
            }
            history.epochs.push(record);
            if options.stops() {
                history.stopped = last;
                stop = true;
            }
            if stop {
                break;
            }
        }
        bar.on_fit_end(history.last());
        options.callbacks.iter_mut().try_for_each(|callback| callback.on_fit_end(&mut self.objective))?;
        history.seconds = begin.elapsed().as_secs_f64();
        Ok(history)
    }

    /// Loss and metrics on the validation data; none where the training is stopped before all of it was seen.
    fn validate(
        &self,
        data: &dyn Dataset,
        epoch: usize,
        options: &FitOptions<'_>,
        bar: &mut ProgressBar,
    ) -> Result<Option<Evaluation>> {
        let batches = Loader::new(data).batch_size(options.batch_size).batches();
        bar.on_phase_begin(Phase { epoch, validation: true, batches, samples: data.len() });
        let evaluated =
            measure(&self.objective, &self.metrics, data, options.batch_size, &self.device(), |done, tally| {
                if done > 0 {
                    bar.on_batch_end(done, || tally.so_far(&self.metrics));
                }
                if options.stops() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        Ok(evaluated?.continue_value())
    }

    /// Loss and metrics on a data set, with the layers in evaluation mode, in batches as large as those of the last
    /// [`Trainer::fit`] (32 before the first), so that it needs no more memory than that.
    ///
    /// # Errors
    /// Data that is empty or does not fit the model.
    pub fn evaluate(&self, data: &dyn Dataset) -> Result<Evaluation> {
        self.evaluate_with(data, EvaluateOptions::new())
    }

    /// As [`Trainer::evaluate`], in batches of another size. What it reports does not depend on that, but for rounding.
    ///
    /// # Errors
    /// As [`Trainer::evaluate`], and batches of 0.
    pub fn evaluate_with(&self, data: &dyn Dataset, options: EvaluateOptions) -> Result<Evaluation> {
        let batch_size = options.resolve("evaluate", self.batch_size)?;
        let (objective, metrics, device) = (&self.objective, &self.metrics, self.device());
        let all = |_: usize, _: &Tally| ControlFlow::<Infallible>::Continue(());
        let ControlFlow::Continue(evaluation) =
            device.session(|| measure(objective, metrics, data, batch_size, &device, all))?;
        Ok(evaluation)
    }
}

/// Mean loss and metrics of an objective. `goes_on` is asked before each batch, with the number of batches done and what they have
/// come to.
fn measure<O: Objective, B>(
    objective: &O,
    metrics: &[Box<dyn Metric>],
    data: &dyn Dataset,
    batch_size: usize,
    device: &Device,
    mut goes_on: impl FnMut(usize, &Tally) -> ControlFlow<B>,
) -> Result<ControlFlow<B, Evaluation>> {
    let mut tally = Tally::new(metrics.len());
    objective.begin_pass();
    let ctx = Ctx::eval();
    let seen = Loader::new(data).plain().batch_size(batch_size).device(device).epoch(0, |batches| {
        for (done, batch) in batches.enumerate() {
            if let ControlFlow::Break(why) = goes_on(done, &tally) {
                return Ok(ControlFlow::Break(why));
            }
            let batch = batch?;
            let outcome = objective.loss(&batch, &ctx)?;
            tally.add(metrics, &batch, &outcome)?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    match seen {
        ControlFlow::Break(why) => Ok(ControlFlow::Break(why)),
        ControlFlow::Continue(()) => Ok(ControlFlow::Continue(tally.finish(metrics)?)),
    }
}

impl<M: Layer, L: Loss, P: Optimizer> Trainer<Supervised<M, L>, P> {
    /// The model's output for samples (n, …), with the layers in evaluation mode, on the model's device. It is computed in
    /// batches as large as those of the last [`Trainer::fit`] (32 before the first): beside the output, it needs the memory of
    /// one batch.
    ///
    /// A stateful layer goes on from one batch to the next; [`Trainer::predict_with`] makes all samples one batch.
    ///
    /// # Errors
    /// Inputs that do not fit the model.
    pub fn predict(&self, inputs: &Tensor) -> Result<Tensor> {
        self.predict_with(inputs, EvaluateOptions::new())
    }

    /// As [`Trainer::predict`], in batches of another size.
    ///
    /// # Errors
    /// As [`Trainer::predict`], and batches of 0.
    pub fn predict_with(&self, inputs: &Tensor, options: EvaluateOptions) -> Result<Tensor> {
        let batch_size = options.resolve("predict", self.batch_size)?;
        let (model, device) = (&self.objective.model, self.device());
        let batch = |part: &Tensor| {
            let y = Ctx::eval().run::<dyn AnyLayer>(model, part.to_device(&device)?)?;
            Ok(y.var()?.into_tensor())
        };
        device.session(|| in_batches(inputs, batch_size, batch))
    }

    /// The model alone.
    pub fn into_model(self) -> M {
        self.objective.model
    }
}

/// The outputs of samples (n, …), of so many at a time.
fn in_batches(inputs: &Tensor, size: usize, of: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let samples = inputs.dims().first().copied().unwrap_or(0);
    if samples <= size {
        return of(inputs);
    }
    let mut all: Option<Tensor> = None;
    for first in (0..samples).step_by(size) {
        let range = first..(first + size).min(samples);
        let part = of(&inputs.slice(0, range.clone())?)?;
        let (Some(&rows), sample) = (part.dims().first(), part.dims().get(1..).unwrap_or_default()) else {
            return Err(not_of_samples(part.shape(), range.len()));
        };
        if rows != range.len() {
            return Err(not_of_samples(part.shape(), range.len()));
        }
        let shape = [&[samples], sample].concat();
        let all = match &mut all {
            Some(all) => all,
            none => none.insert(Tensor::zeros(shape, part.dtype(), part.device())?),
        };
        all.slice_assign(0, range, &part)?;
    }
    all.ok_or_else(|| Error::value("predict", "no samples"))
}

#[cold]
fn not_of_samples(output: &Shape, samples: usize) -> Error {
    let message = format!(
        "the output {output} of a batch of {samples} samples has not one row for each: predict all samples as one batch, \
         with EvaluateOptions::batch_size"
    );
    Error::shape("predict", message)
}
