//! Gathering by index, and its adjoint.

use super::memory::{slice, slice_mut};
use crate::{DType, Out, Result, ScatterOp, View, unsupported_dtype};
use kiln_cpu::gather::{self, Along, Index};
use kiln_cpu::operand::Strided;
use kiln_math::Integer;

/// A number that can be put where another one is.
trait Combined: Copy + Send + Sync {
    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// The larger one; NaN wins.
    fn larger(self, other: Self) -> Self;
    /// The smaller one; NaN wins.
    fn smaller(self, other: Self) -> Self;
}

macro_rules! combined_floats {
    ($($T:ty),+) => { $(
        impl Combined for $T {
            fn plus(self, other: Self) -> Self {
                self + other
            }
            fn times(self, other: Self) -> Self {
                self * other
            }
            fn larger(self, other: Self) -> Self {
                if self.is_nan() || self > other { self } else { other }
            }
            fn smaller(self, other: Self) -> Self {
                if self.is_nan() || self < other { self } else { other }
            }
        }
    )+ };
}
combined_floats!(f32, f64);

macro_rules! combined_integers {
    ($($T:ty),+) => { $(
        impl Combined for $T {
            fn plus(self, other: Self) -> Self {
                Integer::add(self, other)
            }
            fn times(self, other: Self) -> Self {
                Integer::mul(self, other)
            }
            fn larger(self, other: Self) -> Self {
                self.maximum(other)
            }
            fn smaller(self, other: Self) -> Self {
                self.minimum(other)
            }
        }
    )+ };
}
combined_integers!(i64, i32, i8, u8);

/// The sizes of an operation whose array along `axis` is of one shape, and whose index of another.
fn along(array: &[usize], picked: &[usize], axis: usize) -> Along {
    Along {
        outer: array[..axis].iter().product(),
        axis: array[axis],
        indices: picked[axis],
        inner: array[axis + 1..].iter().product(),
    }
}

/// Calls `run` with an index (i64) as kernels take it.
///
/// # Safety
/// The index is row-major, or repeats along all axes but `axis`; its elements can be read.
unsafe fn with_index(index: &View<'_>, axis: usize, run: impl FnOnce(Index<'_>)) {
    let layout = index.layout;
    let first = (index.buffer.address as *const i64).wrapping_add(layout.offset());
    let (size, stride) = ([layout.shape()[axis]], [layout.strides()[axis]]);
    let mut others = (0..layout.shape().rank()).filter(|&other| other != axis);
    if others.all(|other| layout.shape()[other] == 1 || layout.strides()[other] == 0) {
        // SAFETY: the index's elements along one axis.
        run(Index::Rows(unsafe { Strided::new(first, &size, &stride) }));
    } else {
        // SAFETY: row-major, by the caller's promise.
        run(Index::Elements(unsafe { slice(index) }));
    }
}

/// See [`crate::Backend::gather`].
///
/// # Safety
/// As there.
pub(super) unsafe fn gather(out: &Out<'_>, x: &View<'_>, index: &View<'_>, axis: usize) -> Result<()> {
    let along = along(x.layout.shape(), out.shape, axis);
    sized!(out.dtype, T => {
        // SAFETY: both are of the size dispatched on and contiguous; the index is i64.
        unsafe { with_index(index, axis, |index| gather::gather::<T>(slice_mut(out), slice(x), index, along)) }
    });
    Ok(())
}

/// See [`crate::Backend::scatter`].
///
/// # Safety
/// As there.
pub(super) unsafe fn scatter(op: ScatterOp, out: &Out<'_>, y: &View<'_>, index: &View<'_>, axis: usize) -> Result<()> {
    let along = along(out.shape, y.layout.shape(), axis);
    if op == ScatterOp::Set {
        sized!(out.dtype, T => {
            // SAFETY: both are of the size dispatched on and contiguous; the index is i64.
            unsafe { with_index(index, axis, |index| gather::scatter::<T>(slice_mut(out), slice(y), index, along, |_, new| new)) }
        });
        return Ok(());
    }
    dispatch!(out.dtype, "scatter", "f32, f64 or integers", [F32 f32, F64 f64, I64 i64, I32 i32, I8 i8, U8 u8], T => {
        // SAFETY: both are of the dtype dispatched on and contiguous; the index is i64.
        unsafe { with_index(index, axis, |index| combine::<T>(op, slice_mut(out), slice(y), index, along)) }
    });
    Ok(())
}

fn combine<T: Combined>(op: ScatterOp, out: &mut [T], y: &[T], index: Index<'_>, along: Along) {
    match op {
        ScatterOp::Set => gather::scatter(out, y, index, along, |_, new| new),
        ScatterOp::Add => gather::scatter(out, y, index, along, T::plus),
        ScatterOp::Mul => gather::scatter(out, y, index, along, T::times),
        ScatterOp::Max => gather::scatter(out, y, index, along, T::larger),
        ScatterOp::Min => gather::scatter(out, y, index, along, T::smaller),
    }
}
