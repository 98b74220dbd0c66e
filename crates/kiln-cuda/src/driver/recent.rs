//! The kernels launched last, for the report of a fault: a card reports it after launches that came later.

use std::collections::VecDeque;

/// How many are kept.
const KEPT: usize = 8;

/// The names of the last kernels, newest first.
#[derive(Default)]
pub(super) struct Recent(VecDeque<&'static str>);

impl Recent {
    pub(super) fn push(&mut self, kernel: &'static str) {
        self.0.truncate(KEPT - 1);
        self.0.push_front(kernel);
    }

    /// The end of a sentence about a fault that may be any of theirs.
    pub(super) fn suspects(&self) -> String {
        if self.0.is_empty() {
            return "; no kernel has been launched".into();
        }
        let names = Vec::from_iter(self.0.iter().copied()).join(", ");
        format!("; kernels launched last, newest first: {names}; with KILN_SYNC=1 a fault names its kernel")
    }
}
