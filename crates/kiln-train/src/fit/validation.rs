//! Validation during training.

use super::Fit;
use crate::Evaluation;
use crate::state::Tally;
use kiln_datasets::Loader;
use kiln_tensor::Result;

impl Fit<'_, '_> {
    /// After a step, where it is time for one.
    pub(super) fn validation_of_step(&mut self) -> Result<()> {
        let step = self.run.state.step;
        let done = self.run.state.validations.last().is_some_and(|(last, _)| *last == step);
        if self.validate_every.is_some_and(|steps| step.is_multiple_of(steps))
            && !done
            && let Some(evaluation) = self.validate()?
        {
            self.run.state.validations.push((step, evaluation.clone()));
            self.history.validations.push((step, evaluation));
        }
        Ok(())
    }

    /// After an epoch: that of its last step, or a new one.
    pub(super) fn validation_of_epoch(&mut self) -> Result<Option<Evaluation>> {
        match self.run.state.validations.last() {
            Some((step, evaluation)) if *step == self.run.state.step => Ok(Some(evaluation.clone())),
            _ => self.validate(),
        }
    }

    /// Loss and metrics on the validation data; none where there is none, or where the training is stopped before all of it was
    /// seen. What layers carry from batch to batch in training is afterwards what it was before.
    fn validate(&mut self) -> Result<Option<Evaluation>> {
        let Some(data) = self.run.validation.filter(|_| !self.run.stopping) else { return Ok(None) };
        let carried = self.carries.then(|| self.run.model.carried_states());
        let metrics = self.run.metrics;
        self.run.validating = Some((Tally::new(self.run.model, metrics)?, 0));
        self.each(|callback, run| callback.on_validation_begin(run))?;
        self.run.model.begin_pass();
        let ctx = self.run.eval_ctx();
        let loader = Loader::new(data).plain().batch_size(self.run.batch_size).device(&self.run.device);
        let finished = loader.epoch(0, |batches| {
            for batch in batches {
                if self.run.stopping {
                    return Ok(false);
                }
                let batch = batch?;
                let outcome = self.run.model.loss(&batch, &ctx)?;
                if let Some((tally, done)) = &mut self.run.validating {
                    tally.add(metrics, &batch, &outcome)?;
                    *done += 1;
                }
                self.each(|callback, run| callback.on_validation_batch_end(run))?;
            }
            Ok(true)
        })?;
        let tally = self.run.validating.take();
        if let Some(carried) = carried {
            self.run.model.set_carried_states(&carried)?;
        }
        let Some((tally, _)) = tally.filter(|_| finished) else { return Ok(None) };
        let evaluation = tally.finish(metrics)?;
        self.each(|callback, run| callback.on_validation_end(run, &evaluation))?;
        Ok(Some(evaluation))
    }
}
