//! The kernels' PTX, compiled by the driver.

use super::error::{DriverError, check};
use cuda_std::KernelInfo;
use cuda_std::launch::DEFAULT_SHARED;
use cust::function::Function;
use cust::module::Module;
use cust::sys;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_uint, c_void};
use std::ptr::{null_mut, without_provenance_mut};

/// What a card has loaded: Kiln's kernels, and those of operations from outside.
pub(super) struct Modules {
    /// Kiln's own.
    pub(super) own: Kernels,
    /// The others, by address and length of the text that they were compiled from.
    outside: HashMap<(usize, usize), Kernels>,
}

impl Modules {
    pub(super) fn new(own: Kernels) -> Self {
        Modules { own, outside: HashMap::new() }
    }

    /// The kernels of a PTX from outside, compiled when they are first asked for.
    pub(super) fn outside(&mut self, ptx: &'static str) -> Result<&mut Kernels, DriverError> {
        use std::collections::hash_map::Entry;
        match self.outside.entry((ptx.as_ptr().addr(), ptx.len())) {
            Entry::Occupied(loaded) => Ok(loaded.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(Kernels::load(ptx)?)),
        }
    }
}

/// The compiled kernels, and those that have been looked up.
pub(super) struct Kernels {
    /// Never unloaded: it goes with the context, and functions borrow from it.
    module: &'static Module,
    functions: HashMap<&'static str, Function<'static>>,
}

impl Kernels {
    /// Compiles the PTX for the current context's card. The driver keeps what it compiled on disk, for the next run.
    pub(super) fn load(ptx: &str) -> Result<Self, DriverError> {
        let ptx = CString::new(ptx).map_err(|_| DriverError::new("the kernels' PTX holds a NUL".into()))?;
        let module = Module::from_ptx_cstr(&ptx, &[]).map_err(|error| {
            let error = DriverError::from(error);
            match compiler_log(&ptx) {
                Some(log) => error.with(&format!("; the driver's compiler says: {log}")),
                None => error,
            }
        })?;
        Ok(Kernels { module: Box::leak(Box::new(module)), functions: HashMap::new() })
    }

    /// The kernel's function, which may have as much shared memory as the kernel declares.
    pub(super) fn function(&mut self, kernel: &KernelInfo) -> Result<&Function<'static>, DriverError> {
        use std::collections::hash_map::Entry;
        match self.functions.entry(kernel.name()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let of = |error: DriverError| error.with(&format!(" for kernel {}", kernel.name()));
                let function = self.module.get_function(kernel.name()).map_err(|error| of(error.into()))?;
                if kernel.max_shared() > DEFAULT_SHARED {
                    let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
                    let bytes = i32::try_from(kernel.max_shared()).unwrap_or(i32::MAX);
                    // SAFETY: the function belongs to the module, which is never unloaded.
                    check(unsafe { sys::cuFuncSetAttribute(function.to_raw(), attribute, bytes) }).map_err(of)?;
                }
                Ok(place.insert(function))
            }
        }
    }
}

/// What the driver's compiler says of PTX that it has refused.
fn compiler_log(ptx: &CStr) -> Option<String> {
    let mut log = vec![0u8; 4096];
    let mut options =
        [sys::CUjit_option::CU_JIT_ERROR_LOG_BUFFER, sys::CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES];
    // Values that are no pointers travel as pointers. The last byte stays 0.
    let mut values: [*mut c_void; 2] = [log.as_mut_ptr().cast(), without_provenance_mut(log.len() - 1)];
    let mut module = null_mut();
    // SAFETY: the text ends with a NUL; the options and their values are two each and outlive the call, and so does the
    // log.
    let answer = unsafe {
        let (options, values) = (options.as_mut_ptr(), values.as_mut_ptr());
        sys::cuModuleLoadDataEx(&raw mut module, ptx.as_ptr().cast(), 2 as c_uint, options, values)
    };
    if answer == sys::CUresult::CUDA_SUCCESS {
        // SAFETY: it has just been loaded, and nothing uses it.
        unsafe { sys::cuModuleUnload(module) };
    }
    let log = CStr::from_bytes_until_nul(&log).ok()?.to_string_lossy();
    let log = log.split_whitespace().collect::<Vec<_>>().join(" ");
    (!log.is_empty()).then_some(log)
}
