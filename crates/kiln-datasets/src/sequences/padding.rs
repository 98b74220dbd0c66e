//! Sequences of different lengths in one tensor.

use kiln_tensor::{Device, Element, Error, Result, Shape, Tensor};

/// Sequences filled up to one length.
#[derive(Clone, Debug)]
pub struct Padded {
    /// (n, steps) of tokens, or (n, steps, features).
    pub values: Tensor,
    /// i64 (n,): how many steps of each are its own.
    pub lengths: Tensor,
    /// bool (n, steps): which are.
    pub mask: Tensor,
}

/// Sequences filled up with `padding` at their ends to the length of the longest. A step is `features` values, or one token
/// where that is 0.
///
/// ```
/// use kiln_datasets::pad_sequences;
/// use kiln_tensor::Device;
/// let padded = pad_sequences(&[&[7i64, 8, 9][..], &[5]], 0, 0, &Device::cpu())?;
/// assert_eq!(padded.values.to_vec::<i64>()?, [7, 8, 9, 5, 0, 0]);
/// assert_eq!(padded.lengths.to_vec::<i64>()?, [3, 1]);
/// assert_eq!(padded.mask.to_vec::<bool>()?, [true, true, true, true, false, false]);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
///
/// # Errors
/// A sequence without a step, or one that is not made of whole steps; each is named.
pub fn pad_sequences<T: Element>(sequences: &[&[T]], features: usize, padding: T, device: &Device) -> Result<Padded> {
    let step = features.max(1);
    if let Some(at) = sequences.iter().position(|sequence| sequence.is_empty() || sequence.len() % step != 0) {
        return Err(Error::value(
            "pad_sequences",
            format!("sequence {at} has {} values, expected at least one step of {step}", sequences[at].len()),
        ));
    }
    let lengths: Vec<usize> = sequences.iter().map(|sequence| sequence.len() / step).collect();
    let steps = lengths.iter().copied().max().unwrap_or(0);
    let dims = [sequences.len(), steps, features];
    let shape = Shape::new(if features == 0 { &dims[..2] } else { &dims })?;
    let values = Tensor::write_with(shape, device, |to: &mut [T]| {
        to.fill(padding);
        for (to, sequence) in to.chunks_exact_mut((steps * step).max(1)).zip(sequences) {
            to[..sequence.len()].copy_from_slice(sequence);
        }
        Ok(())
    })?;
    let mask: Vec<bool> = lengths.iter().flat_map(|&length| (0..steps).map(move |t| t < length)).collect();
    let lengths: Vec<i64> = lengths.into_iter().map(|length| length as i64).collect();
    Ok(Padded {
        values,
        lengths: Tensor::from_slice(&lengths, [sequences.len()], device)?,
        mask: Tensor::from_slice(&mask, [sequences.len(), steps], device)?,
    })
}
