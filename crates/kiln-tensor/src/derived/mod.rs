//! Derived operations: made of others, as one generic function over [`Arithmetic`](crate::Arithmetic) each, and from it a method of
//! [`Tensor`](crate::Tensor) and one of kiln-autograd's `Var`, which has the gradient with it.
//!
//! A file holds the functions of a family and, at its top, the list of their signatures and docs. An operation is a line of the list
//! and its function; [`for_each_derived!`](crate::for_each_derived) names the families.

mod einsum;
pub mod elementwise;
pub mod floats;
pub mod gated;
pub mod products;
pub mod shape;
mod wide;

pub use products::TensordotAxes;

/// Calls `$callback! { family { signatures } }` for every family of derived operations.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_derived {
    ($callback:path) => {
        $crate::derived_elementwise! { $callback }
        $crate::derived_floats! { $callback }
        $crate::derived_gated! { $callback }
        $crate::derived_shape! { $callback }
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

use crate::Tensor;

macro_rules! of_tensor {
    ($($family:tt)+) => { $crate::derived_methods! { Tensor $($family)+ } };
}
for_each_derived!(of_tensor);

macro_rules! functions_of_tensor {
    ($($family:tt)+) => { $crate::derived_functions! { Tensor $($family)+ } };
}
for_each_derived_function!(functions_of_tensor);
