//! Outputs of many samples, batch by batch.

use kiln_tensor::{Error, Result, Shape, Tensor, Tensors};

/// The outputs of samples (n, …), of so many at a time.
pub(crate) fn in_batches(inputs: &Tensors, size: usize, of: impl Fn(&Tensors) -> Result<Tensors>) -> Result<Tensors> {
    let samples = inputs.dims().first().copied().unwrap_or(0);
    if samples <= size {
        return of(inputs);
    }
    let mut all: Vec<Tensor> = Vec::new();
    for first in (0..samples).step_by(size) {
        let range = first..(first + size).min(samples);
        let parts = of(&inputs.try_map(|input| input.slice(0, range.clone()))?)?;
        for (at, part) in parts.iter().enumerate() {
            if part.dims().first() != Some(&range.len()) {
                return Err(not_of_samples(part.shape(), range.len()));
            }
            if all.len() == at {
                let shape = [&[samples], &part.dims()[1..]].concat();
                all.push(Tensor::zeros(shape, part.dtype(), part.device())?);
            }
            all[at].slice_assign(0, range.clone(), part)?;
        }
    }
    Tensors::of(all).ok_or_else(|| Error::value("predict", "no samples"))
}

#[cold]
fn not_of_samples(output: &Shape, samples: usize) -> Error {
    let message = format!(
        "the output {output} of a batch of {samples} samples has not one row for each: predict all samples as one batch, \
         with EvaluateOptions::batch_size"
    );
    Error::shape("predict", message)
}
