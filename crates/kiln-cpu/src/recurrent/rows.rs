//! Rows of numbers that several threads work on, each on parts of its own.

use std::ops::Range;

/// A matrix by its first element and the distance from row to row.
#[derive(Debug)]
pub(super) struct Rows<T> {
    first: *mut T,
    stride: usize,
}

impl<T> Clone for Rows<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Rows<T> {}

// SAFETY: an address; whoever reads or writes a part vouches for it.
unsafe impl<T: Send> Send for Rows<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Rows<T> {}

impl<T> Rows<T> {
    /// Rows that will be written too.
    pub(super) fn new(slice: &mut [T], stride: usize) -> Self {
        Rows { first: slice.as_mut_ptr(), stride }
    }

    /// Rows that are only read.
    pub(super) fn lent(slice: &[T], stride: usize) -> Self {
        Rows { first: slice.as_ptr().cast_mut(), stride }
    }

    /// The same from row `row` and column `column` on.
    pub(super) fn from(self, row: usize, column: usize) -> Self {
        Rows { first: self.first.wrapping_add(row * self.stride + column), ..self }
    }

    pub(super) fn first(self) -> *mut T {
        self.first
    }

    pub(super) fn stride(self) -> usize {
        self.stride
    }

    /// Columns of a row.
    ///
    /// # Safety
    /// They are there, live as long as `'a`, and nobody writes them meanwhile.
    #[inline(always)]
    pub(super) unsafe fn read<'a>(self, row: usize, columns: &Range<usize>) -> &'a [T] {
        // SAFETY: as the caller promises.
        unsafe { std::slice::from_raw_parts(self.first.add(row * self.stride + columns.start), columns.len()) }
    }

    /// Columns of a row, to be written.
    ///
    /// # Safety
    /// They are there, live as long as `'a`, and nobody else reads or writes them meanwhile.
    #[inline(always)]
    pub(super) unsafe fn write<'a>(self, row: usize, columns: &Range<usize>) -> &'a mut [T] {
        // SAFETY: as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(row * self.stride + columns.start), columns.len()) }
    }
}
