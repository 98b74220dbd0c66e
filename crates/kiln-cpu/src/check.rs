//! The contracts of this crate's safe functions.
//!
//! Kernels write through addresses, so a length that does not fit would reach memory of somebody else. Each safe function
//! therefore checks its arguments once, before anything is written, and panics where its contract is broken, as indexing a slice
//! does. Whoever faces users checks before, and answers with an error.

use std::fmt::Arguments;

/// The answer to a broken contract.
#[cold]
#[inline(never)]
#[track_caller]
#[allow(clippy::panic)] // the documented answer to a bug of the caller's
pub(crate) fn refuse(function: &str, what: Arguments<'_>) -> ! {
    panic!("{function}: {what}")
}

/// That an argument has so many elements.
#[inline]
#[track_caller]
pub(crate) fn length(function: &str, argument: &str, found: usize, expected: usize) {
    if found != expected {
        refuse(function, format_args!("`{argument}` has {found} elements, {expected} are expected"));
    }
}

/// The product of sizes, which must be countable.
#[inline]
#[track_caller]
pub(crate) fn elements(function: &str, sizes: &[usize]) -> usize {
    match sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size)) {
        Some(product) => product,
        None => refuse(function, format_args!("sizes {sizes:?} are more elements than memory can hold")),
    }
}

/// The rows of `width` elements that an argument consists of.
#[inline]
#[track_caller]
pub(crate) fn rows(function: &str, argument: &str, found: usize, width: usize) -> usize {
    match found.checked_rem(width) {
        Some(0) => found / width,
        None if found == 0 => 0,
        _ => refuse(function, format_args!("`{argument}` has {found} elements, which is not a multiple of {width}")),
    }
}
