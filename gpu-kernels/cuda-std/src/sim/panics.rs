//! Panics inside of kernels become faults, without the report that a panic prints.

use crate::host::block::{Block, inside};
use crate::host::fault::{SimFault, Site};
use std::any::Any;
use std::cell::RefCell;
use std::panic;
use std::sync::Once;

thread_local! {
    /// Where the last panic inside of a kernel was, on this OS thread.
    static SITE: RefCell<Option<Site>> = const { RefCell::new(None) };
}

/// Puts a hook before the process's: it stays silent inside of kernels, and notes where they panic.
pub(super) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if inside() {
                SITE.set(info.location().map(Site::from));
            } else {
                previous(info);
            }
        }));
    });
}

/// What a thread of the block unwound with: a fault that was found, or a panic of the kernel's own.
pub(super) fn fault_of(payload: Box<dyn Any + Send>, block: &Block) -> Box<SimFault> {
    let payload = match payload.downcast::<SimFault>() {
        Ok(fault) => return fault,
        Err(payload) => payload,
    };
    let message = (payload.downcast_ref::<&str>().map(|message| (*message).to_owned()))
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "with a value that is no message".to_owned());
    Box::new(block.fault_here(format!("panics: {message}"), SITE.take()))
}
