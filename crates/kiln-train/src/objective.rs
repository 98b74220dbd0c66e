//! What is trained: anything that can say its loss on a batch.

use crate::Criterion;
use kiln_autograd::Var;
use kiln_datasets::Batch;
use kiln_nn::losses::{Counting, labels_of, targets_for};
use kiln_nn::{AnyLayer, Ctx, FromValue, Layer, Loss, Mask, Module, Sequence, Value};
use kiln_tensor::{Error, Result, Tensor};

/// What a forward pass on a batch came to.
pub struct Outcome {
    /// One number: the mean loss of what counts in the batch, and what regularizers add to it ([`Ctx::penalty`]).
    pub loss: Var,
    /// What metrics compare with the batch's targets, one for each output of the model; none where there is nothing to compare.
    pub predictions: Vec<Prediction>,
    /// Which steps of the targets count, bool (n, steps), in the loss; without it all do. An epoch's mean is over as many.
    pub mask: Option<Mask>,
}

/// One output of a model for a batch.
pub struct Prediction {
    /// The output's name; empty of a model whose outputs have none.
    pub output: String,
    /// What it says.
    pub values: Var,
    /// Which steps of the targets count, bool (n, steps); without it all do.
    pub mask: Option<Mask>,
}

/// The one output of a model, all of whose steps count.
impl From<Var> for Prediction {
    fn from(values: Var) -> Self {
        Prediction { output: String::new(), values, mask: None }
    }
}

/// Something that can be trained: it has parameters, and says its loss on a batch.
///
/// [`Supervised`] is the usual case, a model with a loss, or with one for each output. What is trained otherwise is a struct of
/// its own that implements this.
pub trait Objective: Module + Send + Sync {
    /// Before each pass over a data set, in training and in evaluation. Where epochs are pieces of a pass
    /// ([`FitOptions::steps_per_epoch`](crate::FitOptions::steps_per_epoch)), only before its first batch.
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

/// A model and the loss of its output against the batch's targets; of several outputs the sum of their losses (as [`Losses`](crate::Losses)
/// has them).
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

impl<M: Layer, L: Criterion> Objective for Supervised<M, L> {
    fn begin_pass(&self) {
        self.model.reset_states();
    }

    fn loss(&self, batch: &Batch, ctx: &Ctx) -> Result<Outcome> {
        let outputs = ctx.run::<dyn AnyLayer>(&self.model, inputs(batch))?.into_parts();
        let names = self.model.output_names();
        let losses = self.loss.of_outputs(&names, outputs.len())?;
        if batch.targets.count() != outputs.len() {
            let message =
                format!("{} targets for {} outputs: one for each is needed", batch.targets.count(), outputs.len());
            return Err(Error::value("fit", message));
        }
        let (mut sum, mut predictions) = (None, Vec::with_capacity(outputs.len()));
        for (at, ((output, of), targets)) in outputs.into_iter().zip(&losses).zip(batch.targets.iter()).enumerate() {
            let (loss, Sequence { values, mask }) = judge(of.loss, output, targets, batch.weights.as_ref())?;
            let loss = if of.weight == 1.0 { loss } else { loss.mul_scalar(of.weight)? };
            sum = Some(match sum {
                None => loss,
                Some(sum) => loss.add(&sum)?,
            });
            let output = names.get(at).map_or_else(String::new, |&name| name.to_owned());
            predictions.push(Prediction { output, values, mask });
        }
        let mut loss = sum.ok_or_else(|| Error::value("fit", "the model has no output"))?;
        if let Some(penalty) = ctx.penalty()? {
            loss = loss.add(&penalty)?;
        }
        let mask = match predictions.as_slice() {
            [one] => one.mask.clone(),
            _ => None,
        };
        Ok(Outcome { loss, predictions, mask })
    }

    fn labels(&self, targets: &Tensor) -> Result<Tensor> {
        self.loss.labels(targets)
    }
}

/// A batch's inputs; its mask goes with the first.
fn inputs(batch: &Batch) -> Value {
    let mut inputs = Value::from(&batch.inputs);
    let Some(given) = &batch.mask else { return inputs };
    let first = match &mut inputs {
        Value::Many(values) => values.first_mut(),
        one => Some(one),
    };
    if let Some(Value::One(_, mask)) = first {
        *mask = Some(given.clone().into());
    }
    inputs
}

/// The loss of one output, and the output with the mask of what counts in it.
fn judge(loss: &dyn Loss, output: Value, targets: &Tensor, weights: Option<&Tensor>) -> Result<(Var, Sequence)> {
    let Sequence { values, mask } = Sequence::from_value(output)?;
    let targets = targets_for(loss, values.shape(), targets)?;
    let mask = match mask {
        Some(mask) if is_of_steps(loss, &mask, &values, &targets)? => Some(mask),
        _ => None,
    };
    let value = loss.counted(&values, &targets, Counting { mask: mask.as_deref(), weights })?;
    Ok((value, Sequence { values, mask }))
}

/// Whether there is a loss of each step that a mask speaks of: a target for a whole sequence has no steps.
fn is_of_steps(loss: &dyn Loss, mask: &Tensor, predictions: &Var, targets: &Tensor) -> Result<bool> {
    let mut losses = predictions.dims().to_vec();
    if let Some(classes) = loss.class_axis(predictions.shape())? {
        losses.remove(classes);
    }
    let of_steps = |dims: &[usize]| dims.starts_with(mask.dims());
    Ok(of_steps(&losses) && (of_steps(targets.dims()) || targets.shape() == predictions.shape()))
}
