//! Ends a training whose loss is NaN or infinite, says where that began, and goes back to the weights before.

use crate::state::Before;
use crate::{Callback, EpochRecord, Evaluation, Mixed, Objective, Run, TrainState};
use kiln_datasets::{Batch, Loader};
use kiln_nn::{Ctx, NotFinite, Stateful};
use kiln_tensor::{Error, ErrorKind, Result};

/// Ends the training with an error where the loss is NaN or infinite.
///
/// What it keeps, the weights before the epoch, is part of the [`TrainState`](crate::TrainState): a run that is gone on with in the
/// middle of an epoch and then diverges goes back to where that epoch began, as one that was not stopped.
pub(crate) struct NanGuard {
    /// Whether the weights before the epoch are kept.
    snapshot: bool,
    /// The epochs that were completed before this `fit`; none where it goes on with an epoch whose beginning is known.
    first: Option<u64>,
}

impl NanGuard {
    /// One that keeps a snapshot of the weights, or not.
    pub(crate) fn new(snapshot: bool) -> Self {
        NanGuard { snapshot, first: None }
    }

    /// Looks at the loss of the last batch.
    fn look(&self, run: &mut Run<'_>, step: u64) -> Result<()> {
        let Some(loss) = run.loss().filter(|loss| !loss.is_finite()) else { return Ok(()) };
        let ctx = run.context();
        let error = diverged(run.model, run.batch.as_ref(), ctx, &format!("loss of step {step}"), loss);
        Err(self.go_back(run, error))
    }

    /// The error of a loss that is not finite, once the weights are those of the last completed epoch again. (The optimizer's
    /// state is not: what it remembers may hold values that are not finite.)
    #[cold]
    fn go_back(&self, run: &mut Run<'_>, error: Error) -> Error {
        let weights = match run.state.before.take() {
            Some(before) => {
                if let Err(error) = before.weights.restore(run.model) {
                    return error;
                }
                let state = &mut *run.state;
                let Before { epoch, batch, step, batches, tally, carried, loss_scale, .. } = before;
                if let Err(error) = state.loss_scale.load_state_dict(&loss_scale) {
                    return error;
                }
                (state.epoch, state.batch, state.step, state.batches) = (epoch, batch, step, batches);
                (state.tally, state.carried) = (tally, carried);
                state.history.retain(|record| record.epoch as u64 <= epoch);
                match epoch {
                    epoch if Some(epoch) == self.first => "again those that it began with".to_owned(),
                    0 => "again those before the first epoch".to_owned(),
                    epoch => format!("again those of epoch {epoch}"),
                }
            }
            None => "those of the last step before".to_owned(),
        };
        Error::new(error.kind(), error.operation(), format!("{}; the weights are {weights}", error.message()))
    }
}

impl Callback for NanGuard {
    fn on_fit_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        let state = &*run.state;
        self.first = (!knows_beginning(state)).then_some(state.epoch);
        Ok(())
    }

    fn on_epoch_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        let state = &mut *run.state;
        if !self.snapshot {
            state.before = None;
        } else if !knows_beginning(state) {
            let (epoch, batch, step, batches) = (state.epoch, state.batch, state.step, state.batches);
            let (tally, carried) = (state.tally.clone(), state.carried.clone());
            // In the memory of the last one.
            let mut weights = state.before.take().unwrap_or_default().weights;
            weights.take(run.model)?;
            let loss_scale = state.loss_scale.state_dict()?;
            state.before = Some(Before { weights, epoch, batch, step, batches, tally, carried, loss_scale });
        }
        Ok(())
    }

    fn on_fit_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        if run.state.batch == 0 {
            run.state.before = None;
        }
        Ok(())
    }

    fn on_step_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.look(run, run.state.step + 1)
    }

    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        // Of a batch that had no step yet.
        self.look(run, run.state.step + 1)
    }

    fn on_validation_end(&mut self, run: &mut Run<'_>, evaluation: &Evaluation) -> Result<()> {
        if evaluation.loss.is_finite() {
            return Ok(());
        }
        let place = format!("validation loss after step {}", run.state.step);
        let found = run.validation().map(|data| {
            let loader = Loader::new(data).plain().batch_size(run.batch_size).device(&run.device);
            first_not_finite(run.model, &loader, 0, |_| run.eval_ctx())
        });
        let error = match found {
            Some(Err(error)) => error,
            found => diverged(
                run.model,
                found.and_then(Result::ok).flatten().as_ref(),
                run.eval_ctx(),
                &place,
                evaluation.loss,
            ),
        };
        Err(self.go_back(run, error))
    }

    /// On a device no step waits for its loss.
    fn on_epoch_end(&mut self, run: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        if record.train.loss.is_finite() {
            return Ok(());
        }
        let (seed, before) =
            (run.state.seed, run.state.before.as_ref().map_or(0, |before| before.batches - before.batch));
        let precision = run.precision;
        let context = |batch: u64| Mixed::apply(precision, Ctx::train(seed, before + batch));
        let place = format!("loss of epoch {}", record.epoch);
        let error = match first_not_finite(run.model, &run.loader, record.epoch as u64, context) {
            Ok(batch) => diverged(run.model, batch.as_ref(), context(0), &place, record.train.loss),
            Err(error) => error,
        };
        Err(self.go_back(run, error))
    }
}

/// Whether the training is in the middle of an epoch whose beginning is kept.
fn knows_beginning(state: &TrainState) -> bool {
    state.batch > 0 && state.before.as_ref().is_some_and(|before| before.epoch == state.epoch)
}

/// The first batch of an epoch whose loss is not finite with the weights as they are.
#[cold]
fn first_not_finite(
    model: &dyn Objective,
    loader: &Loader<&dyn kiln_datasets::Dataset>,
    epoch: u64,
    context: impl Fn(u64) -> Ctx,
) -> Result<Option<Batch>> {
    model.begin_pass();
    loader.epoch(epoch, |batches| {
        for (number, batch) in (0..).zip(batches) {
            let batch = batch?;
            let outcome = model.loss(&batch, &context(number).recording(false))?;
            if !outcome.loss.item()?.is_finite() {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    })
}

/// The error of a loss that is not finite. The forward pass of its batch is run once more, with `ctx` as it was, to find the
/// first values on the way that are not finite: looking at each layer's values in every step would cost more than they do.
#[cold]
fn diverged(model: &dyn Objective, batch: Option<&Batch>, ctx: Ctx, place: &str, loss: f64) -> Error {
    let ctx = ctx.recording(false).with_probe(NotFinite::default());
    if let Some(batch) = batch {
        // It ran before; should it fail now, what it came to see until then still counts.
        let _ = model.loss(batch, &ctx);
    }
    let cause = match ctx.probe::<NotFinite>().and_then(NotFinite::found) {
        Some(values) => format!(
            "the first values that are not finite are {values}: a smaller learning rate, or inputs in a smaller range, \
             may help"
        ),
        None => "the values of all layers are finite: it comes from the targets, the loss or a penalty".to_owned(),
    };
    Error::new(ErrorKind::Diverged, "fit", format!("the {place} is {loss}; {cause}"))
}
