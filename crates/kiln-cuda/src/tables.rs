//! Tables that kernels read from device memory, such as the addresses of a step's tensors.
//!
//! A step has mostly the addresses of the step before: so tables are kept, and one whose bytes have not changed is not copied again.
//! One that has changed is written where it was, in the order of the stream, so that nothing waits.

use crate::gpu::Gpu;
use crate::machine::Machine;
use kiln_tensor::Result;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tables that are kept: those of a few models and their running averages.
const MOST: usize = 16;

/// Sizes of tables are multiples of this.
const GRAIN: usize = 1024;

/// What a table is of: two steps with the same key have the same tensors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    /// The kernel.
    pub(crate) kernel: &'static str,
    /// The address of the first tensor.
    pub(crate) first: usize,
    /// The number of tensors.
    pub(crate) entries: usize,
}

struct Kept {
    key: Key,
    address: u64,
    /// Bytes of memory.
    room: usize,
    /// What lies there.
    bytes: Vec<u8>,
}

/// The tables of a GPU, that which was used last at the end.
#[derive(Default)]
pub(crate) struct Tables(Mutex<Vec<Kept>>);

impl Tables {
    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        // Nothing is left half done where the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of device memory.
    pub(crate) fn memory(&self) -> usize {
        self.kept().iter().map(|table| table.room).sum()
    }

    /// Gives their memory back, once the work queued so far has been done.
    pub(crate) fn clear(&self, machine: &impl Machine) {
        self.kept().drain(..).for_each(|table| machine.free(table.address, table.room));
    }
}

impl<M: Machine> Gpu<M> {
    /// Calls `launch` with the address of these bytes in device memory. They stay there until the launches that it makes are done;
    /// what is queued later may write something else there.
    pub(crate) fn with_table(&self, key: Key, bytes: Vec<u8>, launch: impl FnOnce(u64) -> Result<()>) -> Result<()> {
        // Held until the launch is queued: another thread may push the table out.
        let mut kept = self.tables().kept();
        let found = kept.iter().position(|table| table.key == key && table.room >= bytes.len());
        let mut table = match found {
            Some(at) => kept.remove(at),
            None => {
                if kept.len() >= MOST {
                    let oldest = kept.remove(0);
                    self.machine().free(oldest.address, oldest.room);
                }
                self.new_table(key, bytes.len())?
            }
        };
        let uploaded = if table.bytes == bytes {
            Ok(())
        } else {
            table.bytes.clear();
            self.waited(self.machine().upload(table.address, &bytes))
        };
        let address = table.address;
        if uploaded.is_ok() {
            table.bytes = bytes;
        }
        kept.push(table);
        uploaded?;
        launch(address)
    }

    /// Memory for a table of so many bytes, in which nothing lies.
    fn new_table(&self, key: Key, bytes: usize) -> Result<Kept> {
        let room = bytes.max(1).next_multiple_of(GRAIN);
        let mut address = 0;
        self.waited(self.machine().alloc(room).map(|at| address = at))?;
        Ok(Kept { key, address, room, bytes: Vec::new() })
    }
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::*;
    use crate::sim::Simulated;

    fn key(first: usize) -> Key {
        Key { kernel: "k", first, entries: 3 }
    }

    #[test]
    fn a_table_stays_where_it_is_and_is_written_where_it_changes() {
        let simulated = Simulated::new();
        let gpu = simulated.gpu();
        let at = |key: Key, bytes: &[u8]| {
            let (mut address, mut found) = (0, vec![0; bytes.len()]);
            gpu.with_table(key, bytes.to_vec(), |at| {
                address = at;
                gpu.waited(gpu.machine().download(&mut found, at))
            })
            .unwrap();
            assert_eq!(found, bytes);
            address
        };
        let first = at(key(1), &[1, 2, 3]);
        assert_ne!(at(key(2), &[4, 5]), first);
        assert_eq!(at(key(1), &[1, 2, 4]), first);
        assert_eq!(at(key(1), &[1, 2, 4]), first);
        // A table that has not changed is not written: what is there stays.
        gpu.waited(gpu.machine().upload(first, &[9])).unwrap();
        gpu.with_table(key(1), vec![1, 2, 4], |at| {
            let mut found = [0; 3];
            gpu.waited(gpu.machine().download(&mut found, at))?;
            assert_eq!(found, [9, 2, 4]);
            Ok(())
        })
        .unwrap();
        // Of many, the last ones are kept; their memory counts as that which can be given back.
        for first in 3..40 {
            at(key(first), &[7]);
        }
        assert_eq!(gpu.memory_stats().cached, MOST * GRAIN);
        assert_eq!(gpu.memory_stats().live, 0);
        gpu.tables().clear(gpu.machine());
        assert_eq!(gpu.memory_stats().cached, 0);
    }
}
