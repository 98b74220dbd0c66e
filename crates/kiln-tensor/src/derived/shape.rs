//! Operations that move elements.

use crate::{Arithmetic, IntoAxis, Result, axis_index};

/// The family's signatures.
#[doc(hidden)]
#[macro_export]
macro_rules! derived_shape {
    ($callback:path) => {
        $callback! { shape {
            /// The elements moved by `shift` places along `axis`; those that leave one end enter at the other:
            /// y\[i\] = x\[(i − shift) mod size\]. NumPy's `roll`.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [4], &Device::cpu())?;
            /// assert_eq!(x.roll(1, 0)?.to_vec::<f32>()?, [4.0, 1.0, 2.0, 3.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range.
            fn roll(shift: isize, axis: impl $crate::IntoAxis) -> Self;
        } }
    };
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
pub fn roll<A: Arithmetic>(x: &A, shift: isize, axis: impl IntoAxis) -> Result<A> {
    let axis = axis_index("roll", axis, x.shape())?;
    let size = x.shape()[axis];
    if size == 0 {
        return Ok(x.clone());
    }
    let cut = size - shift.rem_euclid(size as isize) as usize;
    if cut == size {
        return Ok(x.clone());
    }
    A::concat(&[&x.slice(axis, cut..size)?, &x.slice(axis, 0..cut)?], axis)
}
