//! A function on batches or samples.

use super::collate::{collate, samples};
use crate::{Batch, Dataset, Pass};
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{Device, Error, Result, Tensor};

/// Another data set with a custom function applied to each batch. Workers of a loader run it side by side; what it gives for a sample
/// must depend on that sample alone.
///
/// ```
/// use kiln_datasets::{Batch, Dataset, ImageDataset, Map};
/// use kiln_tensor::Device;
/// let images = ImageDataset::new(vec![0, 51, 102, 255], vec![7], &[2, 2], 10)?;
/// let flat = Map::new(&images, |batch: Batch| {
///     let inputs = batch.inputs.reshape([batch.len(), 4])?;
///     Ok(Batch { inputs: inputs.into(), ..batch })
/// })?;
/// assert_eq!(flat.input_shape(), [4]);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
///
/// The classes that stratified choices go by are those of the other data set.
#[derive(Clone, Debug)]
pub struct Map<D, F> {
    dataset: D,
    function: F,
    shapes: Vec<Vec<usize>>,
    training_only: bool,
}

impl<D: Dataset, F: Fn(Batch) -> Result<Batch> + Send + Sync> Map<D, F> {
    /// The batches of `dataset` as `function` makes them. It is called once with the first sample, which says what shape comes out.
    ///
    /// # Errors
    /// Those of the function and of the data set for that sample.
    pub fn new(dataset: D, function: F) -> Result<Self> {
        let shapes = mapped_shapes(&dataset, &function)?;
        Ok(Map { dataset, function, shapes, training_only: false })
    }

    /// Only where it is trained on, as augmentation is; evaluation sees the samples as they are.
    #[must_use]
    pub fn training_only(self) -> Self {
        Map { shapes: self.dataset.input_shapes(), training_only: true, ..self }
    }

    fn mapped(&self, batch: Batch) -> Result<Batch> {
        let samples = batch.len();
        checked(samples, (self.function)(batch)?)
    }
}

/// Another data set with a custom function applied to each sample, a batch of one, and a stream of random numbers that is the sample's
/// own: it depends on the loader's seed, the epoch and the sample's index. So the values are the same for any number of workers and any
/// batch size. Evaluation draws the same numbers every time.
///
/// ```
/// use kiln_datasets::{Batch, Dataset, Loader, MapSamples, TensorDataset};
/// use kiln_tensor::{DType, Device, Tensor};
/// let zeros = Tensor::zeros([100, 3], DType::F32, &Device::cpu())?;
/// let noisy = MapSamples::new(TensorDataset::new(zeros.clone(), zeros)?, |sample: Batch, random| {
///     let inputs = &*sample.inputs + f64::from(random.normal());
///     Ok(Batch { inputs: inputs.into(), ..sample })
/// })?
/// .training_only();
/// Loader::new(&noisy).shuffle(42).workers(2).epoch(1, |batches| batches.try_for_each(|batch| batch.map(drop)))?;
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MapSamples<D, F> {
    dataset: D,
    function: F,
    shapes: Vec<Vec<usize>>,
    training_only: bool,
}

impl<D: Dataset, F: Fn(Batch, &mut RandomStream) -> Result<Batch> + Send + Sync> MapSamples<D, F> {
    /// The samples of `dataset` as `function` makes them. It is called once with the first one, which says what shape comes out.
    ///
    /// # Errors
    /// Those of the function and of the data set for that sample.
    pub fn new(dataset: D, function: F) -> Result<Self> {
        let shapes = mapped_shapes(&dataset, |sample| function(sample, &mut stream(EVALUATION, 0)))?;
        Ok(MapSamples { dataset, function, shapes, training_only: false })
    }

    /// Only where it is trained on, as augmentation is; evaluation sees the samples as they are.
    #[must_use]
    pub fn training_only(self) -> Self {
        MapSamples { shapes: self.dataset.input_shapes(), training_only: true, ..self }
    }

    fn mapped(&self, batch: &Batch, indices: &[usize], pass: Pass) -> Result<Batch> {
        let mapped = samples(batch)
            .zip(indices)
            .map(|(sample, &index)| checked(1, (self.function)(sample?, &mut stream(pass, index))?));
        collate(&mapped.collect::<Result<Vec<_>>>()?)
    }
}

/// What evaluation draws from.
const EVALUATION: Pass = Pass { seed: 0, epoch: 0 };

/// The random numbers of a sample in a pass.
fn stream(pass: Pass, index: usize) -> RandomStream {
    let of_pass = RandomStream::new(pass.seed, Purpose::Data, pass.epoch).key();
    RandomStream::new(of_pass, Purpose::Data, index as u64)
}

/// The shapes of a sample's inputs as the function makes them.
fn mapped_shapes<D: Dataset>(dataset: &D, function: impl FnOnce(Batch) -> Result<Batch>) -> Result<Vec<Vec<usize>>> {
    let shapes = dataset.input_shapes();
    if dataset.is_empty() {
        return Ok(shapes);
    }
    let first = dataset.batch(&[0], &[], &Device::cpu())?;
    let before: Vec<Vec<usize>> = first.inputs.iter().map(|input| input.dims().to_vec()).collect();
    let after = checked(1, function(first)?)?;
    let shape = |(at, input): (usize, &Tensor)| match shapes.get(at) {
        // Sequences have a shape of their own: the length of the first one is not theirs.
        Some(shape) if before.get(at).is_some_and(|before| before == input.dims()) => shape.clone(),
        _ => input.dims().get(1..).unwrap_or_default().to_vec(),
    };
    Ok(after.inputs.iter().enumerate().map(shape).collect())
}

/// The batch, if it has as many samples as before.
fn checked(samples: usize, batch: Batch) -> Result<Batch> {
    let all = [&batch.inputs, &batch.targets].into_iter().flat_map(|tensors| tensors.iter());
    let wrong = all.map(|tensor| tensor.dims().first().copied().unwrap_or(0)).find(|&rows| rows != samples);
    match wrong {
        None => Ok(batch),
        Some(rows) => {
            Err(Error::shape("Map", format!("the function made {rows} samples of {samples}: as many are needed")))
        }
    }
}

impl<D: Dataset, F: Fn(Batch) -> Result<Batch> + Send + Sync> Dataset for Map<D, F> {
    of_the_other!();

    fn input_shape(&self) -> &[usize] {
        self.shapes.first().map_or(&[], Vec::as_slice)
    }

    fn input_shapes(&self) -> Vec<Vec<usize>> {
        self.shapes.clone()
    }

    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch> {
        let batch = self.dataset.batch(indices, upcoming, device)?;
        if self.training_only { Ok(batch) } else { self.mapped(batch) }
    }

    fn training_batch(&self, indices: &[usize], upcoming: &[usize], pass: Pass, device: &Device) -> Result<Batch> {
        self.mapped(self.dataset.training_batch(indices, upcoming, pass, device)?)
    }
}

impl<D: Dataset, F: Fn(Batch, &mut RandomStream) -> Result<Batch> + Send + Sync> Dataset for MapSamples<D, F> {
    of_the_other!();

    fn input_shape(&self) -> &[usize] {
        self.shapes.first().map_or(&[], Vec::as_slice)
    }

    fn input_shapes(&self) -> Vec<Vec<usize>> {
        self.shapes.clone()
    }

    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch> {
        let batch = self.dataset.batch(indices, upcoming, device)?;
        if self.training_only { Ok(batch) } else { self.mapped(&batch, indices, EVALUATION) }
    }

    fn training_batch(&self, indices: &[usize], upcoming: &[usize], pass: Pass, device: &Device) -> Result<Batch> {
        let batch = self.dataset.training_batch(indices, upcoming, pass, device)?;
        self.mapped(&batch, indices, pass)
    }
}
