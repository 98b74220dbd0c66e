//! Outputs of many samples, batch by batch.

use kiln_tensor::{Error, Result, Shape, Tensor};

/// The outputs of samples (n, …), of so many at a time.
pub(crate) fn in_batches(inputs: &Tensor, size: usize, of: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let samples = inputs.dims().first().copied().unwrap_or(0);
    if samples <= size {
        return of(inputs);
    }
    let mut all: Option<Tensor> = None;
    for first in (0..samples).step_by(size) {
        let range = first..(first + size).min(samples);
        let part = of(&inputs.slice(0, range.clone())?)?;
        let (Some(&rows), sample) = (part.dims().first(), part.dims().get(1..).unwrap_or_default()) else {
            return Err(not_of_samples(part.shape(), range.len()));
        };
        if rows != range.len() {
            return Err(not_of_samples(part.shape(), range.len()));
        }
        let shape = [&[samples], sample].concat();
        let all = match &mut all {
            Some(all) => all,
            none => none.insert(Tensor::zeros(shape, part.dtype(), part.device())?),
        };
        all.slice_assign(0, range, &part)?;
    }
    all.ok_or_else(|| Error::value("predict", "no samples"))
}

#[cold]
fn not_of_samples(output: &Shape, samples: usize) -> Error {
    let message = format!(
        "the output {output} of a batch of {samples} samples has not one row for each: predict all samples as one batch, \
         with EvaluateOptions::batch_size"
    );
    Error::shape("predict", message)
}
