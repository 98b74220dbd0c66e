//! The one way from an operation on tensors to its device.
//!
//! Everything that concerns every launch belongs here: an operation checks its operands and calls one of these.

use crate::profile::{Timed, Work, is_on, primitives as work};
use crate::{Call, Device, Ran, Result};

/// Calls `$callback! { $given…; fn … }` with the primitives of [`crate::Backend`] that follow a buffer, but for `run`.
macro_rules! for_each_primitive {
    ($callback:ident! $($given:tt)*) => {
        $callback! { $($given)*;
            fn upload(&self, to: $crate::DeviceBuffer, offset: usize, from: &[u8]) -> Result<()>;
            fn download(&self, to: &mut [u8], from: $crate::DeviceBuffer, offset: usize) -> Result<()>;
            fn fill(&self, out: $crate::Out<'_>, value: f64) -> Result<()>;
            fn copy(&self, out: $crate::View<'_>, x: $crate::View<'_>) -> Result<()>;
            fn unary(&self, call: $crate::UnaryCall, out: $crate::Out<'_>, x: $crate::View<'_>) -> Result<()>;
            fn unary_grad(&self, call: $crate::UnaryCall, out: $crate::Out<'_>, x: $crate::View<'_>, y: $crate::View<'_>,
                dy: $crate::View<'_>) -> Result<()>;
            fn binary(&self, op: kiln_math::BinaryOp, out: $crate::Out<'_>, a: $crate::View<'_>, b: $crate::View<'_>)
                -> Result<()>;
            fn integers(&self, op: kiln_math::IntegerOp, out: $crate::Out<'_>, a: $crate::View<'_>, b: $crate::View<'_>)
                -> Result<()>;
            fn compare(&self, op: $crate::CompareOp, out: $crate::Out<'_>, a: $crate::View<'_>, b: $crate::View<'_>)
                -> Result<()>;
            fn select(&self, out: $crate::Out<'_>, condition: $crate::View<'_>, a: $crate::View<'_>, b: $crate::View<'_>)
                -> Result<()>;
            fn reduce(&self, op: $crate::ReduceOp, out: $crate::Out<'_>, x: $crate::View<'_>, axes: &[usize]) -> Result<()>;
            fn arg_reduce(&self, op: $crate::ArgReduceOp, out: $crate::Out<'_>, x: $crate::View<'_>, axis: usize)
                -> Result<()>;
            fn matmul(&self, out: $crate::Out<'_>, a: $crate::View<'_>, b: $crate::View<'_>, epilogue: $crate::Epilogue<'_>)
                -> Result<()>;
            fn gather(&self, out: $crate::Out<'_>, x: $crate::View<'_>, index: $crate::View<'_>, axis: usize) -> Result<()>;
            fn scatter(&self, op: $crate::ScatterOp, out: $crate::Out<'_>, y: $crate::View<'_>, index: $crate::View<'_>,
                axis: usize) -> Result<()>;
            fn random(&self, distribution: $crate::Distribution, out: $crate::Out<'_>, stream: $crate::View<'_>)
                -> Result<()>;
            fn sample(&self, law: kiln_math::Law, out: $crate::Out<'_>, a: $crate::View<'_>, b: $crate::View<'_>,
                stream: $crate::View<'_>) -> Result<()>;
        }
    };
}
#[cfg(feature = "conformance")]
pub(crate) use for_each_primitive;

/// Each primitive on this device's backend, as a safe function for this crate alone.
macro_rules! primitives {
    (; $(fn $name:ident(&self $(, $argument:ident: $type:ty)*) -> $result:ty;)+) => {
        impl Device {
            $(
                #[inline]
                pub(crate) fn $name(&self $(, $argument: $type)*) -> $result {
                    if is_on() {
                        return measured::$name(self $(, $argument)*);
                    }
                    // SAFETY: only operations of this crate call this. Their views and outputs are those of tensors, whose memory
                    // lives as long as they are borrowed and is initialized; an output is fresh, or its tensor is the only
                    // owner of its memory; shapes, dtypes and devices were checked by the operation.
                    unsafe { self.backend().$name($($argument),*) }
                }
            )+

            /// See [`crate::Backend::run`].
            pub(crate) fn run(&self, call: &Call<'_>) -> Result<Ran> {
                if is_on() {
                    return measured::run(self, call);
                }
                // SAFETY: as above.
                unsafe { self.backend().run(call) }
            }
        }

        /// The same in a profile. They are apart, so that an operation outside of one pays for a flag alone.
        mod measured {
            use super::*;
            $(
                #[cold]
                #[inline(never)]
                pub(super) fn $name(device: &Device $(, $argument: $type)*) -> $result {
                    let timed = Timed::begin(work::$name($(&$argument),*));
                    // SAFETY: as above.
                    unsafe { device.backend().$name($($argument),*) }?;
                    timed.end(device)
                }
            )+

            #[cold]
            #[inline(never)]
            pub(super) fn run(device: &Device, call: &Call<'_>) -> Result<Ran> {
                let timed = Timed::begin(Work::of_call(call));
                // SAFETY: as above.
                let ran = unsafe { device.backend().run(call) }?;
                // What is composed is measured by its parts.
                if ran == Ran::Done {
                    timed.end(device)?;
                }
                Ok(ran)
            }
        }
    };
}
for_each_primitive!(primitives!);
