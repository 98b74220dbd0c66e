//! Who reads and writes each buffer of a recording.

use super::super::kept::BufferId;
use super::super::recorder::Step;

/// Writers and readers of buffers.
pub(super) struct Uses {
    writes: Vec<usize>,
    readers: Vec<Vec<usize>>,
    ends: Vec<bool>,
}

impl Uses {
    pub(super) fn new(buffers: usize, steps: &[Step], ends: &[BufferId]) -> Self {
        let mut uses =
            Uses { writes: vec![0; buffers], readers: vec![Vec::new(); buffers], ends: vec![false; buffers] };
        for (at, step) in steps.iter().enumerate() {
            step.operation.buffers(&mut |buffer, written| {
                if written {
                    uses.writes[buffer] += 1;
                } else {
                    uses.readers[buffer].push(at);
                }
            });
        }
        for &end in ends {
            uses.ends[end] = true;
        }
        uses
    }

    /// How many steps write it.
    pub(super) fn writes(&self, buffer: BufferId) -> usize {
        self.writes[buffer]
    }

    /// Whether nothing reads it.
    pub(super) fn is_unread(&self, buffer: BufferId) -> bool {
        self.readers[buffer].is_empty() && !self.ends[buffer]
    }

    /// The only step that reads it, where it is no output.
    pub(super) fn only_reader(&self, buffer: BufferId) -> Option<usize> {
        match self.readers[buffer].as_slice() {
            &[at] if !self.ends[buffer] => Some(at),
            _ => None,
        }
    }
}
