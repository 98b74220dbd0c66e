//! Coarse operations as values: what a device may run with one kernel.

use crate::DType;
use crate::tensor::calls::*;

macro_rules! calls {
    ($({ $name:literal, $variant:ident, $module:ident::$call:ident, $field:ident })+) => {
        /// A coarse operation with its operands.
        ///
        /// Each call's struct stands beside its operation, with the shapes of its operands and its composed form
        /// ([`crate::composed`]), and says what its outputs become. Operands and outputs follow the rules of
        /// [`crate::Backend`].
        #[derive(Clone, Copy, Debug)]
        #[allow(missing_docs, clippy::large_enum_variant)] // the structs are documented; a call is lent, never moved
        pub enum Call<'a> {
            $($variant($call<'a>),)+
        }

        impl Call<'_> {
            /// The operation's name and dtype.
            pub fn name(&self) -> (&'static str, DType) {
                match self {
                    $(Call::$variant(call) => ($name, call.$field.dtype),)+
                }
            }
        }
    };
}
crate::for_each_call!(calls);

/// How a backend answers a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Ran {
    /// It ran, or is queued.
    Done,
    /// There is no kernel for it, and nothing was written.
    NotHere,
}
