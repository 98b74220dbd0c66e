//! A head's keys and values in panels.

use super::blocks::{Source, pack_columns, pack_rows};
use super::forward::KEYS;
use super::scratch::{Head, Local};
use crate::Isa;
use crate::gemm::Packed;
use crate::operand::Stored;
use std::ops::Range;

/// A head's keys and values in panels, block after block.
pub(super) struct Keys {
    isa: Isa,
    count: usize,
    pub(super) width: usize,
    pub(super) value_width: usize,
    keys: *mut f32,
    values: *mut f32,
}

// SAFETY: addresses; each block is written by one task, and read after all are.
unsafe impl Sync for Keys {}

impl Keys {
    pub(super) fn new(isa: Isa, count: usize, (width, value_width): (usize, usize), head: &mut Head) -> Self {
        let keys = head.keys.room(Packed::<f32>::elements(isa, width, count));
        let values = head.values.room(Packed::<f32>::elements(isa, count, value_width));
        Keys { isa, count, width, value_width, keys, values }
    }

    /// The keys of block `n`, the panels of them, and of their values.
    pub(super) fn block(&self, n: usize) -> (Range<usize>, Packed<'_, f32>, Packed<'_, f32>) {
        let keys = n * KEYS..self.count.min((n + 1) * KEYS);
        let [across, down] = self.room(n);
        let values = Packed::at(self.isa, down, keys.len(), self.value_width);
        (keys.clone(), Packed::at(self.isa, across, self.width, keys.len()), values)
    }

    fn room(&self, n: usize) -> [*mut f32; 2] {
        let row = Packed::<f32>::elements(self.isa, 1, self.value_width);
        [self.keys.wrapping_add(n * KEYS * self.width), self.values.wrapping_add(n * KEYS * row)]
    }

    /// Packs block `n`.
    ///
    /// # Safety
    /// Keys and values can be read; nobody else packs or reads the block.
    pub(super) unsafe fn pack<T: Stored<Compute = f32>>(
        &self,
        n: usize,
        [keys, values]: &[Source<'_, T>; 2],
        local: &mut Local,
    ) {
        let rows = n * KEYS..self.count.min((n + 1) * KEYS);
        let [across, down] = self.room(n);
        // SAFETY: the caller's promise.
        unsafe {
            pack_columns(self.isa, keys.load(self.isa, &rows, &mut local.key_rows), (rows.len(), self.width), across);
            pack_rows(
                self.isa,
                values.load(self.isa, &rows, &mut local.value_rows),
                (rows.len(), self.value_width),
                down,
            );
        }
    }
}
