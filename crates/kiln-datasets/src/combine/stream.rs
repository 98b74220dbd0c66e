//! A data set that is read front to back.

use super::collate::{collate, each};
use crate::images::past_the_end;
use crate::{Batch, Dataset, Pass};
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{Device, Error, Result};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Sets the stream of the buffer apart from that of a loader's order, which has the same seed.
const BUFFER: u64 = 0x6275_6666_6572_6564;

/// Samples of which batches further on are asked for first are kept for so many batches: other workers are at those.
const BATCHES_KEPT: usize = 64;

/// Samples that come one after the other, from a file or a connection for example, and are not kept in memory (PyTorch's
/// `IterableDataset`). Each pass opens it anew; a loader takes the samples in order, and [`Stream::shuffle_buffer`] mixes them.
///
/// ```
/// use kiln_datasets::{Batch, Loader, Stream};
/// use kiln_tensor::{Device, Tensor};
/// let cpu = Device::cpu();
/// // A sample a line: "x y".
/// let file = "1 2\n2 4\n3 6\n4 8\n";
/// let lines = Stream::new(4, || {
///     Ok(file.lines().map(|line| {
///         let numbers: Vec<f32> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
///         Ok(Batch::new(
///             Tensor::from_slice(&numbers[..1], [1, 1], &Device::cpu())?,
///             Tensor::from_slice(&numbers[1..], [1, 1], &Device::cpu())?,
///         ))
///     }))
/// })?
/// .shuffle_buffer(3);
/// Loader::new(&lines).batch_size(2).seed(7).workers(2).epoch(1, |batches| {
///     batches.try_for_each(|batch| batch.map(|batch| assert_eq!(batch.inputs.dims(), [2, 1])))
/// })?;
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
///
/// The order depends on the seed and the epoch alone, for any number of workers. Reading itself is one thread's at a time; what takes
/// long goes into a [`Map`](crate::Map) of the stream, which workers share. Samples asked for out of order are read again from the front.
#[derive(Debug)]
pub struct Stream<I, F> {
    open: F,
    samples: usize,
    shape: Vec<usize>,
    buffer: usize,
    reading: Mutex<Option<Reading<I>>>,
}

/// Where a pass over the samples is.
#[derive(Debug)]
struct Reading<I> {
    source: I,
    pass: Option<Pass>,
    /// Number of the next sample to come out.
    next: usize,
    buffer: Vec<Batch>,
    random: RandomStream,
    /// Samples that came out before they were asked for.
    kept: BTreeMap<usize, Batch>,
}

impl<I, F> Stream<I, F>
where
    I: Iterator<Item = Result<Batch>> + Send,
    F: Fn() -> Result<I> + Send + Sync,
{
    /// The first `samples` samples of what `open` opens, each a batch of one; `usize::MAX` of those without an end. The first
    /// one is read at once: it says what shape they have.
    ///
    /// # Errors
    /// What `open` and the first sample give.
    pub fn new(samples: usize, open: F) -> Result<Self> {
        let mut shape = Vec::new();
        if samples > 0 {
            let first = open()?.next().ok_or_else(|| ended(0, samples))??;
            shape = first.inputs.dims().get(1..).unwrap_or_default().to_vec();
        }
        Ok(Stream { open, samples, shape, buffer: 1, reading: Mutex::new(None) })
    }

    /// In training, so many samples are held, and each that comes out is one of them at random (`tf.data`'s `shuffle`). A buffer of all
    /// samples shuffles them well; a smaller one leaves each near its place, so a sorted file stays nearly sorted.
    #[must_use]
    pub fn shuffle_buffer(self, samples: usize) -> Self {
        Stream { buffer: samples.max(1), ..self }
    }

    fn begin(&self, pass: Option<Pass>) -> Result<Reading<I>> {
        let Pass { seed, epoch } = pass.unwrap_or(Pass { seed: 0, epoch: 0 });
        let random = RandomStream::new(seed ^ BUFFER, Purpose::Shuffle, epoch);
        Ok(Reading { source: (self.open)()?, pass, next: 0, buffer: Vec::new(), random, kept: BTreeMap::new() })
    }

    fn read(&self, indices: &[usize], pass: Option<Pass>, device: &Device) -> Result<Batch> {
        if let Some(&index) = indices.iter().find(|&&index| index >= self.samples) {
            return Err(past_the_end("Stream", index, self.samples));
        }
        let pass = pass.filter(|_| self.buffer > 1);
        let mut place = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out, so that an error leaves nothing behind: the next call opens it anew.
        let mut reading = match place.take() {
            Some(reading) if reading.pass == pass => reading,
            _ => self.begin(pass)?,
        };
        let mut samples = Vec::with_capacity(indices.len());
        for &index in indices {
            if index < reading.next && !reading.kept.contains_key(&index) {
                reading = self.begin(pass)?;
            }
            samples.push(self.sample(&mut reading, index, BATCHES_KEPT * indices.len())?);
        }
        *place = Some(reading);
        drop(place);
        each(&collate(&samples)?, |tensor| tensor.to_device(device))
    }

    /// Sample `index`, which is kept or still to come.
    fn sample(&self, reading: &mut Reading<I>, index: usize, most: usize) -> Result<Batch> {
        if let Some(sample) = reading.kept.remove(&index) {
            return Ok(sample);
        }
        loop {
            let (at, sample) = (reading.next, self.next(reading)?);
            reading.next += 1;
            if at == index {
                return Ok(sample);
            }
            reading.kept.insert(at, sample);
            if reading.kept.len() > most {
                reading.kept.pop_first();
            }
        }
    }

    /// The next sample to come out.
    fn next(&self, reading: &mut Reading<I>) -> Result<Batch> {
        let size = if reading.pass.is_some() { self.buffer } else { 1 };
        let left = self.samples - reading.next;
        while reading.buffer.len() < size.min(left) {
            let read = reading.next + reading.buffer.len();
            let sample = reading.source.next().ok_or_else(|| ended(read, self.samples))??;
            if sample.len() != 1 {
                let message = format!("sample {read} is a batch of {}: one sample at a time is expected", sample.len());
                return Err(Error::shape("Stream", message));
            }
            reading.buffer.push(sample);
        }
        let at = reading.random.below(reading.buffer.len() as u32) as usize;
        Ok(reading.buffer.swap_remove(at))
    }
}

#[cold]
fn ended(read: usize, samples: usize) -> Error {
    let expected = if samples == usize::MAX { "no end is".to_owned() } else { format!("{samples} are") };
    Error::value("Stream", format!("the samples ended after {read}, but {expected} expected"))
}

impl<I, F> Dataset for Stream<I, F>
where
    I: Iterator<Item = Result<Batch>> + Send,
    F: Fn() -> Result<I> + Send + Sync,
{
    fn len(&self) -> usize {
        self.samples
    }

    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    /// A split cuts it in two, as a random choice of the samples would read all of it for each part.
    fn sequential(&self) -> bool {
        true
    }

    fn in_order(&self) -> bool {
        true
    }

    fn batch(&self, indices: &[usize], _: &[usize], device: &Device) -> Result<Batch> {
        self.read(indices, None, device)
    }

    fn training_batch(&self, indices: &[usize], _: &[usize], pass: Pass, device: &Device) -> Result<Batch> {
        self.read(indices, Some(pass), device)
    }
}
