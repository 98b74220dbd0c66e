//! What a data set is, and what it hands out.

use crate::{Subset, split};
use kiln_tensor::{Device, Error, Result, Tensor, Tensors};

/// Some samples together: inputs (n, …) and their targets (n,) or (n, …), one of each or several.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The model's inputs, one sample a row; several of a model with several inputs, in their order.
    pub inputs: Tensors,
    /// What the model should say: labels, one-hot rows, values; one for each output of the model, in their order.
    pub targets: Tensors,
    /// How much each sample counts in the loss, floats (n,), or each step, (n, T); without them each counts 1.
    pub weights: Weights,
    /// Which steps of each input's sequences count, bool (n, steps), in the inputs' order; of an input that has none here all do.
    pub masks: Vec<Option<Tensor>>,
}

/// How much samples count in the losses of a model's outputs (Keras's `sample_weight`): floats (n,), or (n, T) of each step.
///
/// ```
/// use kiln_datasets::Weights;
/// use kiln_tensor::{Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let weights = Tensor::from_slice(&[1.0f32, 0.5], [2], &Device::cpu())?;
/// let for_all = Weights::from(weights.clone());
/// let of_the_second_output = Weights::Each(vec![None, Some(weights)]);
/// assert!(for_all.of(0).is_some() && of_the_second_output.of(0).is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub enum Weights {
    /// None: each sample counts 1.
    #[default]
    Ones,
    /// For every output alike.
    All(Tensor),
    /// For each output, in their order; an output without weights counts each sample 1.
    Each(Vec<Option<Tensor>>),
}

impl Weights {
    /// Those of an output, by its place among them.
    pub fn of(&self, output: usize) -> Option<&Tensor> {
        match self {
            Weights::Ones => None,
            Weights::All(weights) => Some(weights),
            Weights::Each(each) => each.get(output)?.as_ref(),
        }
    }

    /// What `f` makes of each tensor.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn try_map<E>(&self, f: impl Fn(&Tensor) -> Result<Tensor, E>) -> Result<Weights, E> {
        Ok(match self {
            Weights::Ones => Weights::Ones,
            Weights::All(weights) => Weights::All(f(weights)?),
            Weights::Each(each) => Weights::Each(
                each.iter().map(|weights| weights.as_ref().map(&f).transpose()).collect::<Result<_, _>>()?,
            ),
        })
    }
}

impl From<Tensor> for Weights {
    fn from(weights: Tensor) -> Self {
        Weights::All(weights)
    }
}

impl From<Vec<Option<Tensor>>> for Weights {
    fn from(each: Vec<Option<Tensor>>) -> Self {
        Weights::Each(each)
    }
}

impl Batch {
    /// Samples that count alike.
    pub fn new(inputs: impl Into<Tensors>, targets: impl Into<Tensors>) -> Self {
        Batch { inputs: inputs.into(), targets: targets.into(), weights: Weights::Ones, masks: Vec::new() }
    }

    /// The same with which steps of the first input count, bool (n, steps).
    #[must_use]
    pub fn masked(self, mask: Tensor) -> Self {
        Batch { masks: vec![Some(mask)], ..self }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.inputs.dims().first().copied().unwrap_or(0)
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A pass over a data set in training: what is random about its samples is drawn from it and the sample's index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Pass {
    /// The run's seed.
    pub seed: u64,
    /// Number of the pass.
    pub epoch: u64,
}

/// Samples that can be had by index, batch by batch.
pub trait Dataset: Send + Sync {
    /// Number of samples; `usize::MAX` of data without an end, whose samples are made by their index. A loader takes those in
    /// order, and `fit` needs to know how many steps an epoch has.
    fn len(&self) -> usize;

    /// Whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sizes of one sample's axes, without the batch axis; of several inputs those of the first.
    fn input_shape(&self) -> &[usize];

    /// Steps of the sample at `index`, of sequences of different lengths; what a loader
    /// [buckets](crate::Loader::bucket_by_length) by.
    fn length(&self, index: usize) -> Option<usize> {
        let _ = index;
        None
    }

    /// The batch size of a data set whose rows continue from batch to batch, in order; a loader then takes batches of this size
    /// and leaves the order as it is, whatever it was told.
    fn fixed_batch_size(&self) -> Option<usize> {
        None
    }

    /// Whether samples that follow one another overlap or belong together, as windows over a text or a time series do. A random
    /// choice of them would have nearly the same samples in both parts, so [`Dataset::split`] cuts such data in two instead.
    fn sequential(&self) -> bool {
        self.fixed_batch_size().is_some()
    }

    /// The class of each sample, where the targets are classes, one a sample; what [`Dataset::split_stratified`] goes by.
    ///
    /// # Errors
    /// Memory that cannot be read.
    fn class_labels(&self) -> Result<Option<Vec<i64>>> {
        Ok(None)
    }

    /// Splits the data set in two at random: the second part has `fraction` of the n samples, round(n · fraction) of them, and
    /// the first one the rest. Both keep the order of the data set. The same seed gives the same parts, on every machine. As
    /// scikit-learn's `train_test_split`.
    ///
    /// Of [sequential](Dataset::sequential) data the second part is the last samples, whatever the seed.
    ///
    /// ```
    /// use kiln_datasets::{Dataset, ImageDataset};
    /// let images = ImageDataset::new(vec![0; 40], vec![0, 0, 0, 0, 0, 1, 1, 1, 1, 1], &[2, 2], 2)?;
    /// let [train, test] = images.split(0.3, 42)?;
    /// assert_eq!((train.len(), test.len()), (7, 3));
    /// // By class: as many of each as there are in all.
    /// let [train, test] = images.split_stratified(0.4, 42)?;
    /// assert_eq!(train.class_labels()?, Some(vec![0, 0, 0, 1, 1, 1]));
    /// assert_eq!(test.class_labels()?, Some(vec![0, 0, 1, 1]));
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// A fraction that is not above 0 and below 1, or that leaves one of the parts without a sample.
    fn split(&self, fraction: f64, seed: u64) -> Result<[Subset<&Self>; 2]>
    where
        Self: Sized,
    {
        let [first, second] = match self.sequential() {
            true => split::in_order(self.len(), fraction, self.fixed_batch_size())?,
            false => split::shuffled(self.len(), fraction, seed)?,
        };
        Ok([Subset::new(self, first)?, Subset::new(self, second)?])
    }

    /// As [`Dataset::split`], with each class in both parts in proportion: of a class of c samples, c · fraction are in the
    /// second part, rounded up or down so that the parts have the sizes that `split` gives them. As scikit-learn's
    /// `train_test_split` with `stratify`.
    ///
    /// Each class keeps at least one sample in the first part. So the sample of a class that has only one is never in the
    /// second part (scikit-learn refuses such a class).
    ///
    /// # Errors
    /// Those of `split`; [sequential](Dataset::sequential) data, data without [class labels](Dataset::class_labels), and classes
    /// so small that the second part cannot be filled.
    fn split_stratified(&self, fraction: f64, seed: u64) -> Result<[Subset<&Self>; 2]>
    where
        Self: Sized,
    {
        let refused = |why| Err(Error::value("split_stratified", format!("{why}: `split` splits it without classes")));
        if self.sequential() {
            return refused("the samples follow one another, and a random choice would tear them apart");
        }
        let Some(labels) = self.class_labels()? else { return refused("the data set has no class labels") };
        if labels.len() != self.len() {
            return Err(split::unpaired(labels.len(), self.len()));
        }
        let [first, second] = split::stratified(&labels, fraction, seed)?;
        Ok([Subset::new(self, first)?, Subset::new(self, second)?])
    }

    /// The samples at `indices`, in that order, on `device`.
    ///
    /// `upcoming` are the indices that will probably be asked for next: a data set may fetch them from slower memory
    /// meanwhile. The values must depend on `indices` alone.
    ///
    /// # Errors
    /// An index past the end; out of memory, files that cannot be read.
    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch>;

    /// The same samples as training sees them in this pass: augmented, where the data set does such a thing. What is drawn for
    /// a sample must depend on the pass and its index alone. A data set made of another hands this on to it, like the rest.
    ///
    /// # Errors
    /// Those of [`Dataset::batch`].
    fn training_batch(&self, indices: &[usize], upcoming: &[usize], pass: Pass, device: &Device) -> Result<Batch> {
        let _ = pass;
        self.batch(indices, upcoming, device)
    }
}

macro_rules! behind {
    ($($pointer:ty),+) => {$(
        impl<D: Dataset + ?Sized> Dataset for $pointer {
            fn len(&self) -> usize {
                (**self).len()
            }
            fn input_shape(&self) -> &[usize] {
                (**self).input_shape()
            }
            fn length(&self, index: usize) -> Option<usize> {
                (**self).length(index)
            }
            fn fixed_batch_size(&self) -> Option<usize> {
                (**self).fixed_batch_size()
            }
            fn sequential(&self) -> bool {
                (**self).sequential()
            }
            fn class_labels(&self) -> Result<Option<Vec<i64>>> {
                (**self).class_labels()
            }
            fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch> {
                (**self).batch(indices, upcoming, device)
            }
            fn training_batch(&self, indices: &[usize], upcoming: &[usize], pass: Pass, device: &Device) -> Result<Batch> {
                (**self).training_batch(indices, upcoming, pass, device)
            }
        }
    )+};
}
behind!(&D, Box<D>);
