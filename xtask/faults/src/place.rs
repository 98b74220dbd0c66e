//! Which files are below the folder.

use crate::plan::Plan;
use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};

/// Descriptors from 0 on of which it is known whether they are below the folder; a training has a few dozen.
const DESCRIPTORS: usize = 4096;

static BELOW: [AtomicBool; DESCRIPTORS] = [const { AtomicBool::new(false) }; DESCRIPTORS];

/// The descriptor whose next write fails, as its last one was cut short.
pub(crate) static CUT_SHORT: AtomicI32 = AtomicI32::new(-1);

fn of(descriptor: c_int) -> Option<&'static AtomicBool> {
    usize::try_from(descriptor).ok().and_then(|index| BELOW.get(index))
}

pub(crate) fn is_below(descriptor: c_int) -> bool {
    of(descriptor).is_some_and(|below| below.load(Relaxed))
}

pub(crate) fn set_below(descriptor: c_int, below: bool) {
    if let Some(of) = of(descriptor) {
        of.store(below, Relaxed);
    }
    let _ = CUT_SHORT.compare_exchange(descriptor, -1, Relaxed, Relaxed);
}

/// The path of a call, if it is below the folder: an absolute one, or one from an open folder that is.
///
/// # Safety
/// `path` is null or a string that ends with a zero byte.
pub(crate) unsafe fn below<'p>(plan: &Plan, from: c_int, path: *const c_char) -> Option<&'p [u8]> {
    if path.is_null() {
        return None;
    }
    // SAFETY: a string that ends with a zero byte, by this function's contract; it lives as long as the call.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    let below = match path.strip_prefix(plan.folder.as_slice()) {
        Some(rest) => rest.first().is_none_or(|byte| *byte == b'/'),
        None => !path.starts_with(b"/") && is_below(from),
    };
    below.then_some(path)
}
