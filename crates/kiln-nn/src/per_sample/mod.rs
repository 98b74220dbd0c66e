//! The norms of each sample's gradients, without the gradients.

mod recorder;
mod squares;

pub(crate) use recorder::{Recorder, Use};

use crate::{Ctx, Module};
use kiln_autograd::{LeafId, Var, vjp};
use kiln_tensor::{Error, Result, Tensor};
use recorder::Recorded;
use squares::Samples;

/// The norm of each sample's gradient: of each parameter by itself, and of all together. Differentially
/// private training clips by it, and it shows which samples are hard for the model.
#[derive(Clone, Debug)]
pub struct SampleNorms {
    of: Vec<(String, Tensor)>,
    total: Tensor,
}

impl SampleNorms {
    /// √Σg² over all parameters, (N,).
    pub fn total(&self) -> &Tensor {
        &self.total
    }

    /// The norms (N,) of the parameter at this path; none where there is no such parameter or it is frozen.
    pub fn of(&self, path: &str) -> Option<&Tensor> {
        self.of.iter().find(|(known, _)| known == path).map(|(_, norms)| norms)
    }

    /// The norms (N,) of each parameter that is not frozen, with its path, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.of.iter().map(|(path, norms)| (path.as_str(), norms))
    }
}

/// The norm of the gradient of each sample's own loss with respect to the parameters. `losses` runs the model in the context that it
/// is given and returns one loss for each sample, (N,): [`Loss::per_sample`](crate::Loss::per_sample). `ctx` says whether it is a pass of
/// training or of evaluation.
///
/// It costs a forward pass, a backward pass, and products of what goes into each layer with what its output's gradient is: the norm
/// of a dense layer's gradient is |x|·|g|. Where there are steps or pixels, the norm comes from products between these (Goodfellow 2015;
/// Li et al., Large Language Models Can Be Strong Differentially Private Learners, 2022) or, where that needs less memory, from
/// the gradients of one layer at a time.
///
/// It knows [`Dense`](crate::Dense), [`Linear`](crate::Linear), convolutions, [`Embedding`](crate::Embedding), layer, RMS, group and
/// instance normalization, and batch normalization with running averages. Other layers may be there if they have no parameters or are
/// frozen. Penalties of regularizers are of no sample and do not count.
///
/// ```
/// # use kiln_nn::{Activation, Ctx, Dense, Loss, MeanSquaredError, Sequential, per_sample_norms};
/// # use kiln_tensor::{DType, Device, Tensor};
/// # fn main() -> kiln_tensor::Result<()> {
/// # let cpu = Device::cpu();
/// # let (x, y) = (Tensor::ones([4, 3], DType::F32, &cpu)?, Tensor::zeros([4, 2], DType::F32, &cpu)?);
/// let model = Sequential::new().push(Dense::new(8).activation(Activation::Relu)).push(Dense::new(2)).build([3], &cpu, 1)?;
/// let loss = MeanSquaredError::new();
/// let norms = per_sample_norms(&model, Ctx::train(1, 0), |ctx| loss.per_sample(&model.forward(&x, ctx)?, &y))?;
/// assert_eq!(norms.total().dims(), [4]);
/// assert_eq!(norms.of("0.weight").unwrap().dims(), [4]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// A layer that mixes samples (batch normalization in training), sees other samples than the losses are of (`TimeDistributed`), or whose
/// norms are not known, with its path; losses that are not (N,).
pub fn per_sample_norms<M: Module + ?Sized>(
    model: &M,
    ctx: Ctx,
    losses: impl FnOnce(&Ctx) -> Result<Var>,
) -> Result<SampleNorms> {
    let ctx = ctx.recording(true).with_recorder();
    let losses = losses(&ctx)?;
    let &[samples] = losses.dims() else {
        let message =
            format!("one loss for each sample, (N,), is expected, got {}: `Loss::per_sample`", losses.shape());
        return Err(Error::shape(OPERATION, message));
    };
    let Some(recorder) = ctx.into_recorder() else { return Err(Error::value(OPERATION, "the context was lost")) };
    let parameters: Vec<(String, LeafId)> = model
        .parameters()
        .into_iter()
        .filter(|(_, parameter)| parameter.trainable())
        .map(|(path, parameter)| (path, parameter.id()))
        .collect();
    parameters.iter().try_for_each(|(path, id)| recorder.check(path, *id))?;
    let recorded = recorder.into_recorded();
    let outputs: Vec<&Var> = recorded.iter().map(|one| &one.output).collect();
    let ones = Tensor::ones(losses.shape(), losses.dtype(), losses.device())?;
    let gradients = vjp(&losses, &outputs, &ones)?;
    drop(losses);
    let mut of = Vec::with_capacity(parameters.len());
    let mut total: Option<Tensor> = None;
    for (path, id) in parameters {
        let squares = squares_of(id, &recorded, &gradients, samples, &path)?;
        total = Some(match total {
            Some(total) => total.add(&squares)?,
            None => squares.clone(),
        });
        of.push((path, squares.sqrt()?));
    }
    let total = total.ok_or_else(|| Error::value(OPERATION, "the model has no parameter that is not frozen"))?;
    Ok(SampleNorms { of, total: total.sqrt()? })
}

const OPERATION: &str = "per_sample_norms";

/// Σg² of each sample's gradient of a parameter. Where it is used in several places, the gradients are added up first.
fn squares_of(id: LeafId, recorded: &[Recorded], gradients: &[Tensor], samples: usize, path: &str) -> Result<Tensor> {
    let mut uses = Vec::new();
    for (one, gradient) in recorded.iter().zip(gradients).filter(|(one, _)| one.is_of(id)) {
        if gradient.dims().first() != Some(&samples) {
            let message = format!(
                "the layer of `{path}` sees {} samples, the losses are of {samples}: the gradients of its parameters cannot be told apart \
                 by sample",
                gradient.dims().first().copied().unwrap_or(0)
            );
            return Err(Error::shape(OPERATION, message));
        }
        uses.push(Samples::new(one, gradient, one.weight == Some(id))?);
    }
    match uses.as_slice() {
        [one] => one.squares(),
        several => {
            let mut sum: Option<Tensor> = None;
            for one in several {
                let gradient = one.gradients()?;
                sum = Some(match sum {
                    Some(sum) => sum.add(&gradient)?,
                    None => gradient,
                });
            }
            let sum = sum.ok_or_else(|| Error::value(OPERATION, format!("`{path}` was not used")))?;
            squares::of_each(&sum)
        }
    }
}
