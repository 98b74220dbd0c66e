//! Each thread's packing buffers, kept from one product to the next.

use std::cell::Cell;
use std::thread::LocalKey;

/// A cache line, of bytes that are only reached through pointers of other types: what the buffers are made of, so that panels are aligned.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[expect(dead_code)] [u8; 64]);

/// A buffer that grows to the largest size asked for.
#[derive(Default)]
pub(crate) struct ScratchBuffer(Vec<Line>);

impl ScratchBuffer {
    /// Room for `len` values of a plain type (numbers, or structs of numbers and pointers), 64-byte aligned. What it
    /// holds is arbitrary.
    pub(crate) fn room<T: Copy>(&mut self, len: usize) -> *mut T {
        let lines = (len * size_of::<T>()).div_ceil(64);
        if self.0.len() < lines {
            self.0.clear();
            self.0.resize(lines, Line([0; 64]));
        }
        self.0.as_mut_ptr().cast()
    }

    /// Room for `len` numbers, all of this value.
    pub(crate) fn filled(&mut self, len: usize, value: f32) -> &mut [f32] {
        // SAFETY: there is room for so many; any bytes are numbers; the buffer is borrowed as long as they are.
        let numbers = unsafe { std::slice::from_raw_parts_mut(self.room::<f32>(len), len) };
        numbers.fill(value);
        numbers
    }
}

/// The buffers of one thread.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Packed panels of B.
    pub(crate) packed: ScratchBuffer,
    /// Packed slivers of A.
    pub(crate) packed_a: ScratchBuffer,
    /// A copied from a half type.
    pub(crate) copied_a: ScratchBuffer,
    /// B copied from a half type.
    pub(crate) copied_b: ScratchBuffer,
    /// Chains of a block that is computed in parts.
    pub(crate) chains: ScratchBuffer,
    /// The spans of a sum.
    pub(crate) spans: ScratchBuffer,
    /// The spans with B as kernels take it.
    pub(crate) right_spans: ScratchBuffer,
    /// The spans with both as kernels take them.
    pub(crate) left_spans: ScratchBuffer,
    /// The spans as one panel sees them.
    pub(crate) strip_spans: ScratchBuffer,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// Runs `f` with this thread's buffers.
pub(crate) fn with<R>(f: impl FnOnce(&mut Scratch) -> R) -> R {
    with_kept(&SCRATCH, f)
}

/// Runs `f` with what a thread keeps. (A computation within a computation of the same kind on one thread gets a fresh one.)
pub(crate) fn with_kept<S: Default, R>(
    kept: &'static LocalKey<Cell<Option<Box<S>>>>,
    f: impl FnOnce(&mut S) -> R,
) -> R {
    let mut scratch = kept.take().unwrap_or_default();
    let result = f(&mut scratch);
    kept.set(Some(scratch));
    result
}
