//! Views as rows of the type that kernels compute in: lent in place where they are that already, else converted.

use super::memory::{slice, slice_mut, strided};
use crate::tensor::{room, staged};
use crate::{Out, Result, View};
use kiln_cpu::copy::{self, Convert};
use kiln_cpu::operand::{Output, Stored, Strided};

/// The elements of a float view, row-major, as f32 or f64.
///
/// # Safety
/// `E` is the element type of the view's dtype.
unsafe fn rows_of<E: Stored>(x: &View<'_>) -> Result<Vec<E::Compute>> {
    // SAFETY: the caller's promise; the view's elements can be read for the call.
    let source = unsafe { strided::<E>(x) };
    let mut rows = room(source.elements())?;
    if let Some(slice) = source.as_slice() {
        rows.extend(slice.iter().map(|&v| v.load()));
    } else {
        let mut copied = staged(source.elements(), E::store(E::Compute::default()))?;
        copy_same(&mut copied, source);
        rows.extend(copied.into_iter().map(E::load));
    }
    Ok(rows)
}

/// A row-major copy of a strided operand.
fn copy_same<E: Stored>(to: &mut [E], source: Strided<'_, E>) {
    #[derive(Clone, Copy)]
    struct Same<E>(E);
    impl<E: Copy> Convert<E> for Same<E> {
        fn convert(self) -> E {
            self.0
        }
    }
    // SAFETY: Same<E> holds an E and nothing else; the elements are those of `source`.
    let source = unsafe { Strided::new(source.first_element().cast::<Same<E>>(), source.shape(), source.strides()) };
    copy::copy(&mut Output::from_slice(to), source);
}

/// Rows of a contiguous view of the compute type in place, else a converted copy.
pub(super) enum Rows<'a, T> {
    Lent(&'a [T]),
    Copied(Vec<T>),
}

impl<T> std::ops::Deref for Rows<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        match self {
            Rows::Lent(rows) => rows,
            Rows::Copied(rows) => rows,
        }
    }
}

/// The rows of a view of dtype E.
///
/// # Safety
/// `E` is the element type of the view's dtype, and no output of the call shares its elements.
///
/// # Errors
/// No memory for a converted copy.
pub(super) unsafe fn rows<'a, E: Stored>(x: &View<'a>) -> Result<Rows<'a, E::Compute>> {
    if E::IN_PLACE && x.layout.is_contiguous() {
        // SAFETY: the caller's promise; E is the compute type, and the view is contiguous.
        return Ok(Rows::Lent(unsafe { slice::<E::Compute>(x) }));
    }
    // SAFETY: the caller's promise.
    Ok(Rows::Copied(unsafe { rows_of::<E>(x) }?))
}

/// Lets `write` fill the output's elements as numbers of the compute type.
///
/// # Safety
/// `E` is the element type of the output's dtype, and no operand of the call shares its elements.
///
/// # Errors
/// No memory for them before they are converted.
pub(super) unsafe fn write_rows<E: Stored>(out: &Out<'_>, write: impl FnOnce(&mut [E::Compute])) -> Result<()> {
    // SAFETY: the caller's promise; outputs are row-major.
    let target = unsafe { slice_mut::<E>(out) };
    if E::IN_PLACE {
        // SAFETY: IN_PLACE says that E is the compute type.
        write(unsafe { &mut *(std::ptr::from_mut(target) as *mut [E::Compute]) });
    } else {
        let mut computed = staged(target.len(), E::Compute::default())?;
        write(&mut computed);
        for (to, value) in target.iter_mut().zip(computed) {
            *to = E::store(value);
        }
    }
    Ok(())
}
