//! `fit`: the loop over epochs.

mod callbacks;
mod group;
mod last_batch;
mod second;
mod step;
mod validation;

use crate::held::Held;
use crate::state::Order;
use crate::{Callback, EpochRecord, FitOptions, History, Metric, Mixed, Objective, Progress, Run, TrainState};
use group::Group;
use kiln_autograd::Gradients;
use kiln_datasets::{Dataset, Pass};
use kiln_nn::{Ctx, StateDict};
use kiln_optim::Optimizer;
use kiln_tensor::{Device, Result};
use second::Again;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What a trainer lends for a `fit`.
pub(crate) struct Lent<'t> {
    pub(crate) objective: &'t mut dyn Objective,
    pub(crate) optimizer: &'t mut dyn Optimizer,
    pub(crate) metrics: &'t [Box<dyn Metric>],
    pub(crate) state: &'t mut TrainState,
    /// That of evaluations.
    pub(crate) batch_size: &'t mut usize,
    pub(crate) precision: Option<Mixed>,
}

/// A `fit`.
struct Fit<'r, 'a> {
    run: Run<'r>,
    callbacks: Vec<Box<dyn Callback + 'a>>,
    history: History,
    /// Batches whose gradients make a step.
    accumulate: usize,
    /// Steps from one validation to the next.
    validate_every: Option<u64>,
    /// What the next step is made of.
    group: Group,
    /// Its batches, where the optimizer's step takes a second pass over them.
    again: Vec<Again>,
    /// Whether layers carry states from batch to batch.
    carries: bool,
    /// The last batch trained on.
    last: Option<Progress>,
}

/// Trains for some epochs.
pub(crate) fn fit(trainer: Lent<'_>, data: &dyn Dataset, options: FitOptions<'_>, device: &Device) -> Result<History> {
    options.check(data)?;
    let Lent { objective, optimizer, metrics, state, batch_size, precision } = trainer;
    optimizer.check(&*objective)?;
    let seed = options.seed.unwrap_or(state.seed);
    let split = options.split(&data, seed)?;
    let (data, validation): (&dyn Dataset, Option<&dyn Dataset>) = match &split {
        Some([training, validation]) => (training, Some(validation)),
        None => (data, options.validation),
    };
    let loader = options.loader(data, seed, device);
    let order = Order::new(&loader, options.batch_size, options.shuffle, seed);
    state.expect_order(&order)?;
    last_batch::check(data, &options, |samples| {
        let indices: Vec<usize> = (0..samples).collect();
        let pass = Pass { seed, epoch: state.epoch + 1 };
        let batch = data.training_batch(&indices, &[], pass, device)?;
        objective.begin_pass();
        objective.loss(&batch, &Mixed::apply(precision, Ctx::train(seed, state.batches))).map(drop)
    })?;
    let last_epoch = options.last_epoch(state.epoch);
    let (size, accumulate, validate_every) = (options.batch_size, options.accumulate, options.validate_every);
    let mut callbacks = options.into_callbacks(device)?;
    callbacks::resume(&mut callbacks, &state.callbacks)?;
    // Of a `fit` that is refused nothing stays.
    if size > 0 {
        *batch_size = size;
    }
    state.seed = seed;
    if state.batch == 0 {
        state.end_epoch();
    }
    if loader.begins_pass(state.epoch + 1, state.batch as usize) {
        state.carried.clear();
    } else if !state.carried.is_empty() {
        objective.set_carried_states(&state.carried)?;
    }
    state.order = Some(order);
    let carries = Held::of(objective).carried;
    let run = Run {
        model: objective,
        optimizer,
        state,
        batch: None,
        gradients: Gradients::default(),
        metrics,
        loader,
        validation,
        batch_size: size,
        precision,
        device: device.clone(),
        epochs: last_epoch,
        loss: None,
        waits_for_loss: false,
        drawn: 0,
        stepped: None,
        samples: 0,
        validating: None,
        stopping: false,
        interrupted: false,
        ended: false,
        epoch_began: Instant::now(),
        attached: BTreeMap::new(),
        logged: Vec::new(),
        checkpoint_requested: false,
    };
    let (history, group) = (History::default(), Group::default());
    Fit { run, callbacks, history, accumulate, validate_every, group, again: Vec::new(), carries, last: None }.all()
}

impl Fit<'_, '_> {
    /// All epochs, or what callbacks make of a failure.
    fn all(mut self) -> Result<History> {
        match self.epochs() {
            Ok(()) => Ok(self.history),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn epochs(&mut self) -> Result<()> {
        let begin = Instant::now();
        self.each(|callback, run| callback.on_fit_begin(run))?;
        // What was resumed has been taken over; of a `fit` that was refused it stays for the next one.
        (self.run.state.callbacks, self.run.state.resumed) = (StateDict::new(), None);
        self.checkpoint()?;
        while (self.run.state.epoch as usize) < self.run.epochs && !self.run.stopping {
            self.epoch()?;
        }
        self.each(|callback, run| callback.on_fit_end(run))?;
        self.checkpoint()?;
        self.history.seconds = begin.elapsed().as_secs_f64();
        self.history.stopped = self.last.filter(|_| self.run.stopping);
        Ok(())
    }

    /// An epoch, or the rest of one that was left.
    fn epoch(&mut self) -> Result<()> {
        let (before, now) = (Duration::try_from_secs_f64(self.run.state.seconds).unwrap_or_default(), Instant::now());
        self.run.epoch_began = now.checked_sub(before).unwrap_or(now);
        let (epoch, first) = (self.run.state.epoch + 1, self.run.state.batch as usize);
        let metrics = self.run.metrics;
        self.run.state.tally.expect(self.run.model, metrics)?;
        self.each(|callback, run| callback.on_epoch_begin(run))?;
        if self.run.stopping {
            return Ok(());
        }
        if first > 0 {
            // One that was left when the training was stopped.
            self.validation_of_step()?;
        }
        let loader = self.run.loader.clone();
        loader.epoch_from(epoch, first, |batches| {
            for batch in batches {
                self.batch(batch?)?;
                if self.run.stopping && self.group.is_empty() {
                    break;
                }
            }
            Ok(())
        })?;
        let progress = self.run.progress();
        let train = self.run.state.tally.finish(metrics)?;
        if self.run.precision == Some(Mixed::F16) {
            self.run.state.loss_scale.expect_usable()?;
        }
        let validation = self.validation_of_epoch()?;
        let completed = progress.batch == progress.batches && validation.is_some() == self.run.validation.is_some();
        let seconds = self.run.epoch_began.elapsed().as_secs_f64();
        self.run.state.seconds = seconds;
        let record = EpochRecord { epoch: progress.epoch, train, validation, seconds };
        if completed {
            let state = &mut *self.run.state;
            let order = state.order;
            state.epoch = epoch;
            state.end_epoch();
            state.order = order;
            state.history.push(record.clone());
        }
        self.last = Some(progress);
        self.each(|callback, run| callback.on_epoch_end(run, &record))?;
        self.history.epochs.push(record);
        self.checkpoint()
    }
}
