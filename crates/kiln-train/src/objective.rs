//! What is trained: anything that can say its loss on a batch.

use kiln_autograd::Var;
use kiln_datasets::Batch;
use kiln_nn::losses::{Counting, labels_of, targets_for};
use kiln_nn::{AnyLayer, Ctx, FromValue, Layer, Loss, Mask, Module, Sequence, Value};
use kiln_tensor::{Result, Tensor};

/// What a forward pass on a batch came to.
pub struct Outcome {
    /// One number: the mean loss of what counts in the batch, and what regularizers add to it ([`Ctx::penalty`]).
    pub loss: Var,
    /// What metrics compare with the batch's targets, if anything.
    pub predictions: Option<Var>,
    /// Which steps of the targets count, bool (n, steps), in the loss and for metrics; without it all do. An epoch's mean is
    /// over as many.
    pub mask: Option<Mask>,
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

    /// The class of each target, by which `class_weight` makes [`Batch::weights`]; see [`Loss::labels`].
    ///
    /// # Errors
    /// Targets that have no classes.
    fn labels(&self, targets: &Tensor) -> Result<Tensor> {
        labels_of(targets)
    }
}

/// A model and the loss of its output against the batch's targets.
///
/// The batch's mask is handed to the model with its input, and that which comes with its output, also one that a layer of its
/// own has made, says which steps count in the loss and for metrics. The batch's weights multiply the losses; metrics do not see
/// them.
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
        let inputs = match &batch.mask {
            Some(mask) => Sequence::new(Var::from(&batch.inputs), mask.clone()).into(),
            None => Value::from(&batch.inputs),
        };
        let output = Sequence::from_value(ctx.run::<dyn AnyLayer>(&self.model, inputs)?)?;
        let predictions = output.values;
        let targets = targets_for(&self.loss, predictions.shape(), &batch.targets)?;
        let mask = match output.mask {
            Some(mask) if self.is_of_steps(&mask, &predictions, &targets)? => Some(mask),
            _ => None,
        };
        let counting = Counting { mask: mask.as_deref(), weights: batch.weights.as_ref() };
        let mut loss = self.loss.counted(&predictions, &targets, counting)?;
        if let Some(penalty) = ctx.penalty()? {
            loss = loss.add(&penalty)?;
        }
        Ok(Outcome { loss, predictions: Some(predictions), mask })
    }

    fn labels(&self, targets: &Tensor) -> Result<Tensor> {
        self.loss.labels(targets)
    }
}

impl<M: Layer, L: Loss> Supervised<M, L> {
    /// Whether there is a loss of each step that a mask speaks of: a target for a whole sequence has no steps.
    fn is_of_steps(&self, mask: &Tensor, predictions: &Var, targets: &Tensor) -> Result<bool> {
        let mut losses = predictions.dims().to_vec();
        if let Some(classes) = self.loss.class_axis(predictions.shape())? {
            losses.remove(classes);
        }
        let of_steps = |dims: &[usize]| dims.starts_with(mask.dims());
        Ok(of_steps(&losses) && (of_steps(targets.dims()) || targets.shape() == predictions.shape()))
    }
}
