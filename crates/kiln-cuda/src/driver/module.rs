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
    text: &'static str,
    functions: HashMap<&'static str, Function<'static>>,
}

impl Kernels {
    /// Compiles the PTX for the current context's card. The driver keeps what it compiled on disk, for the next run.
    pub(super) fn load(text: &'static str) -> Result<Self, DriverError> {
        let ptx = CString::new(text).map_err(|_| DriverError::new("the kernels' PTX holds a NUL".into()))?;
        let module = Module::from_ptx_cstr(&ptx, &[]).map_err(|error| {
            let error = DriverError::from(error);
            match compiler_log(&ptx) {
                Some(log) => error.with(&format!("; the driver's compiler says: {log}")),
                None => error,
            }
        })?;
        Ok(Kernels { module: Box::leak(Box::new(module)), text, functions: HashMap::new() })
    }

    /// The kernel's function, which takes the parameters that the kernel is launched with, and may have as much shared memory as it
    /// declares.
    pub(super) fn function(&mut self, kernel: &KernelInfo) -> Result<&Function<'static>, DriverError> {
        use std::collections::hash_map::Entry;
        match self.functions.entry(kernel.name()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let of = |error: DriverError| error.with(&format!(" for kernel {}", kernel.name()));
                let function = self.module.get_function(kernel.name()).map_err(|error| of(error.into()))?;
                check_parameters(self.text, kernel)?;
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

/// Bytes of the parameters of an entry: those of its one struct, 0 where it has none. `None` where they cannot be told.
fn parameter_bytes(text: &str, entry: &str) -> Option<usize> {
    let (_, rest) = text.split_once(&format!(".entry {entry}("))?;
    let (list, _) = rest.split_once(')')?;
    if list.trim().is_empty() {
        return Some(0);
    }
    list.trim().strip_suffix(']')?.rsplit_once('[')?.1.parse().ok()
}

/// The driver reads as many bytes as the PTX says: where this program gives others, the PTX is not of its kernels.
fn check_parameters(text: &str, kernel: &KernelInfo) -> Result<(), DriverError> {
    let (found, given) = (parameter_bytes(text, kernel.name()), kernel.parameters().size());
    if found == Some(given) {
        return Ok(());
    }
    let takes = found.map_or_else(|| "other parameters".to_owned(), |bytes| format!("{bytes} bytes of parameters"));
    Err(DriverError::new(format!(
        "kernel {} takes {takes} in the PTX, this program gives it {given} bytes: run `cargo xtask build-kernels`",
        kernel.name()
    )))
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

#[cfg(test)]
mod tests {
    use super::parameter_bytes;

    #[test]
    fn an_entry_says_how_many_bytes_it_takes() {
        let text = ".visible .entry fill(\n\t.param .align 8 .b8 param_0[24]\n)\n{ }\n.visible .entry fill_b(.param .align 8 \
                    .b8 given[4112])\n.maxntid 256\n{ }\n.visible .entry nothing()\n{ }\n.visible .entry word(.param .u64 x)";
        assert_eq!(
            ["fill", "fill_b", "nothing"].map(|name| parameter_bytes(text, name)),
            [Some(24), Some(4112), Some(0)]
        );
        assert_eq!(["word", "fil", "absent"].map(|name| parameter_bytes(text, name)), [None; 3]);
        // Kiln's own, as the compiler writes them.
        for entry in gpu_kernels::entries().step_by(30) {
            let bytes = parameter_bytes(gpu_kernels::PTX.sm_80, entry.name());
            assert_eq!(bytes, Some(entry.parameters().size()), "{}", entry.name());
        }
    }
}
