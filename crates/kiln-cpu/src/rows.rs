//! Rows of an array: shared out among threads, and loaded ahead.

use crate::operand::Output;
use crate::team;

/// Calls `f(first row, part)` for contiguous parts of an array of rows of `width` elements, in parallel where there is enough to do.
pub fn in_parts<T: Copy + Send + Sync>(out: &mut [T], width: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let (threads, rows) = (team::threads(), out.len() / width.max(1));
    if rows * width < 1 << 14 || threads == 1 {
        return f(0, out);
    }
    let to = Output::from_slice(out);
    team::parallel(threads, |part| {
        let (first, end) = (part * rows / threads, (part + 1) * rows / threads);
        // SAFETY: these rows are this part's own.
        f(first, unsafe { to.part(first * width, (end - first) * width) });
    });
}

/// Loads bytes into the cache without waiting for them.
#[inline(always)]
pub fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(64) {
        // SAFETY: SSE is part of x86-64, the address is within the slice, and a prefetch has no effect but on caches.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
