//! Sequences of different lengths as a data set.

use super::{check_indices, pad_sequences};
use crate::{Batch, Dataset};
use kiln_tensor::{Device, Element, Error, ErrorKind, Result, Tensor};

/// Sequences of different lengths, each with a label, or with a label for each of its steps.
///
/// A batch is filled up to the length of its longest and carries the mask of the steps that count. A loader that
/// [buckets](crate::Loader::bucket_by_length) puts sequences of like lengths together, so that little is filled up.
///
/// ```
/// use kiln_datasets::{Dataset, SequenceDataset};
/// use kiln_tensor::Device;
/// let data = SequenceDataset::of_tokens(vec![vec![3, 1, 4], vec![1], vec![5, 9]], 10)?.labels(vec![1, 0, 1])?;
/// let batch = data.batch(&[0, 2], &[], &Device::cpu())?;
/// assert_eq!(batch.inputs.to_vec::<i64>()?, [3, 1, 4, 5, 9, 0]);
/// assert_eq!(batch.masks[0].as_ref().unwrap().to_vec::<bool>()?, [true, true, true, true, true, false]);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SequenceDataset {
    steps: Steps,
    targets: Targets,
    shape: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Steps {
    Tokens(Vec<Vec<i64>>),
    Features(Vec<Vec<f32>>, usize),
}

#[derive(Clone, Debug)]
enum Targets {
    None,
    Labels(Vec<i64>),
    OfSteps(Vec<Vec<i64>>),
}

impl Steps {
    fn count(&self) -> usize {
        match self {
            Steps::Tokens(sequences) => sequences.len(),
            Steps::Features(sequences, _) => sequences.len(),
        }
    }

    fn length(&self, index: usize) -> usize {
        match self {
            Steps::Tokens(sequences) => sequences[index].len(),
            Steps::Features(sequences, features) => sequences[index].len() / features,
        }
    }
}

impl SequenceDataset {
    /// Sequences of tokens below `vocabulary`, filled up with 0.
    ///
    /// # Errors
    /// A sequence without tokens, a token outside the vocabulary; each is named with its place.
    pub fn of_tokens(sequences: Vec<Vec<i64>>, vocabulary: usize) -> Result<Self> {
        for (at, sequence) in sequences.iter().enumerate() {
            if sequence.is_empty() {
                return Err(Error::value("SequenceDataset", format!("sequence {at} has no tokens")));
            }
            let outside = |&token: &i64| token < 0 || token as u64 >= vocabulary as u64;
            if let Some(position) = sequence.iter().position(outside) {
                return Err(Error::new(
                    ErrorKind::Index,
                    "SequenceDataset",
                    format!(
                        "token {} at position {position} of sequence {at} is outside the vocabulary, whose {vocabulary} tokens \
                         are 0 to {}",
                        sequence[position],
                        vocabulary as i64 - 1
                    ),
                ));
            }
        }
        let longest = sequences.iter().map(Vec::len).max().unwrap_or(0);
        Ok(SequenceDataset { steps: Steps::Tokens(sequences), targets: Targets::None, shape: vec![longest] })
    }

    /// Sequences of steps of so many features each, step after step, filled up with 0.
    ///
    /// # Errors
    /// No features; a sequence that is not made of whole steps, or has none, which is named.
    pub fn of_features(sequences: Vec<Vec<f32>>, features: usize) -> Result<Self> {
        let bad =
            |sequence: &Vec<f32>| features == 0 || sequence.is_empty() || !sequence.len().is_multiple_of(features);
        if let Some(at) = sequences.iter().position(bad) {
            return Err(Error::value(
                "SequenceDataset",
                format!("sequence {at} has {} values, expected some steps of {features} features", sequences[at].len()),
            ));
        }
        let longest = sequences.iter().map(|sequence| sequence.len() / features.max(1)).max().unwrap_or(0);
        let shape = vec![longest, features];
        Ok(SequenceDataset { steps: Steps::Features(sequences, features), targets: Targets::None, shape })
    }

    /// A label for each sequence.
    ///
    /// # Errors
    /// Another number of labels.
    pub fn labels(self, labels: Vec<i64>) -> Result<Self> {
        if labels.len() != self.len() {
            let message = format!("{} labels for {} sequences", labels.len(), self.len());
            return Err(Error::value("SequenceDataset", message));
        }
        Ok(SequenceDataset { targets: Targets::Labels(labels), ..self })
    }

    /// A label for each step of each sequence, filled up with 0 as the sequences are; what is filled up does not count.
    ///
    /// # Errors
    /// Labels that are not one a step, with the sequence.
    pub fn labels_of_steps(self, labels: Vec<Vec<i64>>) -> Result<Self> {
        if labels.len() != self.len() {
            let message = format!("labels of {} sequences for {}", labels.len(), self.len());
            return Err(Error::value("SequenceDataset", message));
        }
        if let Some(at) = (0..self.len()).find(|&at| labels[at].len() != self.steps.length(at)) {
            let message = format!("sequence {at} has {} steps and {} labels", self.steps.length(at), labels[at].len());
            return Err(Error::value("SequenceDataset", message));
        }
        Ok(SequenceDataset { targets: Targets::OfSteps(labels), ..self })
    }
}

/// The sequences at `indices`.
fn chosen<'a, T: Element>(sequences: &'a [Vec<T>], indices: &[usize]) -> Vec<&'a [T]> {
    indices.iter().map(|&index| &*sequences[index]).collect()
}

impl Dataset for SequenceDataset {
    fn len(&self) -> usize {
        self.steps.count()
    }

    /// The longest sequence's.
    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn length(&self, index: usize) -> Option<usize> {
        (index < self.len()).then(|| self.steps.length(index))
    }

    fn class_labels(&self) -> Result<Option<Vec<i64>>> {
        Ok(match &self.targets {
            Targets::Labels(labels) => Some(labels.clone()),
            Targets::None | Targets::OfSteps(_) => None,
        })
    }

    fn batch(&self, indices: &[usize], _: &[usize], device: &Device) -> Result<Batch> {
        check_indices("SequenceDataset", indices, self.len())?;
        let padded = match &self.steps {
            Steps::Tokens(sequences) => pad_sequences(&chosen(sequences, indices), 0, 0, device)?,
            Steps::Features(sequences, features) => pad_sequences(&chosen(sequences, indices), *features, 0.0, device)?,
        };
        let targets = match &self.targets {
            Targets::None => padded.lengths,
            Targets::Labels(labels) => {
                let labels: Vec<i64> = indices.iter().map(|&index| labels[index]).collect();
                Tensor::from_slice(&labels, [indices.len()], device)?
            }
            Targets::OfSteps(labels) => pad_sequences(&chosen(labels, indices), 0, 0, device)?.values,
        };
        Ok(Batch::new(padded.values, targets).masked(padded.mask))
    }
}
