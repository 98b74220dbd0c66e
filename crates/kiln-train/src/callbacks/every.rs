//! Every so many steps.

use kiln_tensor::{Error, Result};

/// Every so many steps or epochs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Every(pub(crate) u64);

impl Every {
    /// Whether this count, of steps or epochs done, is one of every so many; of every 0 none is.
    pub(crate) fn is_due(self, count: u64) -> bool {
        self.0 > 0 && count.is_multiple_of(self.0)
    }

    /// Refuses 0 as what `setting` of a callback was given.
    pub(crate) fn check(self, callback: &'static str, setting: &str) -> Result<()> {
        match self.0 {
            0 => Err(Error::value(callback, format!("{setting}: at least 1 step is needed"))),
            _ => Ok(()),
        }
    }
}
