//! Coarse operations: each call to its kernel.

use super::CpuBackend;
use crate::{Call, Ran, Result};

/// A call that the CPU has an answer to.
pub(super) trait OnCpu {
    /// Runs the call's kernel, or answers [`Ran::NotHere`].
    ///
    /// # Safety
    /// As for [`crate::Backend::run`].
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran>;
}

macro_rules! dispatch_calls {
    ($({ $name:literal, $variant:ident, $module:ident::$call:ident, $field:ident })+) => {
        /// See [`crate::Backend::run`].
        ///
        /// # Safety
        /// As there.
        pub(super) unsafe fn run(cpu: &CpuBackend, call: &Call<'_>) -> Result<Ran> {
            match call {
                // SAFETY: the caller's promise.
                $(Call::$variant(call) => unsafe { call.run(cpu) },)+
            }
        }
    };
}
crate::for_each_call!(dispatch_calls);

impl OnCpu for crate::CustomCall<'_> {
    unsafe fn run(&self, _: &CpuBackend) -> Result<Ran> {
        // SAFETY: the caller's promise.
        unsafe { self.run_on_cpu() }
    }
}
