//! The number that a callback looks at, and what it has seen of it.

use crate::Run;
use kiln_tensor::{Error, ErrorKind, Result};

/// Whether a larger number is better: as it was said, else as it is known.
pub(crate) fn direction(callback: &'static str, monitor: &str, given: Option<bool>, run: &Run<'_>) -> Result<bool> {
    let name = monitor.strip_prefix("val_").unwrap_or(monitor);
    given.or_else(|| run.larger_is_better(monitor)).ok_or_else(|| {
        let message =
            format!("it is not known whether a larger `{name}` is better: set `larger_is_better(true)` or `(false)`");
        Error::value(callback, message)
    })
}

/// Fails where no epoch reports the number that a callback looks at.
pub(crate) fn expect_reported(callback: &'static str, monitor: &str, run: &Run<'_>) -> Result<()> {
    let reported = run.reported();
    if reported.iter().any(|name| name == monitor) {
        return Ok(());
    }
    let validates = run.validation().is_some();
    let remedy = if monitor.starts_with("val_") && !validates { "; give `fit` data to validate on" } else { "" };
    let message = format!("no epoch reports `{monitor}`, only {}{remedy}", reported.join(", "));
    Err(Error::value(callback, message))
}

/// A state that is not that of this callback.
pub(crate) fn foreign(operation: &'static str, callback: &str, why: String) -> Error {
    let message = format!("{why}: this is not the state of {callback}; nothing was changed");
    Error::new(ErrorKind::Format, operation, message)
}
