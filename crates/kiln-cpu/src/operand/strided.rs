//! Elements to read at any strides, and row-major elements to write.

use std::marker::PhantomData;

/// Elements to read, at any strides: broadcast (0) and flipped (negative) ones too.
#[derive(Clone, Copy, Debug)]
pub struct Strided<'a, T> {
    first: *const T,
    shape: &'a [usize],
    strides: &'a [isize],
    elements: PhantomData<&'a T>,
}

// SAFETY: a Strided only reads, as a `&[T]` would.
unsafe impl<T: Sync> Send for Strided<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Strided<'_, T> {}

impl<'a, T: Copy> Strided<'a, T> {
    /// Elements of `shape` from `first` on, `strides` elements apart along each axis.
    ///
    /// # Safety
    /// Every element so reached can be read for `'a`, and nothing writes to it meanwhile but a kernel whose output is
    /// exactly these elements. Shape and strides are of equal length.
    pub unsafe fn new(first: *const T, shape: &'a [usize], strides: &'a [isize]) -> Self {
        debug_assert_eq!(shape.len(), strides.len());
        Strided { first, shape, strides, elements: PhantomData }
    }

    /// The shape.
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// Elements from one index of an axis to the next.
    pub fn strides(&self) -> &'a [isize] {
        self.strides
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Where element (0, 0, …) lies.
    #[inline]
    pub fn first_element(&self) -> *const T {
        self.first
    }

    /// All elements as a slice, where they lie row-major without gaps.
    #[inline]
    pub fn as_slice(&self) -> Option<&'a [T]> {
        let mut step = 1isize;
        for (&size, &stride) in self.shape.iter().zip(self.strides).rev() {
            if size == 0 {
                return Some(&[]);
            }
            if size != 1 && stride != step {
                return None;
            }
            step *= size as isize;
        }
        // SAFETY: just seen to be contiguous from `first`; readable by the contract of `new`.
        Some(unsafe { std::slice::from_raw_parts(self.first, step as usize) })
    }

    /// The one element that broadcasting repeats, where that is all.
    #[inline]
    pub(super) fn as_scalar(&self) -> Option<T> {
        let single = self.shape.iter().zip(self.strides).all(|(&size, &stride)| size == 1 || stride == 0);
        // SAFETY: every index reaches `first`; kernels ask only where there are elements.
        (single && !self.shape.contains(&0)).then(|| unsafe { *self.first })
    }
}

/// Elements to write, row-major. They may be exactly those of an operand that is contiguous.
#[derive(Debug)]
pub struct Output<'a, T> {
    first: *mut T,
    length: usize,
    elements: PhantomData<&'a mut T>,
}

// SAFETY: an Output is to its elements what a `&mut [T]` is, but for the exact alias that kernels allow for.
unsafe impl<T: Send> Send for Output<'_, T> {}
// SAFETY: kernels share it between threads that write disjoint parts.
unsafe impl<T: Send> Sync for Output<'_, T> {}

impl<'a, T: Copy> Output<'a, T> {
    /// `length` elements from `first`.
    ///
    /// # Safety
    /// They can be written for `'a`, and nobody else reads or writes them, but for operands of the same kernel that are
    /// exactly these elements.
    pub unsafe fn new(first: *mut T, length: usize) -> Self {
        Output { first, length, elements: PhantomData }
    }

    /// The elements, where no operand is among them.
    pub fn from_slice(slice: &'a mut [T]) -> Self {
        Output { first: slice.as_mut_ptr(), length: slice.len(), elements: PhantomData }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(crate) fn first(&self) -> *mut T {
        self.first
    }

    /// The elements `start..start + length` as a slice.
    ///
    /// # Safety
    /// No operand is among them, and no other part handed out overlaps them.
    #[inline]
    #[allow(clippy::mut_from_ref)] // parts for several threads come from one shared Output
    pub(crate) unsafe fn part(&self, start: usize, length: usize) -> &mut [T] {
        debug_assert!(start + length <= self.length);
        // SAFETY: in bounds; exclusive by this function's contract.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(start), length) }
    }
}
