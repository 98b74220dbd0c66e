//! Batches put together and taken apart.

use crate::{Batch, Weights};
use kiln_tensor::{Error, Result, Tensor, Tensors};

/// What `f` makes of each tensor of a batch.
pub(super) fn each(batch: &Batch, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Batch> {
    Ok(Batch {
        inputs: batch.inputs.try_map(&f)?,
        targets: batch.targets.try_map(&f)?,
        weights: batch.weights.try_map(&f)?,
        masks: batch.masks.iter().map(|mask| mask.as_ref().map(&f).transpose()).collect::<Result<_>>()?,
    })
}

/// The samples of a batch, each a batch of one.
pub(super) fn samples(batch: &Batch) -> impl Iterator<Item = Result<Batch>> + '_ {
    (0..batch.len()).map(|at| each(batch, |tensor| tensor.slice(0, at..at + 1)))
}

/// One batch of several, one after the other. A sample without weights or a mask counts whole beside those that have them.
pub(super) fn collate(parts: &[Batch]) -> Result<Batch> {
    let [first, rest @ ..] = parts else { return Err(Error::value("collate", "a batch of no samples was asked for")) };
    if rest.is_empty() {
        return Ok(first.clone());
    }
    let masks = parts.iter().map(|part| part.masks.len()).max().unwrap_or(0);
    Ok(Batch {
        inputs: all(parts, |part| &part.inputs, "inputs")?,
        targets: all(parts, |part| &part.targets, "targets")?,
        weights: weights(parts)?,
        masks: (0..masks)
            .map(|input| optional(parts, |part| part.masks.get(input)?.as_ref(), "masks"))
            .collect::<Result<_>>()?,
    })
}

fn all(parts: &[Batch], of: impl Fn(&Batch) -> &Tensors, what: &str) -> Result<Tensors> {
    let count = of(&parts[0]).count();
    if let Some(other) = parts.iter().map(|part| of(part).count()).find(|&other| other != count) {
        let message = format!("samples of {count} and of {other} {what} do not go into one batch");
        return Err(Error::shape("collate", message));
    }
    let joined = (0..count).map(|at| {
        let tensors: Vec<&Tensor> = parts.iter().filter_map(|part| of(part).iter().nth(at)).collect();
        join(&tensors, what)
    });
    let joined = joined.collect::<Result<Vec<_>>>()?;
    Tensors::of(joined).ok_or_else(|| Error::shape("collate", format!("samples without {what}")))
}

fn join(tensors: &[&Tensor], what: &str) -> Result<Tensor> {
    let form = |tensor: &Tensor| (tensor.dims().get(1..).unwrap_or_default().to_vec(), tensor.dtype());
    let (shape, dtype) = form(tensors[0]);
    if let Some((other, other_dtype)) =
        tensors.iter().map(|tensor| form(tensor)).find(|of| *of != (shape.clone(), dtype))
    {
        return Err(Error::shape(
            "collate",
            format!(
                "samples with {what} of shape {shape:?} {dtype} and of {other:?} {other_dtype} do not go into one batch: bring them \
                 to one shape and type, with `Map` for example"
            ),
        ));
    }
    Tensor::concat(tensors, 0)
}

fn weights(parts: &[Batch]) -> Result<Weights> {
    if parts.iter().any(|part| matches!(part.weights, Weights::Each(_))) {
        let outputs = parts[0].targets.count();
        let of = |output| optional(parts, move |part| part.weights.of(output), "weights");
        return Ok(Weights::Each((0..outputs).map(of).collect::<Result<_>>()?));
    }
    Ok(optional(parts, |part| part.weights.of(0), "weights")?.map_or(Weights::Ones, Weights::All))
}

/// What some parts have and others may lack, which then is ones.
fn optional(parts: &[Batch], of: impl Fn(&Batch) -> Option<&Tensor>, what: &str) -> Result<Option<Tensor>> {
    let Some(like) = parts.iter().find_map(&of) else { return Ok(None) };
    let ones = |part: &Batch| {
        let mut shape = like.dims().to_vec();
        shape[0] = part.len();
        Tensor::ones(shape, like.dtype(), like.device())
    };
    let tensors =
        parts.iter().map(|part| of(part).cloned().map_or_else(|| ones(part), Ok)).collect::<Result<Vec<_>>>()?;
    join(&tensors.iter().collect::<Vec<_>>(), what).map(Some)
}
