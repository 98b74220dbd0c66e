//! Which samples the batches of an epoch have.

use super::Loader;
use crate::{Dataset, Pass};
use kiln_math::{Purpose, RandomStream};
use std::borrow::Cow;
use std::sync::OnceLock;

/// The batches of one epoch: a piece of one pass over the data, or of several.
pub(super) struct Order<'l, D> {
    loader: &'l Loader<D>,
    epoch: u64,
    /// The samples of each pass in their order, made when the first batch of it is asked for.
    passes: Vec<OnceLock<Vec<usize>>>,
}

impl<'l, D: Dataset> Order<'l, D> {
    pub(super) fn new(loader: &'l Loader<D>, epoch: u64) -> Self {
        let last = loader.batches().saturating_sub(1);
        let passes = loader.place(epoch, last).0 - loader.place(epoch, 0).0 + 1;
        Order { loader, epoch, passes: (0..passes).map(|_| OnceLock::new()).collect() }
    }

    /// The pass that a batch of the epoch belongs to.
    pub(super) fn pass(&self, batch: usize) -> Pass {
        Pass { seed: self.loader.seed, epoch: self.loader.place(self.epoch, batch).0 }
    }

    /// The samples of a batch; none past the epoch's end.
    pub(super) fn samples(&self, batch: usize) -> Cow<'_, [usize]> {
        if batch >= self.loader.batches() {
            return Cow::Borrowed(&[]);
        }
        let (pass, at) = self.loader.place(self.epoch, batch);
        let size = self.loader.size();
        let (start, samples) = (at * size, self.loader.dataset.len());
        if self.loader.endless() {
            return Cow::Owned((start..start + size).collect());
        }
        let first = self.loader.place(self.epoch, 0).0;
        let order = self.passes.get((pass - first) as usize).map(|order| order.get_or_init(|| self.loader.order(pass)));
        Cow::Borrowed(order.map_or(&[], |order| &order[start.min(samples)..(start + size).min(samples)]))
    }
}

impl<D: Dataset> Loader<D> {
    /// Whether the data has no end.
    pub(super) fn endless(&self) -> bool {
        self.dataset.len() == usize::MAX
    }

    /// Number of batches in a pass over the data.
    pub(super) fn batches_in_pass(&self) -> usize {
        let (size, samples) = (self.size().max(1), self.dataset.len());
        if self.drop_last || self.endless() { samples / size } else { samples.div_ceil(size) }
    }

    /// The pass that a batch of an epoch belongs to, and which batch of that pass it is.
    pub(super) fn place(&self, epoch: u64, batch: usize) -> (u64, usize) {
        let Some(steps) = self.steps else { return (epoch, batch) };
        let before = epoch.saturating_sub(1).saturating_mul(steps as u64);
        let (batch, pass) = (before.saturating_add(batch as u64), self.batches_in_pass().max(1) as u64);
        (batch / pass + 1, (batch % pass) as usize)
    }

    /// The samples of a pass in their order.
    fn order(&self, pass: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.dataset.len()).collect();
        if self.dataset.fixed_batch_size().is_some() || self.dataset.in_order() {
            return order;
        }
        if self.shuffle {
            RandomStream::new(self.seed, Purpose::Shuffle, pass).shuffle(&mut order);
        }
        self.bucketed(&mut order, pass);
        order
    }

    /// Samples of like lengths beside one another, where that is wanted.
    fn bucketed(&self, order: &mut Vec<usize>, pass: u64) {
        let bucket = self.bucket.saturating_mul(self.batch_size);
        if bucket == 0 {
            return;
        }
        for samples in order.chunks_mut(bucket) {
            samples.sort_by_key(|&sample| self.dataset.length(sample)); // stable: equal lengths stay in the pass's order
        }
        if !self.shuffle {
            return;
        }
        // Whole batches change places; one that is not full stays the last.
        let full = order.len() / self.batch_size;
        let mut places: Vec<usize> = (0..full).collect();
        // A stream of its own, beside that of the samples' order.
        RandomStream::new(self.seed, Purpose::Shuffle, !pass).shuffle(&mut places);
        let batch = |at: usize| &order[at * self.batch_size..(at + 1) * self.batch_size];
        let mut shuffled: Vec<usize> = places.into_iter().flat_map(batch).copied().collect();
        shuffled.extend_from_slice(&order[full * self.batch_size..]);
        *order = shuffled;
    }
}
