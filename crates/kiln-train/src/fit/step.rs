//! A batch, and the optimizer's step.

use super::Fit;
use super::group::{both, finite_on_device};
use super::second::Again;
use crate::{Count, Mixed, Outcome};
use kiln_autograd::Gradients;
use kiln_datasets::Batch;
use kiln_nn::Ctx;
use kiln_tensor::Result;

impl Fit<'_, '_> {
    /// A batch, with a step where it is the last of those that make one.
    pub(super) fn batch(&mut self, batch: Batch) -> Result<()> {
        let run = &mut self.run;
        let at = run.state.batch as usize;
        if run.loader.begins_pass(run.state.epoch + 1, at) {
            run.model.begin_pass();
        }
        run.samples = batch.len();
        run.stepped = None;
        run.batch = Some(batch);
        self.each(|callback, run| callback.on_batch_begin(run))?;
        self.gradients()?;
        let stepped = self.group.len() >= self.accumulate || at + 1 >= self.run.loader.batches();
        if stepped {
            self.step()?;
        }
        let state = &mut *self.run.state;
        state.batch += 1;
        state.batches += 1;
        state.step += u64::from(stepped);
        if self.carries {
            state.carried = self.run.model.carried_states();
        }
        if stepped {
            self.each(|callback, run| callback.on_step_end(run))?;
            self.run.gradients = Gradients::default();
        }
        self.each(|callback, run| callback.on_batch_end(run))?;
        self.run.batch = None;
        if stepped {
            self.validation_of_step()?;
        }
        self.checkpoint()
    }

    /// Forward and backward pass.
    fn gradients(&mut self) -> Result<()> {
        let run = &mut self.run;
        let Some(batch) = &run.batch else { return Ok(()) };
        run.drawn = run.state.batches;
        let carried = match run.optimizer.ascent() {
            Some(_) if self.carries => Some(run.model.carried_states()),
            _ => None,
        };
        let ctx = run.context();
        let outcome = run.model.loss(batch, &ctx)?;
        run.loss = run.state.tally.add(run.metrics, batch, &outcome)?;
        if run.waits_for_loss && run.loss.is_none() {
            run.loss = Some(outcome.loss.item()?);
        }
        let Outcome { loss, predictions, mask } = outcome;
        // Let go, so that the backward pass frees what it has used.
        drop(predictions);
        let applies = finite_on_device(loss.tensor())?;
        let loss = Mixed::scaled(run.precision, &mut run.state.loss_scale, loss)?;
        let count = match &mask {
            Some(mask) if self.accumulate > 1 => Count::of(mask)?,
            _ => Count::Known(batch.len() as f64),
        };
        if run.optimizer.ascent().is_some() {
            self.again.push(Again { batch: batch.clone(), count: count.clone(), drawn: run.drawn, carried });
        }
        self.group.add(loss.backward()?, &count, ctx, applies)
    }

    /// The optimizer's step, and what layers remember of its batches.
    fn step(&mut self) -> Result<()> {
        let (gradients, contexts, mut applies) = std::mem::take(&mut self.group).finish()?;
        self.run.gradients = gradients;
        let mut finite = self.run.unscale()?;
        applies = both(applies, finite.clone())?;
        if !self.again.is_empty() {
            let second = self.second_pass(applies.as_ref())?;
            (applies, finite) = (both(applies, second.finite)?, both(finite, second.unscaled)?);
        }
        self.run.update_scale(finite.as_ref())?;
        self.each(|callback, run| callback.on_step_begin(run))?;
        let run = &mut self.run;
        // The step counts once it is made, and the schedule then gives the factor of the next one.
        let learning_rate = run.optimizer.scheduled_learning_rate();
        run.optimizer.step_if(&mut *run.model, &run.gradients, applies.as_ref())?;
        run.stepped = Some(learning_rate);
        Ctx::commit_all(&contexts, run.model, applies.as_ref())
    }
}
