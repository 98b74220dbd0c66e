//! The number that a callback looks at.

use crate::Run;
use kiln_tensor::{Error, Result};

/// Whether a larger number is better: as it was said, else as it is known.
pub(super) fn direction(callback: &'static str, monitor: &str, given: Option<bool>, run: &Run<'_>) -> Result<bool> {
    let name = monitor.strip_prefix("val_").unwrap_or(monitor);
    given.or_else(|| run.larger_is_better(monitor)).ok_or_else(|| {
        let message = format!("is a larger `{name}` better or a smaller one? say it with `larger_is_better`");
        Error::value(callback, message)
    })
}

/// Fails where no epoch reports the number that a callback looks at.
pub(super) fn expect_reported(callback: &'static str, monitor: &str, run: &Run<'_>) -> Result<()> {
    let reported = run.reported();
    if reported.iter().any(|name| name == monitor) {
        return Ok(());
    }
    let validates = run.validation().is_some();
    let remedy = if monitor.starts_with("val_") && !validates { "; give `fit` data to validate on" } else { "" };
    let message = format!("no epoch reports `{monitor}`, only {}{remedy}", reported.join(", "));
    Err(Error::value(callback, message))
}
