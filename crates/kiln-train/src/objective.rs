//! What is trained: anything that can say its loss on a batch.

use kiln_autograd::Var;
use kiln_datasets::Batch;
use kiln_nn::{Ctx, Layer, Loss, Module};
use kiln_tensor::Result;

/// What a forward pass on a batch came to.
pub struct Outcome {
    /// One number: the mean loss of the batch's samples, and what regularisers add to it ([`Ctx::penalty`]).
    pub loss: Var,
    /// What metrics compare with the batch's targets, where there is such a thing.
    pub predictions: Option<Var>,
}

/// Something that can be trained: it has parameters, and says its loss on a batch.
///
/// [`Supervised`] is the usual case, a layer with a loss. A model with several inputs or losses is a struct of its own that
/// implements this.
pub trait Objective: Module + Send + Sync {
    /// The loss on a batch.
    ///
    /// # Errors
    /// A batch that does not fit the model.
    fn loss(&self, batch: &Batch, ctx: &Ctx) -> Result<Outcome>;
}

/// A model and the loss of its output against the batch's targets.
#[derive(Module)]
pub struct Supervised<M, L> {
    /// The model; its parameters' paths are the model's own.
    #[module(flatten)]
    pub model: M,
    /// The loss.
    #[module(skip)]
    pub loss: L,
}

impl<M: Layer, L: Loss> Objective for Supervised<M, L> {
    fn loss(&self, batch: &Batch, ctx: &Ctx) -> Result<Outcome> {
        let predictions = ctx.run(&self.model, &Var::from(&batch.inputs))?;
        let mut loss = match &batch.weights {
            Some(weights) => self.loss.weighted(&predictions, &batch.targets, weights)?,
            None => self.loss.forward(&predictions, &batch.targets)?,
        };
        if let Some(penalty) = ctx.penalty()? {
            loss = loss.add(&penalty)?;
        }
        Ok(Outcome { loss, predictions: Some(predictions) })
    }
}
