//! Blocks of rows that are decoded already.

use arrow_array::{Array, RecordBatch};
use std::collections::HashMap;

/// Bytes of decoded blocks that are kept.
const LIMIT: usize = 256 << 20;

/// The blocks that were used last, as many as fit into the limit.
#[derive(Debug, Default)]
pub(super) struct Cache {
    blocks: HashMap<usize, Kept>,
    bytes: usize,
    uses: u64,
}

#[derive(Debug)]
struct Kept {
    block: RecordBatch,
    bytes: usize,
    used: u64,
}

impl Cache {
    pub(super) fn get(&mut self, number: usize) -> Option<RecordBatch> {
        self.uses += 1;
        let kept = self.blocks.get_mut(&number)?;
        kept.used = self.uses;
        Some(kept.block.clone())
    }

    pub(super) fn insert(&mut self, number: usize, block: RecordBatch) {
        let bytes = bytes(&block);
        if bytes > LIMIT {
            return;
        }
        self.uses += 1;
        self.bytes += bytes;
        if let Some(before) = self.blocks.insert(number, Kept { block, bytes, used: self.uses }) {
            self.bytes -= before.bytes;
        }
        while self.bytes > LIMIT {
            let oldest = self.blocks.iter().min_by_key(|(_, kept)| kept.used).map(|(&number, _)| number);
            let Some(given_up) = oldest.and_then(|number| self.blocks.remove(&number)) else { return };
            self.bytes -= given_up.bytes;
        }
    }
}

fn bytes(block: &RecordBatch) -> usize {
    let of = |column: &dyn Array| column.to_data().get_slice_memory_size().unwrap_or(column.get_array_memory_size());
    block.columns().iter().map(|column| of(column.as_ref())).sum()
}
