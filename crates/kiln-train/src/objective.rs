//! What is trained: anything that can say its loss on a batch.

use crate::Criterion;
use kiln_autograd::Var;
use kiln_datasets::{Batch, Weights};
use kiln_nn::losses::{Counting, labels_of, laid_over, targets_for};
use kiln_nn::{AnyLayer, Ctx, Layer, Loss, Mask, Module, Value};
use kiln_tensor::profile;
use kiln_tensor::{Error, Result, Tensor};

/// What a forward pass on a batch came to.
pub struct Outcome {
    /// One number: the mean loss of what counts in the batch, and what regularizers add to it ([`Ctx::penalty`]).
    pub loss: Var,
    /// What metrics compare with the batch's targets, one for each output of the model; none where there is nothing to compare.
    pub predictions: Vec<Prediction>,
    /// Which targets count in the loss, bool (n,) or (n, steps); without it all do. An epoch's mean is over as many.
    pub mask: Option<Mask>,
}

/// One output of a model for a batch.
pub struct Prediction {
    /// The output's name; empty of a model whose outputs have none.
    pub output: String,
    /// What it says; of a last layer over a large vocabulary a [`Projection`](kiln_nn::Projection), which is computed where it is asked
    /// for ([`Value::as_var`]).
    pub values: Value,
    /// Which targets count, bool (n,) or (n, steps); without it all do.
    pub mask: Option<Mask>,
    /// The loss of this output alone, to be reported beside that of all; see [`Objective::outputs`].
    pub loss: Option<Var>,
}

/// The one output of a model, all of whose steps count.
impl From<Var> for Prediction {
    fn from(values: Var) -> Self {
        Prediction { output: String::new(), values: values.into(), mask: None, loss: None }
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

    /// The names of the outputs whose losses are reported by themselves, `digit_loss`; their predictions carry it. None where there is
    /// one output.
    fn outputs(&self) -> Vec<String> {
        Vec::new()
    }

    /// The class of each target, by which `class_weight` makes [`Batch::weights`]; see [`Loss::labels`].
    ///
    /// # Errors
    /// Targets that have no classes.
    fn labels(&self, targets: &Tensor) -> Result<Tensor> {
        labels_of(targets)
    }
}

impl<O: Objective + ?Sized> Objective for Box<O> {
    fn begin_pass(&self) {
        (**self).begin_pass();
    }
    fn loss(&self, batch: &Batch, ctx: &Ctx) -> Result<Outcome> {
        (**self).loss(batch, ctx)
    }
    fn outputs(&self) -> Vec<String> {
        (**self).outputs()
    }
    fn labels(&self, targets: &Tensor) -> Result<Tensor> {
        (**self).labels(targets)
    }
}

/// A model and the loss of its output against the batch's targets; of several outputs the sum of their losses (as [`Losses`](crate::Losses)
/// has them).
///
/// The batch's masks are handed to the model with its inputs, and that which comes with an output, also one that a layer of its
/// own has made, says which steps count in the output's loss and metrics; so does a loss that ignores a label. The batch's weights
/// multiply the losses; of metrics [`Weighted`](crate::Weighted) ones see them.
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
        let outputs = ctx.run::<dyn AnyLayer>(&self.model, inputs(batch)?)?.into_parts();
        let _loss = profile::enter(ctx.phase(), "loss");
        let names = self.model.output_names();
        let losses = self.loss.of_outputs(&names, outputs.len())?;
        if batch.targets.count() != outputs.len() {
            let message =
                format!("{} targets for {} outputs: one for each is needed", batch.targets.count(), outputs.len());
            return Err(Error::value("fit", message));
        }
        check_weights(&batch.weights, outputs.len())?;
        let several = outputs.len() > 1;
        let (mut sum, mut predictions) = (None, Vec::with_capacity(outputs.len()));
        for (at, ((output, of), targets)) in outputs.into_iter().zip(&losses).zip(batch.targets.iter()).enumerate() {
            let (own, mask) = judge(of.loss, &output, targets, batch.weights.of(at))?;
            // Its value alone: nothing of the graph is kept for it.
            let reported = several.then(|| own.detach());
            let loss = if of.weight == 1.0 { own } else { own.mul_scalar(of.weight)? };
            sum = Some(match sum {
                None => loss,
                Some(sum) => loss.add(&sum)?,
            });
            let name = names.get(at).map_or_else(String::new, |&name| name.to_owned());
            predictions.push(Prediction { output: name, values: output, mask, loss: reported });
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

    fn outputs(&self) -> Vec<String> {
        let names = self.model.output_names();
        if names.len() > 1 { names.into_iter().map(str::to_owned).collect() } else { Vec::new() }
    }

    fn labels(&self, targets: &Tensor) -> Result<Tensor> {
        self.loss.labels(targets)
    }
}

/// A batch's inputs, each with its mask.
fn inputs(batch: &Batch) -> Result<Value> {
    let mut inputs = Value::from(&batch.inputs);
    if batch.masks.is_empty() {
        return Ok(inputs);
    }
    let (masks, count) = (batch.masks.len(), batch.inputs.count());
    if masks > count {
        return Err(Error::value("fit", format!("{masks} masks for {count} inputs: at most one for each is needed")));
    }
    let values = match &mut inputs {
        Value::Many(values) => &mut values[..],
        one => std::slice::from_mut(one),
    };
    for (value, given) in values.iter_mut().zip(&batch.masks) {
        if let Value::One(_, mask) = value {
            *mask = given.clone().map(Mask::from);
        }
    }
    Ok(inputs)
}

/// Fails where weights are not one for each output.
fn check_weights(weights: &Weights, outputs: usize) -> Result<()> {
    match weights {
        Weights::Each(each) if each.len() != outputs => {
            let message =
                format!("{} weights for {outputs} outputs: one for each, or one for all, is needed", each.len());
            Err(Error::value("fit", message))
        }
        _ => Ok(()),
    }
}

/// The loss of one output, and the mask of what counts in it.
fn judge(loss: &dyn Loss, output: &Value, targets: &Tensor, weights: Option<&Tensor>) -> Result<(Var, Option<Mask>)> {
    let shape = match output {
        Value::Projection(projection, _) => projection.shape(),
        one => one.as_var()?.shape(),
    };
    let targets = targets_for(loss, shape, targets)?;
    let mask = match output.mask() {
        Some(mask) if loss.takes_mask(mask, shape, targets.shape())? => Some(mask),
        _ => None,
    };
    let value = loss.of_output(output, &targets, Counting { mask: mask.map(|mask| &**mask), weights })?;
    let mask = match loss.counts(&targets)? {
        None => mask.filter(|mask| targets.dims().starts_with(mask.dims()) || targets.shape() == shape).cloned(),
        Some(counts) => Some(both(counts, mask.map(|mask| &**mask))?.into()),
    };
    Ok((value, mask))
}

/// What the targets let count and the mask too.
fn both(counts: Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    match mask.map(|mask| laid_over(mask, counts.shape())).transpose()?.flatten() {
        Some(mask) => counts.logical_and(&mask),
        None => Ok(counts),
    }
}
