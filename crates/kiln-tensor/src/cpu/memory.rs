//! From buffers to Rust's types: the one place where addresses become slices.
//!
//! All functions trust the contract of [`crate::Backend`]: a view lies within its buffer, holds initialized elements of its
//! dtype, and is not written during the call but by an output that is exactly it. Callers name the right type.

use crate::{Out, View};
use kiln_cpu::operand::{Output, Strided};

/// A view as a strided operand.
///
/// # Safety
/// `T` is the element type of the view's dtype.
#[inline]
pub(super) unsafe fn strided<'a, T: Copy>(x: &View<'a>) -> Strided<'a, T> {
    let layout: &'a crate::Layout = x.layout;
    let first = (x.buffer.address as *const T).wrapping_add(layout.offset());
    // SAFETY: the backend's contract, see the module.
    unsafe { Strided::new(first, layout.shape().dims(), layout.strides()) }
}

/// A contiguous view as a slice.
///
/// # Safety
/// `T` is the element type of the view's dtype, and the view is contiguous.
#[inline]
pub(super) unsafe fn slice<'a, T>(x: &View<'a>) -> &'a [T] {
    let first = (x.buffer.address as *const T).wrapping_add(x.layout.offset());
    // SAFETY: the backend's contract, see the module; buffers are 64-byte aligned and never null.
    unsafe { std::slice::from_raw_parts(first, x.layout.shape().elements()) }
}

/// The first element of a view that will be written.
#[inline]
pub(super) fn first_mut<T>(x: &View<'_>) -> *mut T {
    (x.buffer.address as *mut T).wrapping_add(x.layout.offset())
}

/// An output for kernels that allow it to be one of their operands.
///
/// # Safety
/// `T` is the element type of the output's dtype.
#[inline]
pub(super) unsafe fn output<'a, T: Copy>(out: &Out<'a>) -> Output<'a, T> {
    let first = (out.buffer.address as *mut T).wrapping_add(out.offset);
    // SAFETY: the backend's contract, see the module.
    unsafe { Output::new(first, out.elements()) }
}

/// An output as a slice, for kernels whose operands are apart from it.
///
/// # Safety
/// `T` is the element type of the output's dtype, and no operand of the call shares its elements.
#[inline]
pub(super) unsafe fn slice_mut<'a, T>(out: &Out<'a>) -> &'a mut [T] {
    let first = (out.buffer.address as *mut T).wrapping_add(out.offset);
    // SAFETY: the backend's contract, see the module.
    unsafe { std::slice::from_raw_parts_mut(first, out.elements()) }
}
