//! Derived operations: made of others, as one generic function over [`Arithmetic`](crate::Arithmetic) each, and from it a method of
//! [`Tensor`](crate::Tensor) and one of kiln-autograd's `Var`, which has the gradient with it.
//!
//! A file holds the functions of a family and, at its top, the list of their signatures and docs. An operation is a line of the list
//! and its function; [`for_each_derived!`](crate::for_each_derived) names the families.

pub mod cumulative;
mod einsum;
pub mod elementwise;
pub mod floats;
pub mod gated;
pub mod grow;
pub mod norm;
pub mod parts;
pub mod pick;
pub mod products;
pub mod reduce;
pub mod resample;
pub mod shape;
pub mod sort;
mod wide;

pub use products::TensordotAxes;

/// Calls `$callback! { family { signatures } }` for every family of derived operations.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_derived {
    ($callback:path) => {
        $crate::derived_cumulative! { $callback }
        $crate::derived_elementwise! { $callback }
        $crate::derived_floats! { $callback }
        $crate::derived_gated! { $callback }
        $crate::derived_grow! { $callback }
        $crate::derived_norm! { $callback }
        $crate::derived_parts! { $callback }
        $crate::derived_pick! { $callback }
        $crate::derived_reduce! { $callback }
        $crate::derived_resample! { $callback }
        $crate::derived_shape! { $callback }
        $crate::derived_sort! { $callback }
        $crate::derived_products! { $callback }
    };
}

/// Methods of `$T` from a family's signatures, each of which calls the function of that name in `derived::$family`. A signature
/// `fn name(…) -> Out;` becomes `pub fn name(&self, …) -> Result<Out>`.
#[doc(hidden)]
#[macro_export]
macro_rules! derived_methods {
    ($T:ident $family:ident { $( $(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $out:ty; )+ }) => {
        impl $T {$(
            $(#[$doc])*
            pub fn $name(&self, $($argument: $type),*) -> $crate::Result<$out> {
                $crate::derived::$family::$name(self, $($argument),*)
            }
        )+}
    };
}

/// Calls `$callback! { family { signatures } }` for every family of derived operations on any number of operands.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_derived_function {
    ($callback:path) => {
        $crate::derived_grow_functions! { $callback }
        $crate::derived_product_functions! { $callback }
    };
}

/// As [`derived_methods!`](crate::derived_methods), of signatures that become associated functions: `fn name(…) -> Out;` becomes
/// `pub fn name(…) -> Result<Out>`.
#[doc(hidden)]
#[macro_export]
macro_rules! derived_functions {
    ($T:ident $family:ident { $( $(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $out:ty; )+ }) => {
        impl $T {$(
            $(#[$doc])*
            pub fn $name($($argument: $type),*) -> $crate::Result<$out> {
                $crate::derived::$family::$name($($argument),*)
            }
        )+}
    };
}

use crate::{Error, ErrorKind, Result, Tensor};

/// A result whose error says the operation that the user called, not the one that it is made of; faults of a device stay as they are.
pub(crate) fn named<T>(operation: &'static str, result: Result<T>) -> Result<T> {
    result.map_err(|error| match error.kind() {
        ErrorKind::Memory | ErrorKind::Fault => error,
        kind => Error::new(kind, operation, error.message()),
    })
}

macro_rules! of_tensor {
    ($($family:tt)+) => { $crate::derived_methods! { Tensor $($family)+ } };
}
for_each_derived!(of_tensor);

macro_rules! functions_of_tensor {
    ($($family:tt)+) => { $crate::derived_functions! { Tensor $($family)+ } };
}
for_each_derived_function!(functions_of_tensor);
