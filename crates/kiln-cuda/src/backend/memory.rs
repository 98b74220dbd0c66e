//! Buffers.

use super::Gpu;
use crate::machine::Machine;
use kiln_tensor::{Buffer, Result};

/// Sizes are multiples of this.
const GRAIN: usize = 256;

impl<M: Machine> Gpu<M> {
    pub(super) fn alloc_memory(&self, bytes: usize) -> Result<Buffer> {
        self.sound()?;
        // A size that overflows is refused by the machine.
        let bytes = bytes.max(1).checked_next_multiple_of(GRAIN).unwrap_or(usize::MAX);
        let mut address = 0;
        self.waited(self.machine.alloc(bytes).map(|at| address = at))?;
        let memory = &mut self.state().memory;
        memory.live += bytes;
        memory.peak = memory.peak.max(memory.live);
        Ok(Buffer { address: address as usize, bytes })
    }

    pub(super) fn free_memory(&self, buffer: Buffer) {
        self.machine.free(buffer.address as u64, buffer.bytes);
        self.state().memory.live -= buffer.bytes;
    }
}
