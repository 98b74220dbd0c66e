//! What a data set is.

use crate::{Batch, Pass, Subset, split};
use kiln_tensor::{Device, Error, Result};
use std::sync::Arc;

/// A set of samples, read by index in batches.
///
/// A custom data set says how many samples it has, of what shape, and makes a batch of any of them:
///
/// ```
/// use kiln_datasets::{Batch, Dataset, Loader};
/// use kiln_tensor::{Device, Result, Tensor};
///
/// /// Points of a noiseless line, computed when they are asked for.
/// struct Line {
///     points: usize,
/// }
///
/// impl Dataset for Line {
///     fn len(&self) -> usize {
///         self.points
///     }
///     fn input_shape(&self) -> &[usize] {
///         &[1]
///     }
///     fn batch(&self, indices: &[usize], _upcoming: &[usize], device: &Device) -> Result<Batch> {
///         let x: Vec<f32> = indices.iter().map(|&index| index as f32).collect();
///         let y: Vec<f32> = x.iter().map(|x| 2.0 * x + 1.0).collect();
///         let shape = [indices.len(), 1];
///         Ok(Batch::new(Tensor::from_vec(x, shape, device)?, Tensor::from_vec(y, shape, device)?))
///     }
/// }
///
/// // All else works on it: splits, folds, `Concat`, `Map`, `Weighted`, loaders and `fit`.
/// let [train, test] = Line { points: 100 }.split(0.2, 42).map(|parts| parts.map(|part| part.len()))?;
/// assert_eq!((train, test), (80, 20));
/// let line = Line { points: 100 };
/// Loader::new(&line).batch_size(10).shuffle(1).workers(2).epoch(0, |batches| {
///     batches.try_for_each(|batch| batch.map(|batch| assert_eq!(batch.targets.dims(), [10, 1])))
/// })?;
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
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

    /// Sizes of one sample's axes for each of the model's inputs, in order. By default there is one input.
    fn input_shapes(&self) -> Vec<Vec<usize>> {
        vec![self.input_shape().to_vec()]
    }

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

    /// Whether samples are read front to back, as a [`Stream`](crate::Stream) is: a loader then leaves the order as it is.
    fn in_order(&self) -> bool {
        false
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
        let labels = labels_to_stratify(self, "split_stratified", "split")?;
        let [first, second] = split::stratified(&labels, fraction, seed)?;
        Ok([Subset::new(self, first)?, Subset::new(self, second)?])
    }

    /// As [`Dataset::split`], with each group in one part whole: `groups` says for each sample whose it is, a patient or a speaker for
    /// example. The second part has round(g · fraction) of the g groups. As scikit-learn's `GroupShuffleSplit`.
    ///
    /// ```
    /// use kiln_datasets::{Dataset, ImageDataset};
    /// let images = ImageDataset::new(vec![0; 24], vec![0, 1, 0, 1, 0, 1], &[2, 2], 2)?;
    /// let [train, test] = images.split_grouped(&["Ann", "Ann", "Bo", "Bo", "Cy", "Cy"], 1.0 / 3.0, 42)?;
    /// assert_eq!((train.len(), test.len()), (4, 2)); // the two of one person
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// A fraction that is not above 0 and below 1, or that leaves one of the parts without a group; other than one group a sample;
    /// a data set whose rows continue from batch to batch.
    fn split_grouped<G: Ord>(&self, groups: &[G], fraction: f64, seed: u64) -> Result<[Subset<&Self>; 2]>
    where
        Self: Sized,
    {
        refuse_streams(self, "split_grouped")?;
        let [first, second] = split::grouped(self.len(), groups, fraction, seed)?;
        Ok([Subset::new(self, first)?, Subset::new(self, second)?])
    }

    /// Cross-validation: for each of `folds` disjoint folds, chosen at random, the samples of all others to train on and its own to
    /// validate with. Of n samples a fold has n / folds, the first n mod folds of them one more. As scikit-learn's `KFold` with
    /// `shuffle=True`.
    ///
    /// Of [sequential](Dataset::sequential) data a fold is samples that follow one another, whatever the seed.
    ///
    /// ```
    /// use kiln_datasets::{Dataset, ImageDataset};
    /// let images = ImageDataset::new(vec![0; 40], vec![0, 0, 0, 0, 0, 1, 1, 1, 1, 1], &[2, 2], 2)?;
    /// for [train, validation] in images.k_fold(5, 42)? {
    ///     assert_eq!((train.len(), validation.len()), (8, 2));
    /// }
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fewer than 2 folds, fewer samples than folds, a data set whose rows continue from batch to batch.
    fn k_fold(&self, folds: usize, seed: u64) -> Result<Vec<[Subset<&Self>; 2]>>
    where
        Self: Sized,
    {
        refuse_streams(self, "k_fold")?;
        subsets(self, split::folds::plain(self.len(), folds, (!self.sequential()).then_some(seed))?)
    }

    /// As [`Dataset::k_fold`], with each class in every fold in proportion. As scikit-learn's `StratifiedKFold` with `shuffle=True`.
    ///
    /// # Errors
    /// Those of `k_fold`; [sequential](Dataset::sequential) data, data without [class labels](Dataset::class_labels), a class of
    /// fewer samples than folds (of which scikit-learn warns).
    fn k_fold_stratified(&self, folds: usize, seed: u64) -> Result<Vec<[Subset<&Self>; 2]>>
    where
        Self: Sized,
    {
        let labels = labels_to_stratify(self, "k_fold_stratified", "k_fold")?;
        subsets(self, split::folds::stratified(&labels, folds, seed)?)
    }

    /// As [`Dataset::k_fold`], with each group in one fold whole: the largest groups first, each goes to the fold with the fewest
    /// samples so far. As scikit-learn's `GroupKFold`.
    ///
    /// # Errors
    /// Those of `k_fold`; fewer groups than folds, other than one group a sample.
    fn k_fold_grouped<G: Ord>(&self, groups: &[G], folds: usize, seed: u64) -> Result<Vec<[Subset<&Self>; 2]>>
    where
        Self: Sized,
    {
        refuse_streams(self, "k_fold_grouped")?;
        subsets(self, split::folds::grouped(self.len(), groups, folds, seed)?)
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

/// The class labels that a stratified choice goes by; `plain` is the method that does without.
fn labels_to_stratify<D: Dataset>(data: &D, operation: &'static str, plain: &str) -> Result<Vec<i64>> {
    let refused = |why| Err(Error::value(operation, format!("{why}: `{plain}` splits it without classes")));
    if data.sequential() {
        return refused("the samples follow one another, and a random choice would tear them apart");
    }
    let Some(labels) = data.class_labels()? else { return refused("the data set has no class labels") };
    if labels.len() != data.len() {
        return Err(split::unpaired("class_labels", "class labels", labels.len(), data.len()));
    }
    Ok(labels)
}

/// Rows that continue from batch to batch would be torn apart.
fn refuse_streams<D: Dataset>(data: &D, operation: &'static str) -> Result<()> {
    match data.fixed_batch_size() {
        None => Ok(()),
        Some(_) => Err(Error::value(
            operation,
            "the rows of this data set continue from batch to batch and would be torn apart: `split` cuts it in two",
        )),
    }
}

fn subsets<D: Dataset>(data: &D, folds: Vec<split::Parts>) -> Result<Vec<[Subset<&D>; 2]>> {
    folds.into_iter().map(|[others, own]| Ok([Subset::new(data, others)?, Subset::new(data, own)?])).collect()
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
            fn input_shapes(&self) -> Vec<Vec<usize>> {
                (**self).input_shapes()
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
            fn in_order(&self) -> bool {
                (**self).in_order()
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
behind!(&D, Box<D>, Arc<D>);
