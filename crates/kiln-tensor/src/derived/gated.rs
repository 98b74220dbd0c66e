//! Gated linear units: one half of an axis times an activation of the other.

use crate::{Arithmetic, Error, IntoAxis, Result, axis_index, unsupported_dtype};
use kiln_math::UnaryOp;

/// The family's signatures.
#[doc(hidden)]
#[macro_export]
macro_rules! derived_gated {
    ($callback:path) => {
        $callback! { gated {
            /// The gated linear unit: a·sigmoid(b), where a and b are the two halves of x along `axis` (Dauphin et al. 2016). The
            /// axis becomes half as long.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[3f32, 8.0, 0.0, 0.0], [4], &Device::cpu())?;
            /// assert_eq!(x.glu(-1)?.to_vec::<f32>()?, [1.5, 4.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range, or of odd size; a dtype that is not a float type.
            fn glu(axis: impl $crate::IntoAxis) -> Self;

            /// As [`glu`](Self::glu) with a rectifier as its gate: a·relu(b) (Shazeer 2020).
            ///
            /// # Errors
            /// As those of `glu`.
            fn reglu(axis: impl $crate::IntoAxis) -> Self;

            /// As [`glu`](Self::glu) with a GELU as its gate: a·gelu(b) (Shazeer 2020).
            ///
            /// # Errors
            /// As those of `glu`.
            fn geglu(axis: impl $crate::IntoAxis) -> Self;

            /// As [`glu`](Self::glu) with a SiLU as its gate: a·silu(b) (Shazeer 2020).
            ///
            /// # Errors
            /// As those of `glu`.
            fn swiglu(axis: impl $crate::IntoAxis) -> Self;
        } }
    };
}

/// a · gate(b) of the halves of an axis.
fn gated<A: Arithmetic>(operation: &'static str, x: &A, axis: impl IntoAxis, gate: UnaryOp) -> Result<A> {
    let axis = axis_index(operation, axis, x.shape())?;
    let (dtype, size) = (x.value().dtype(), x.shape()[axis]);
    if !dtype.is_float() {
        return Err(unsupported_dtype(operation, dtype, "f32, f64, f16 or bf16"));
    }
    if size % 2 == 1 {
        let message = format!("axis {axis} of {} has {size} elements: it must be even, to be cut in halves", x.shape());
        return Err(Error::shape(operation, message));
    }
    x.in_wide(|x| x.slice(axis, 0..size / 2)?.mul(&x.slice(axis, size / 2..size)?.map(gate)?))
}

macro_rules! gates {
    ($($name:ident $gate:ident),+) => {$(
        #[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
        pub fn $name<A: Arithmetic>(x: &A, axis: impl IntoAxis) -> Result<A> {
            gated(stringify!($name), x, axis, UnaryOp::$gate)
        }
    )+};
}
gates!(glu Sigmoid, reglu Relu, geglu Gelu, swiglu Silu);
