//! The one way from an operation on tensors to its device.
//!
//! Everything that concerns every launch belongs here: an operation checks its operands and calls one of these.

use crate::plan::kept::Memory;
use crate::plan::maps::MapOperation;
use crate::plan::recorder;
use crate::profile::{Timed, Work, is_on, primitives as work};
use crate::tensor::label_outside;
use crate::{Call, Device, Error, Ran, Result, View};

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
                    let work = work::$name($(&$argument),*);
                    if recorder::is_on() {
                        recorder::primitives::$name(work $(, &$argument)*)?;
                    }
                    let timed = Timed::begin(work);
                    // SAFETY: as above.
                    unsafe { device.backend().$name($($argument),*) }?;
                    timed.end(device)
                }
            )+

            #[cold]
            #[inline(never)]
            pub(super) fn run(device: &Device, call: &Call<'_>) -> Result<Ran> {
                let work = Work::of_call(call);
                if recorder::is_on() {
                    recorder::call(work, call)?;
                }
                let timed = Timed::begin(work);
                // SAFETY: as above.
                let ran = unsafe { device.backend().run(call) }?;
                // What is composed is measured, and recorded, by its parts.
                match ran {
                    Ran::Done => timed.end(device)?,
                    Ran::NotHere => recorder::undo(),
                }
                Ok(ran)
            }
        }
    };
}
for_each_primitive!(primitives!);

impl Device {
    /// Runs a plan's step over maps.
    pub(crate) fn run_map(&self, operation: &MapOperation, memory: &Memory) -> Result<()> {
        let Some(isa) = self.backend().map_kernels() else {
            return Err(Error::value("run", "the device has no kernels for maps"));
        };
        // SAFETY: the plan's buffers are host memory of the sizes that its steps need, and those that are in use at one time are apart.
        unsafe { crate::cpu::maps::run(isa, operation, memory) };
        Ok(())
    }

    /// Fails where a recorded index (row-major, i64, of host memory) is out of range.
    pub(crate) fn check_index(&self, operation: &'static str, index: &View<'_>, size: usize) -> Result<()> {
        // SAFETY: as above; `Tensor::checked_index` records it in that form.
        let values = unsafe {
            let first = (index.buffer.address as *const i64).wrapping_add(index.layout.offset());
            std::slice::from_raw_parts(first, index.layout.shape().elements())
        };
        match kiln_cpu::gather::outside(values, size) {
            Some(row) => Err(label_outside(operation, row, values[row], size)),
            None => Ok(()),
        }
    }
}
