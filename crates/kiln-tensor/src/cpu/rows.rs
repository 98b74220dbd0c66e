//! Views as rows for kernels: lent in place where they are row-major and of the right type, else copied.

use super::memory::{slice, slice_mut};
use super::scratch::Scratch;
use super::{CpuBackend, copy_to_rows};
use crate::{DType, Out, Result, View};
use half::{bf16, f16};
use kiln_cpu::operand::{Stored, StoredAs};
use std::marker::PhantomData;

/// The elements of a view, row-major.
pub(super) enum Rows<'a, T> {
    Lent(&'a [T]),
    /// Of type T.
    Copied(Scratch<'a>, PhantomData<T>),
}

impl<T> std::ops::Deref for Rows<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        match self {
            Rows::Lent(rows) => rows,
            // SAFETY: of type T, and written when it was made.
            Rows::Copied(scratch, _) => unsafe { slice(&scratch.view()) },
        }
    }
}

/// A row-major copy in another type, or in its own.
///
/// # Safety
/// The view's elements can be read for the call.
unsafe fn copied<'a>(cpu: &'a CpuBackend, x: &View<'_>, dtype: DType) -> Result<Scratch<'a>> {
    let scratch = Scratch::new(cpu, *x.layout.shape(), dtype)?;
    // SAFETY: the caller's promise; the copy is apart from them.
    unsafe { copy_to_rows(scratch.out(), *x)? };
    Ok(scratch)
}

/// A view's elements as T: where they lie if they are of that type, `here`, and row-major, else a copy in this dtype.
///
/// # Safety
/// The dtype's type is T, and the view's where `here`; no output of the call shares its elements.
unsafe fn taken<'a, T>(cpu: &'a CpuBackend, x: &View<'a>, here: bool, dtype: DType) -> Result<Rows<'a, T>> {
    if here && x.layout.is_contiguous() {
        // SAFETY: the caller's promise; the view is contiguous.
        return Ok(Rows::Lent(unsafe { slice::<T>(x) }));
    }
    // SAFETY: the caller's promise.
    Ok(Rows::Copied(unsafe { copied(cpu, x, dtype)? }, PhantomData))
}

/// Lets `write` fill the output as T: where it lies if it is of that type, `here`, else from memory of the type that it is computed in.
///
/// # Safety
/// That type is T, or the output's where `here`; no operand of the call shares its elements.
unsafe fn filled<T>(cpu: &CpuBackend, out: &Out<'_>, here: bool, write: impl FnOnce(&mut [T])) -> Result<()> {
    if here {
        // SAFETY: the caller's promise; outputs are row-major.
        write(unsafe { slice_mut::<T>(out) });
        return Ok(());
    }
    let computed = Scratch::new(cpu, *out.shape, out.dtype.computed_in())?;
    // SAFETY: memory of its own of this type; the kernel writes all of it.
    write(unsafe { slice_mut::<T>(&computed.out()) });
    // SAFETY: the caller's promise.
    unsafe { copy_to_rows(*out, computed.view()) }
}

/// The elements of a view of dtype E.
///
/// # Safety
/// `E` is the element type of the view's dtype, and no output of the call shares its elements.
///
/// # Errors
/// No memory for a copy.
pub(super) unsafe fn elements<'a, E: Stored>(cpu: &'a CpuBackend, x: &View<'a>) -> Result<Rows<'a, E>> {
    // SAFETY: the caller's promise.
    unsafe { taken(cpu, x, true, x.dtype) }
}

/// The elements of a view of dtype E as numbers of the compute type.
///
/// # Safety
/// As [`elements`].
///
/// # Errors
/// No memory for a converted copy.
pub(super) unsafe fn rows<'a, E: Stored>(cpu: &'a CpuBackend, x: &View<'a>) -> Result<Rows<'a, E::Compute>> {
    // SAFETY: the caller's promise; IN_PLACE says that E is the compute type.
    unsafe { taken(cpu, x, E::IN_PLACE, x.dtype.computed_in()) }
}

/// Lets `write` fill the output's elements as numbers of the compute type.
///
/// # Safety
/// `E` is the element type of the output's dtype, and no operand of the call shares its elements.
///
/// # Errors
/// No memory for them before they are converted.
pub(super) unsafe fn write_rows<E: Stored>(
    cpu: &CpuBackend,
    out: &Out<'_>,
    write: impl FnOnce(&mut [E::Compute]),
) -> Result<()> {
    // SAFETY: the caller's promise; IN_PLACE says that E is the compute type.
    unsafe { filled(cpu, out, E::IN_PLACE, write) }
}

/// What kernels that convert in registers are given elements of a type as: themselves, or f16 as f32.
pub(super) trait Given: Stored {
    type Element: StoredAs<Self::Compute>;
    /// Whether that is the type itself.
    const ITSELF: bool;
}

macro_rules! given {
    ($($type:ty: $element:ty, $itself:literal;)*) => { $(
        impl Given for $type {
            type Element = $element;
            const ITSELF: bool = $itself;
        }
    )* };
}
given! {
    f32: f32, true;
    f64: f64, true;
    bf16: bf16, true;
    f16: f32, false;
}

/// The elements of a view of dtype E as kernels take them that convert in registers.
///
/// # Safety
/// As [`elements`].
///
/// # Errors
/// No memory for a copy.
pub(super) unsafe fn given<'a, E: Given>(cpu: &'a CpuBackend, x: &View<'a>) -> Result<Rows<'a, E::Element>> {
    // SAFETY: the caller's promise; ITSELF says that E is the element, else it is the compute type.
    unsafe { taken(cpu, x, E::ITSELF, if E::ITSELF { x.dtype } else { x.dtype.computed_in() }) }
}

/// Lets `write` fill the output's elements, as such kernels give them.
///
/// # Safety
/// As [`write_rows`].
///
/// # Errors
/// No memory for them before they are converted.
pub(super) unsafe fn write_given<E: Given>(
    cpu: &CpuBackend,
    out: &Out<'_>,
    write: impl FnOnce(&mut [E::Element]),
) -> Result<()> {
    // SAFETY: the caller's promise; ITSELF says that E is the element, else it is the compute type.
    unsafe { filled(cpu, out, E::ITSELF, write) }
}
