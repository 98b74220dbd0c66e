//! Batches of an epoch: shuffled by a counter-based stream, gathered ahead by worker threads where that is wanted.

mod order;

use crate::{Batch, Dataset};
use kiln_cpu::team;
use kiln_tensor::{Device, Error, ErrorKind, Result};
use order::Order;
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
    /// Batches in an epoch; else an epoch is a pass.
    steps: Option<usize>,
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
            steps: None,
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

    /// Cuts passes over the data into epochs of this many batches, instead of one epoch a pass: for data that is large or has no
    /// end. An epoch goes on where the one before ended, counted from epoch 1 on; where the data ends, its next pass begins.
    #[must_use]
    pub fn steps_per_epoch(self, batches: usize) -> Self {
        Loader { steps: Some(batches), ..self }
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
        self.steps.unwrap_or_else(|| self.batches_in_pass())
    }

    /// Whether a batch of an epoch, counted from 0, is the first of a pass over the data.
    pub fn begins_pass(&self, epoch: u64, batch: usize) -> bool {
        self.place(epoch, batch).1 == 0
    }

    /// The batches of an epoch. `f` is given an iterator over them; the workers end with it.
    ///
    /// # Errors
    /// A batch size of 0, an empty data set, or what `f` returns. A panic of the data set on a worker thread is an error of its
    /// batch.
    pub fn epoch<R>(&self, epoch: u64, f: impl FnOnce(&mut Epoch<'_>) -> Result<R>) -> Result<R> {
        self.epoch_from(epoch, 0, f)
    }

    /// As [`Loader::epoch`], from the batch `first` on, counted from 0: the rest of an epoch that was left. Batches depend on
    /// the seed, the epoch and their number alone, so these two numbers are the loader's whole position.
    ///
    /// # Errors
    /// As [`Loader::epoch`].
    pub fn epoch_from<R>(&self, epoch: u64, first: usize, f: impl FnOnce(&mut Epoch<'_>) -> Result<R>) -> Result<R> {
        let (size, samples) = (self.size(), self.dataset.len());
        if size == 0 || samples == 0 {
            return Err(Error::value(
                "Loader",
                format!("{samples} samples in batches of {size}: both must be at least 1"),
            ));
        }
        if self.steps.is_some() && self.batches_in_pass() == 0 {
            let message = format!("drop_last leaves no batch: {samples} samples do not fill one of {size}");
            return Err(Error::value("Loader", message));
        }
        let order = Order::new(self, epoch);
        let count = self.batches();
        // A thread's next batch is `step` further on.
        let gather = |batch: usize, step: usize| {
            let (samples, upcoming) = (order.samples(batch), order.samples(batch.saturating_add(step)));
            match self.plain {
                true => self.dataset.batch(&samples, &upcoming, &self.device),
                false => self.dataset.training_batch(&samples, &upcoming, order.pass(batch), &self.device),
            }
        };
        let left = count.saturating_sub(first);
        if self.workers == 0 {
            let mut next = first;
            let mut take = || {
                next += 1;
                gather(next - 1, 1)
            };
            return f(&mut Epoch { count: left, taken: 0, next: &mut take });
        }
        self.with_workers(first, count, &gather, f)
    }

    /// Runs `f` with threads that gather the batches from `first` to `count`.
    fn with_workers<R>(
        &self,
        first: usize,
        count: usize,
        gather: &(dyn Fn(usize, usize) -> Result<Batch> + Sync),
        f: impl FnOnce(&mut Epoch<'_>) -> Result<R>,
    ) -> Result<R> {
        let left = count.saturating_sub(first);
        let workers = self.workers.min(left);
        std::thread::scope(|scope| {
            // Batch b is worker b mod n's: the queues are read in turn, so the order needs no sorting, and a slow worker
            // holds the others up after AHEAD batches instead of letting them pile up.
            let mut queues = Vec::with_capacity(workers);
            for number in 0..workers {
                let (sender, receiver) = sync_channel(AHEAD);
                let work = move || {
                    for batch in (first + number..count).step_by(workers) {
                        // Nobody listens any more once the epoch has been left.
                        let gathered = catch_unwind(AssertUnwindSafe(|| team::serial(|| gather(batch, workers))));
                        let ended = gathered.is_err();
                        let batch = gathered.unwrap_or_else(|payload| Err(panicked(number, &*payload)));
                        if sender.send(batch).is_err() || ended {
                            return;
                        }
                    }
                };
                let spawned = std::thread::Builder::new().name(format!("loader {number}")).spawn_scoped(scope, work);
                spawned.map_err(|e| {
                    Error::new(ErrorKind::Io, "Loader", format!("worker thread {number} of {workers}: {e}"))
                        .with_source(e)
                })?;
                queues.push(receiver);
            }
            let mut queues = queues.iter().cycle();
            let mut take = || match queues.next().map(Receiver::recv) {
                Some(Ok(batch)) => batch,
                _ => Err(Error::new(ErrorKind::Fault, "Loader", "a worker thread ended before its batch was ready")),
            };
            f(&mut Epoch { count: left, taken: 0, next: &mut take })
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
