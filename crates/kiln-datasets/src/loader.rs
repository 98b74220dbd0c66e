//! Batches of an epoch: shuffled by a counter-based stream, gathered ahead by worker threads where that is wanted.

use crate::{Batch, Dataset, Pass};
use kiln_cpu::team;
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{Device, Error, ErrorKind, Result};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, sync_channel};

/// Batches that wait in each worker's queue, beside the one it is at.
const AHEAD: usize = 2;

/// Hands out the batches of epochs of a data set.
///
/// The order of an epoch depends on the seed and the epoch's number alone, and so does what augmentation does to a sample;
/// batches come in that order with the same values for any number of workers.
#[derive(Clone, Debug)]
pub struct Loader<D> {
    dataset: D,
    device: Device,
    batch_size: usize,
    shuffle: bool,
    seed: u64,
    plain: bool,
    drop_last: bool,
    bucket: usize,
    workers: usize,
}

impl<D: Dataset> Loader<D> {
    /// Batches of 32 in the data set's order, on the CPU, gathered on the caller's thread.
    pub fn new(dataset: D) -> Self {
        Loader {
            dataset,
            device: Device::cpu(),
            batch_size: 32,
            shuffle: false,
            seed: 0,
            plain: false,
            drop_last: false,
            bucket: 0,
            workers: 0,
        }
    }

    /// Samples in a batch; the last batch of an epoch may be smaller.
    #[must_use]
    pub fn batch_size(self, batch_size: usize) -> Self {
        Loader { batch_size, ..self }
    }

    /// In random order, each epoch another, fixed by the seed; which is that of augmentation too.
    #[must_use]
    pub fn shuffle(self, seed: u64) -> Self {
        Loader { shuffle: true, seed, ..self }
    }

    /// Fixes what augmentation draws, where the order is that of the data set.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Loader { seed, ..self }
    }

    /// Samples as they are, without augmentation: to evaluate on.
    #[must_use]
    pub fn plain(self) -> Self {
        Loader { plain: true, ..self }
    }

    /// Whether a last batch that is not full is left out.
    #[must_use]
    pub fn drop_last(self, drop_last: bool) -> Self {
        Loader { drop_last, ..self }
    }

    /// Puts samples of like [lengths](Dataset::length) together: so many batches' worth of samples, as they come in the
    /// epoch's order, are sorted by length and cut into batches, which then come in random order. 0, the default, does not.
    /// With [`Loader::shuffle`] each epoch's batches differ; 50 or 100 batches together leave little to be filled up.
    #[must_use]
    pub fn bucket_by_length(self, batches: usize) -> Self {
        Loader { bucket: batches, ..self }
    }

    /// Threads that gather batches ahead. 0 gathers on the caller's thread, which is fastest for data in memory: the gather
    /// is then itself a parallel region of the training loop. Workers pay for augmentation and files.
    #[must_use]
    pub fn workers(self, workers: usize) -> Self {
        Loader { workers, ..self }
    }

    /// Where batches are put.
    #[must_use]
    pub fn device(self, device: &Device) -> Self {
        Loader { device: device.clone(), ..self }
    }

    /// The data set.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    /// The batch size; a data set of sequences that continue from batch to batch sets it ([`Dataset::fixed_batch_size`]).
    fn size(&self) -> usize {
        self.dataset.fixed_batch_size().unwrap_or(self.batch_size)
    }

    /// Number of batches in an epoch.
    pub fn batches(&self) -> usize {
        let size = self.size().max(1);
        if self.drop_last { self.dataset.len() / size } else { self.dataset.len().div_ceil(size) }
    }

    /// Samples of like lengths beside one another, where that is wanted.
    fn bucketed(&self, order: &mut Vec<usize>, epoch: u64) {
        let bucket = self.bucket.saturating_mul(self.batch_size);
        if bucket == 0 {
            return;
        }
        for samples in order.chunks_mut(bucket) {
            samples.sort_by_key(|&sample| self.dataset.length(sample)); // stable: equal lengths stay in the epoch's order
        }
        if !self.shuffle {
            return;
        }
        // Whole batches change places; one that is not full stays the last.
        let full = order.len() / self.batch_size;
        let mut places: Vec<usize> = (0..full).collect();
        // A stream of its own, beside that of the samples' order.
        RandomStream::new(self.seed, Purpose::Shuffle, !epoch).shuffle(&mut places);
        let batch = |at: usize| &order[at * self.batch_size..(at + 1) * self.batch_size];
        let mut shuffled: Vec<usize> = places.into_iter().flat_map(batch).copied().collect();
        shuffled.extend_from_slice(&order[full * self.batch_size..]);
        *order = shuffled;
    }

    /// The batches of an epoch. `f` is given an iterator over them; the workers end with it.
    ///
    /// # Errors
    /// A batch size of 0, an empty data set, or what `f` returns. A panic of the data set on a worker thread is an error of its
    /// batch.
    pub fn epoch<R>(&self, epoch: u64, f: impl FnOnce(&mut Epoch<'_>) -> Result<R>) -> Result<R> {
        let size = self.size();
        if size == 0 || self.dataset.is_empty() {
            return Err(Error::value(
                "Loader",
                format!("{} samples in batches of {size}: both must be at least 1", self.dataset.len()),
            ));
        }
        let mut order: Vec<usize> = (0..self.dataset.len()).collect();
        let ordered = self.dataset.fixed_batch_size().is_some();
        if self.shuffle && !ordered {
            RandomStream::new(self.seed, Purpose::Shuffle, epoch).shuffle(&mut order);
        }
        let pass = Pass { seed: self.seed, epoch };
        if !ordered {
            self.bucketed(&mut order, epoch);
        }
        let count = self.batches();
        let indices = |batch: usize| {
            let start = (batch * size).min(order.len());
            &order[start..(start + size).min(order.len())]
        };
        // A thread's next batch is `step` further on.
        let gather = |batch: usize, step: usize| {
            let upcoming = if batch + step < count { indices(batch + step) } else { &[] };
            match self.plain {
                true => self.dataset.batch(indices(batch), upcoming, &self.device),
                false => self.dataset.training_batch(indices(batch), upcoming, pass, &self.device),
            }
        };
        let workers = self.workers.min(count);
        if workers == 0 {
            let mut next = 0;
            let mut take = || {
                next += 1;
                gather(next - 1, 1)
            };
            return f(&mut Epoch { count, taken: 0, next: &mut take });
        }
        std::thread::scope(|scope| {
            // Batch b is worker b mod n's: the queues are read in turn, so the order needs no sorting, and a slow worker
            // holds the others up after AHEAD batches instead of letting them pile up.
            let mut queues = Vec::with_capacity(workers);
            for first in 0..workers {
                let (sender, receiver) = sync_channel(AHEAD);
                let gather = &gather;
                let work = move || {
                    for batch in (first..count).step_by(workers) {
                        // Nobody listens any more once the epoch has been left.
                        let gathered = catch_unwind(AssertUnwindSafe(|| team::serial(|| gather(batch, workers))));
                        let ended = gathered.is_err();
                        let batch = gathered.unwrap_or_else(|payload| Err(panicked(first, &*payload)));
                        if sender.send(batch).is_err() || ended {
                            return;
                        }
                    }
                };
                let spawned = std::thread::Builder::new().name(format!("loader {first}")).spawn_scoped(scope, work);
                spawned.map_err(|e| {
                    Error::new(ErrorKind::Io, "Loader", format!("worker thread {first} of {workers}: {e}"))
                        .with_source(e)
                })?;
                queues.push(receiver);
            }
            let mut queues = queues.iter().cycle();
            let mut take = || match queues.next().map(Receiver::recv) {
                Some(Ok(batch)) => batch,
                _ => Err(Error::new(ErrorKind::Fault, "Loader", "a worker thread ended before its batch was ready")),
            };
            f(&mut Epoch { count, taken: 0, next: &mut take })
        })
    }
}

/// The error of a worker whose data set panicked, in its words.
fn panicked(worker: usize, payload: &(dyn Any + Send)) -> Error {
    let words = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    let words = words.unwrap_or("without a message");
    Error::new(ErrorKind::Fault, "Loader", format!("the data set panicked on worker thread {worker}: {words}"))
}

/// The batches of an epoch, in order.
pub struct Epoch<'a> {
    count: usize,
    taken: usize,
    next: &'a mut dyn FnMut() -> Result<Batch>,
}

impl Iterator for Epoch<'_> {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        (self.taken < self.count).then(|| {
            self.taken += 1;
            (self.next)()
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count - self.taken, Some(self.count - self.taken))
    }
}

impl ExactSizeIterator for Epoch<'_> {}
