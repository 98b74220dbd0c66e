//! Ctrl-C: the first one asks for an end, the second one is one.

use kiln::{Error, ErrorKind, Result};
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What shells say of a command that ended by Ctrl-C.
pub(crate) const EXIT_CODE: u8 = 130;

/// A flag that the first Ctrl-C sets; the next one ends the process at once.
pub(crate) fn flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    // In this order: the first Ctrl-C meets a flag that is not set yet.
    let registered = flag::register_conditional_shutdown(SIGINT, i32::from(EXIT_CODE), Arc::clone(&stop))
        .and_then(|_| flag::register(SIGINT, Arc::clone(&stop)));
    match registered {
        Ok(_) => Ok(stop),
        Err(error) => {
            Err(Error::new(ErrorKind::Io, "", format!("Ctrl-C cannot be caught: {error}")).with_source(error))
        }
    }
}
