//! Decoded images that are kept in memory, up to a limit.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
pub(super) struct Cache {
    kept: Vec<OnceLock<Box<[u8]>>>,
    used: AtomicUsize,
    limit: usize,
}

impl Cache {
    /// Of so many images, nothing yet.
    pub(super) fn new(images: usize, limit: usize) -> Self {
        Cache { kept: (0..images).map(|_| OnceLock::new()).collect(), used: AtomicUsize::new(0), limit }
    }

    pub(super) fn get(&self, index: usize) -> Option<&[u8]> {
        self.kept[index].get().map(|bytes| &**bytes)
    }

    /// Keeps an image if it still fits. Where two threads decode the same, the first is kept; they are equal.
    pub(super) fn keep(&self, index: usize, bytes: Vec<u8>) -> Cow<'_, [u8]> {
        let size = bytes.len();
        let fits = |used: usize| used.checked_add(size).filter(|&used| used <= self.limit);
        if self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            return Cow::Owned(bytes);
        }
        let mut added = false;
        let kept = self.kept[index].get_or_init(|| {
            added = true;
            bytes.into_boxed_slice()
        });
        if !added {
            self.used.fetch_sub(size, Ordering::Relaxed);
        }
        Cow::Borrowed(kept)
    }

    /// Bytes that are kept.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Of these images only.
    pub(super) fn select(&self, images: &[usize]) -> Self {
        let kept: Vec<_> = images.iter().map(|&image| self.kept[image].clone()).collect();
        let used = kept.iter().filter_map(OnceLock::get).map(|bytes| bytes.len()).sum();
        Cache { kept, used: AtomicUsize::new(used), limit: self.limit }
    }
}
