//! Samples drawn by weight, with replacement.

use crate::images::past_the_end;
use crate::split::unpaired;
use crate::{Batch, Dataset, Pass};
use kiln_math::draws::unit_f64;
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{Device, Error, Result};
use std::collections::BTreeMap;

/// Sets the stream of draws apart from that of a loader's order, which has the same seed.
const DRAWS: u64 = 0x7765_6967_6874_6564;

/// Another data set whose samples are drawn at random in each pass, with replacement, each with a probability in proportion to its
/// weight (PyTorch's `WeightedRandomSampler`).
///
/// ```
/// use kiln_datasets::{Dataset, ImageDataset, Loader, Weighted};
/// // Nine of one class, one of the other: half of each in the long run.
/// let images = ImageDataset::new(vec![0; 40], vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 1], &[2, 2], 2)?;
/// let balanced = Weighted::balanced(&images)?.draws(1000);
/// let mut ones = 0;
/// Loader::new(&balanced).seed(42).epoch(1, |batches| {
///     for batch in batches {
///         ones += batch?.targets.to_vec::<u8>()?.iter().filter(|&&class| class == 1).count();
///     }
///     Ok(())
/// })?;
/// assert!((450..550).contains(&ones));
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
///
/// Sample i of this data set is draw i of a pass, a function of the loader's seed, the epoch and i: the same for any number of workers
/// and any batch size, and it is as good without [`Loader::shuffle`](crate::Loader::shuffle) as with it. A sample that is drawn twice
/// in a pass is augmented alike. Evaluation sees the same draws every time; evaluate on the other data set.
#[derive(Clone, Debug)]
pub struct Weighted<D> {
    dataset: D,
    /// The sum of the weights up to each sample, itself included.
    sums: Vec<f64>,
    draws: usize,
}

impl<D: Dataset> Weighted<D> {
    /// Draws of `dataset`, of which sample i has the weight `weights[i]`; as many a pass as it has samples.
    ///
    /// # Errors
    /// Other than one weight a sample; weights that are negative, not finite, or all 0; a data set whose rows continue from batch to batch
    /// or which is read front to back.
    pub fn new(dataset: D, weights: &[f64]) -> Result<Self> {
        if dataset.in_order() || dataset.fixed_batch_size().is_some() {
            let message =
                "samples that are read in order, or continue those of the batch before, cannot be drawn one by one";
            return Err(Error::value("Weighted", message));
        }
        if weights.len() != dataset.len() {
            return Err(unpaired("Weighted", "weights", weights.len(), dataset.len()));
        }
        if let Some(at) = weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
            let message =
                format!("the weight of sample {at} is {}: a finite number of 0 or more is expected", weights[at]);
            return Err(Error::value("Weighted", message));
        }
        let sum = |sum: &mut f64, weight: &f64| {
            *sum += weight;
            Some(*sum)
        };
        let sums: Vec<f64> = weights.iter().scan(0.0, sum).collect();
        match sums.last() {
            Some(total) if *total > 0.0 && total.is_finite() => {
                let draws = dataset.len();
                Ok(Weighted { dataset, sums, draws })
            }
            Some(total) => Err(Error::value(
                "Weighted",
                format!(
                    "the weights add up to {total}: a finite number above 0 is expected, so that a sample can be drawn"
                ),
            )),
            None => Err(Error::value("Weighted", "there is no sample to draw")),
        }
    }

    /// Each class as often as any other: a sample weighs 1 / (samples of its class).
    ///
    /// # Errors
    /// A data set without [class labels](Dataset::class_labels), or without a sample.
    pub fn balanced(dataset: D) -> Result<Self> {
        let Some(labels) = dataset.class_labels()? else {
            let message = "the data set has no class labels to balance: give each sample a weight with `Weighted::new`";
            return Err(Error::value("Weighted", message));
        };
        let mut counts = BTreeMap::<i64, f64>::new();
        labels.iter().for_each(|&label| *counts.entry(label).or_default() += 1.0);
        let weights: Vec<f64> = labels.iter().map(|label| 1.0 / counts[label]).collect();
        Weighted::new(dataset, &weights)
    }

    /// How many samples are drawn a pass.
    #[must_use]
    pub fn draws(self, draws: usize) -> Self {
        Weighted { draws, ..self }
    }

    /// The samples that these draws of a pass are.
    fn drawn(&self, draws: &[usize], pass: Pass) -> Result<Vec<usize>> {
        let stream = RandomStream::new(pass.seed ^ DRAWS, Purpose::Shuffle, pass.epoch);
        let total = self.sums.last().copied().unwrap_or(0.0);
        // Rounding may take u · total up to the total: then it is the last sample that has a weight.
        let last = self.sums.partition_point(|&sum| sum < total);
        let draw = |&draw: &usize| {
            if draw >= self.draws {
                return Err(past_the_end("Weighted", draw, self.draws));
            }
            let [low, high, ..] = stream.at(draw as u64);
            let at = unit_f64(u64::from(low) | u64::from(high) << 32) * total;
            Ok(self.sums.partition_point(|&sum| sum <= at).min(last))
        };
        draws.iter().map(draw).collect()
    }
}

impl<D: Dataset> Dataset for Weighted<D> {
    fn len(&self) -> usize {
        self.draws
    }

    fn input_shape(&self) -> &[usize] {
        self.dataset.input_shape()
    }

    fn input_shapes(&self) -> Vec<Vec<usize>> {
        self.dataset.input_shapes()
    }

    fn batch(&self, indices: &[usize], _: &[usize], device: &Device) -> Result<Batch> {
        self.dataset.batch(&self.drawn(indices, Pass { seed: 0, epoch: 0 })?, &[], device)
    }

    fn training_batch(&self, indices: &[usize], upcoming: &[usize], pass: Pass, device: &Device) -> Result<Batch> {
        let upcoming: Vec<usize> = upcoming.iter().copied().filter(|&draw| draw < self.draws).collect();
        let upcoming = self.drawn(&upcoming, pass)?;
        self.dataset.training_batch(&self.drawn(indices, pass)?, &upcoming, pass, device)
    }
}
