//! A batch, and the optimizer's step.

use super::Fit;
use super::second::Again;
use crate::Outcome;
use kiln_autograd::Gradients;
use kiln_datasets::Batch;
use kiln_nn::Ctx;
use kiln_tensor::{Result, Tensor};

/// Batches whose gradients make one step.
#[derive(Default)]
pub(super) struct Group {
    /// The sum of their gradients.
    gradients: Gradients,
    /// What their layers handed in for buffers.
    contexts: Vec<Ctx>,
    /// Whether all their losses are finite, where only the device knows.
    applies: Option<Tensor>,
    /// The batches, where the optimizer's step takes two passes over them.
    batches: Vec<Again>,
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.contexts.is_empty()
    }

    pub(super) fn add(&mut self, gradients: Gradients, ctx: Ctx, applies: Option<Tensor>) -> Result<()> {
        if self.is_empty() {
            (self.gradients, self.applies) = (gradients, applies);
        } else {
            add_gradients(&mut self.gradients, gradients)?;
            self.applies = match (self.applies.take(), applies) {
                (Some(all), Some(this)) => Some(all.logical_and(&this)?),
                (all, this) => all.or(this),
            };
        }
        self.contexts.push(ctx);
        Ok(())
    }

    /// The mean of the batches' gradients, handed out once.
    pub(super) fn mean(&mut self) -> Result<Gradients> {
        let mut gradients = std::mem::take(&mut self.gradients);
        if self.contexts.len() > 1 {
            divide(&mut gradients, self.contexts.len())?;
        }
        Ok(gradients)
    }

    pub(super) fn applies(self) -> Option<Tensor> {
        self.applies
    }
}

/// sum += gradients
fn add_gradients(sum: &mut Gradients, mut gradients: Gradients) -> Result<()> {
    for id in ids(&gradients) {
        let Some(gradient) = gradients.remove(id) else { continue };
        let total = match sum.remove(id) {
            Some(mut total) => total.add_assign(&gradient).map(|()| total)?,
            None => gradient,
        };
        sum.insert(id, total);
    }
    Ok(())
}

/// The mean of so many batches' gradients, given their sum.
fn divide(gradients: &mut Gradients, batches: usize) -> Result<()> {
    for id in ids(gradients) {
        if let Some(mut gradient) = gradients.remove(id) {
            gradient.mul_scalar_assign(1.0 / batches as f64)?;
            gradients.insert(id, gradient);
        }
    }
    Ok(())
}

fn ids(gradients: &Gradients) -> Vec<kiln_autograd::LeafId> {
    gradients.iter().map(|(id, _)| id).collect()
}

/// Whether a loss is finite, where its device has it and the host would have to wait.
pub(super) fn finite_on_device(loss: &Tensor) -> Result<Option<Tensor>> {
    if loss.device().backend().is_host() {
        return Ok(None);
    }
    // NaN of a loss that is NaN or infinite, and NaN is not equal to itself.
    let zero = loss.sub(loss)?;
    zero.eq(&zero).map(Some)
}

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
        let stepped = self.group.contexts.len() >= self.accumulate || at + 1 >= self.run.loader.batches();
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
        if stepped { self.validation_of_step() } else { Ok(()) }
    }

    /// Forward and backward pass.
    fn gradients(&mut self) -> Result<()> {
        let run = &mut self.run;
        let Some(batch) = &run.batch else { return Ok(()) };
        run.drawn = run.state.batches;
        if run.optimizer.ascent().is_some() {
            let carried = self.carries.then(|| run.model.carried_states());
            self.group.batches.push(Again { batch: batch.clone(), drawn: run.drawn, carried });
        }
        let ctx = run.context();
        let outcome = run.model.loss(batch, &ctx)?;
        run.loss = run.state.tally.add(run.metrics, batch, &outcome)?;
        let Outcome { loss, predictions, .. } = outcome;
        // Let go, so that the backward pass frees what it has used.
        drop(predictions);
        let applies = finite_on_device(loss.tensor())?;
        self.group.add(loss.backward()?, ctx, applies)
    }

    /// The optimizer's step, and what layers remember of its batches.
    fn step(&mut self) -> Result<()> {
        let mut group = std::mem::take(&mut self.group);
        self.run.gradients = group.mean()?;
        let Group { contexts, mut applies, batches, .. } = group;
        if !batches.is_empty() {
            applies = self.second_pass(&batches, applies)?;
        }
        self.each(|callback, run| callback.on_step_begin(run))?;
        let run = &mut self.run;
        // The step counts once it is made, and the schedule then gives the factor of the next one.
        let learning_rate = run.optimizer.scheduled_learning_rate();
        run.optimizer.step_if(&mut *run.model, &run.gradients, applies.as_ref())?;
        run.stepped = Some(learning_rate);
        Ctx::commit_all(&contexts, run.model, applies.as_ref())
    }
}
