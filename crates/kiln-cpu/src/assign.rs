//! Copies into elements that lie at any strides: a part of an array that is assigned.

use crate::elementwise::in_chunks;
use crate::operand::{Odometer, Strided};

/// Where elements are written.
struct Target<T>(*mut T);

// SAFETY: threads write different elements, see `assign`.
unsafe impl<T: Send> Sync for Target<T> {}

impl<T> Target<T> {
    /// # Safety
    /// The element is one of those that the caller of `assign` lends.
    #[inline(always)]
    unsafe fn at(&self, offset: isize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.0.offset(offset) }
    }
}

/// Elements at any strides become those of x.
///
/// # Safety
/// Every element that `strides` reach from `first` over x's shape can be written, each is reached once, and none is read or
/// written by anyone else meanwhile.
pub unsafe fn assign<T: Copy + Send + Sync>(first: *mut T, strides: &[isize], x: Strided<'_, T>) {
    let to = Target(first);
    in_chunks(x.elements(), |start, count| {
        let mut target = Odometer::at(x.shape(), strides, start);
        Odometer::at(x.shape(), x.strides(), start).runs(count, |_, offset, stride, run| {
            target.runs(run, |done, to_offset, to_stride, run| {
                let offset = offset + done as isize * stride;
                // SAFETY: both odometers stay within the shape, whose elements can be read here and written there.
                unsafe { copy_run(to.at(to_offset), to_stride, x.first_element().offset(offset), stride, run) };
            });
        });
    });
}

/// # Safety
/// So many elements can be read and written at these strides, and none is both.
#[inline(always)]
unsafe fn copy_run<T: Copy>(to: *mut T, to_stride: isize, from: *const T, stride: isize, run: usize) {
    // SAFETY: the caller's promise, in every arm.
    unsafe {
        match (to_stride, stride) {
            (1, 1) => std::ptr::copy_nonoverlapping(from, to, run),
            (1, 0) => std::slice::from_raw_parts_mut(to, run).fill(*from),
            _ => {
                for i in 0..run as isize {
                    *to.offset(i * to_stride) = *from.offset(i * stride);
                }
            }
        }
    }
}
