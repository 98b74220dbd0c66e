//! What is trained: anything that can say its loss on a batch.

use kiln_autograd::Var;
use kiln_datasets::Batch;
use kiln_nn::{Ctx, Layer, Loss, Module};
use kiln_tensor::{DType, Result, Shape, Tensor};

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
    /// Before each pass over a data set, in training and in evaluation.
    fn begin_pass(&self) {}

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
    fn begin_pass(&self) {
        self.model.reset_states();
    }

    fn loss(&self, batch: &Batch, ctx: &Ctx) -> Result<Outcome> {
        ctx.set_mask(batch.mask.clone());
        let predictions = ctx.run(&self.model, &Var::from(&batch.inputs))?;
        let mut loss = match (&batch.weights, steps_that_count(batch, &predictions)) {
            (Some(weights), _) => self.loss.weighted(&predictions, &batch.targets, weights)?,
            (None, Some(mask)) => self.of_steps(&predictions, &batch.targets, mask)?,
            (None, None) => self.loss.forward(&predictions, &batch.targets)?,
        };
        if let Some(penalty) = ctx.penalty()? {
            loss = loss.add(&penalty)?;
        }
        Ok(Outcome { loss, predictions: Some(predictions) })
    }
}

/// The mask, where predictions and targets are one of each step that it speaks of.
fn steps_that_count<'b>(batch: &'b Batch, predictions: &Var) -> Option<&'b Tensor> {
    let mask = batch.mask.as_ref()?;
    let begins = |dims: &[usize]| dims.len() >= 2 && dims[..2] == *mask.dims();
    (begins(predictions.dims()) && begins(batch.targets.dims())).then_some(mask)
}

impl<M: Layer, L: Loss> Supervised<M, L> {
    /// The mean loss of the steps that count: each is a sample, and those that fill up have no weight.
    fn of_steps(&self, predictions: &Var, targets: &Tensor, mask: &Tensor) -> Result<Var> {
        let flat = |dims: &[usize]| Shape::new(&[&[dims[0] * dims[1]], &dims[2..]].concat());
        let (each, target) = (predictions.reshape(flat(predictions.dims())?)?, targets.reshape(flat(targets.dims())?)?);
        let weights = mask.reshape([mask.elements()])?.to_dtype(DType::F32)?;
        // A loss's mean is over all steps.
        let share = weights.mean(.., false)?;
        self.loss.weighted(&each, &target, &weights.div(&share)?)
    }
}
