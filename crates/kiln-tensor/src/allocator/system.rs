//! Memory from the system, and back to it.

use super::classes::ALIGN;
use std::alloc::{Layout, alloc, dealloc};

/// From this size on buffers lie on huge pages, where the system has them.
pub(super) const HUGE: usize = 2 << 20;

#[cfg(target_os = "linux")]
fn advise_huge_pages(address: *mut u8, bytes: usize) {
    unsafe extern "C" {
        fn madvise(address: *mut std::ffi::c_void, length: usize, advice: std::ffi::c_int) -> std::ffi::c_int;
    }
    const MADV_HUGEPAGE: std::ffi::c_int = 14;
    // SAFETY: the range was just allocated and is page-aligned; the advice changes no content, and a refusal does no harm.
    unsafe {
        madvise(address.cast(), bytes, MADV_HUGEPAGE);
    }
}

#[cfg(not(target_os = "linux"))]
fn advise_huge_pages(_: *mut u8, _: usize) {}

fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size, if size >= HUGE { HUGE } else { ALIGN }).ok()
}

/// Fresh zeroed memory of a class's size; `None` where the system has none.
pub(super) fn fresh(size: usize) -> Option<usize> {
    let layout = layout(size)?;
    // SAFETY: the size is not zero.
    let address = unsafe { alloc(layout) };
    if address.is_null() {
        return None;
    }
    if size >= HUGE {
        advise_huge_pages(address, size);
    }
    // SAFETY: `size` bytes were just allocated. Written now, so that no buffer is ever uninitialized memory.
    unsafe { address.write_bytes(0, size) };
    Some(address as usize)
}

/// Back to the system.
///
/// # Safety
/// [`fresh`] gave this address for this size, and nobody uses it any more.
pub(super) unsafe fn release(size: usize, address: usize) {
    if let Some(layout) = layout(size) {
        // SAFETY: `fresh` allocated it with this very layout, by this function's contract.
        unsafe { dealloc(address as *mut u8, layout) };
    }
}
