//! What the driver's functions answer.

use crate::library::{missing_driver, symbol};
use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::fmt;

/// A call to the driver that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The driver's function.
    pub call: &'static str,
    /// Why it failed.
    pub cause: Cause,
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There is no driver.
    NoDriver,
    /// The driver has no such function.
    NoFunction,
    /// The driver answered this number, a `CUresult` other than 0.
    Status(u32),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { call, cause } = self;
        match *cause {
            Cause::NoDriver => f.write_str(missing_driver().unwrap_or("no NVIDIA driver was found")),
            Cause::NoFunction => write!(f, "the NVIDIA driver has no {call}: it is of another version"),
            Cause::Status(status) => match (text("cuGetErrorName", status), text("cuGetErrorString", status)) {
                (Some(name), Some(text)) => write!(f, "{call} answered {name} ({status}: {text})"),
                _ => write!(f, "{call} answered {status}"),
            },
        }
    }
}

impl std::error::Error for Failure {}

/// What the driver's `function` says of a status.
fn text(function: &str, status: u32) -> Option<String> {
    type Describe = unsafe extern "C" fn(u32, *mut *const c_char) -> u32;
    let mut text = std::ptr::null();
    // SAFETY: both functions that this is called for are of this type.
    let describe = unsafe { symbol::<Describe>(function) }?;
    // SAFETY: the function writes one pointer.
    let answer = unsafe { describe(status, &raw mut text) };
    if answer != 0 || text.is_null() {
        return None;
    }
    // SAFETY: on success it is a string of the driver's, which lives as long as the driver does.
    Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

thread_local! {
    static LAST: Cell<Option<Failure>> = const { Cell::new(None) };
}

/// The last call on this thread that did not answer 0.
///
/// Right after an error of cust's it is the call that cust's error comes from, with the number that the driver gave.
#[must_use]
pub fn last_failure() -> Option<Failure> {
    LAST.get()
}

/// Maps a call's outcome to the code that cust expects, and records failures.
pub(crate) fn answer(call: &'static str, end: Result<u32, Cause>) -> u32 {
    let (cause, answer) = match end {
        Ok(0) => return 0,
        Ok(status) => (Cause::Status(status), known(status)),
        Err(cause @ Cause::NoFunction) => (cause, NOT_SUPPORTED),
        Err(cause) => (cause, NO_DEVICE),
    };
    LAST.set(Some(Failure { call, cause }));
    answer
}

const NO_DEVICE: u32 = 100;
const NOT_SUPPORTED: u32 = 801;
const UNKNOWN: u32 = 999;

/// The status as cust may see it: it reads the number as an enum, for which any number that the enum lacks is undefined
/// behavior.
fn known(status: u32) -> u32 {
    match status {
        0..=8
        | 34
        | 100..=102
        | 200..=202
        | 205..=224
        | 300..=304
        | 400..=401
        | 500
        | 600
        | 700..=705
        | 708..=720
        | 800..=809
        | 900..=911
        | UNKNOWN => status,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::known;

    /// The numbers of `cust_raw::CUresult`, from its own names.
    const KNOWN: &[cust_raw::CUresult] = &{
        use cust_raw::CUresult::*;
        [
            CUDA_SUCCESS,
            CUDA_ERROR_INVALID_VALUE,
            CUDA_ERROR_OUT_OF_MEMORY,
            CUDA_ERROR_NOT_INITIALIZED,
            CUDA_ERROR_DEINITIALIZED,
            CUDA_ERROR_PROFILER_DISABLED,
            CUDA_ERROR_PROFILER_NOT_INITIALIZED,
            CUDA_ERROR_PROFILER_ALREADY_STARTED,
            CUDA_ERROR_PROFILER_ALREADY_STOPPED,
            CUDA_ERROR_STUB_LIBRARY,
            CUDA_ERROR_NO_DEVICE,
            CUDA_ERROR_INVALID_DEVICE,
            CUDA_ERROR_DEVICE_NOT_LICENSED,
            CUDA_ERROR_INVALID_IMAGE,
            CUDA_ERROR_INVALID_CONTEXT,
            CUDA_ERROR_CONTEXT_ALREADY_CURRENT,
            CUDA_ERROR_MAP_FAILED,
            CUDA_ERROR_UNMAP_FAILED,
            CUDA_ERROR_ARRAY_IS_MAPPED,
            CUDA_ERROR_ALREADY_MAPPED,
            CUDA_ERROR_NO_BINARY_FOR_GPU,
            CUDA_ERROR_ALREADY_ACQUIRED,
            CUDA_ERROR_NOT_MAPPED,
            CUDA_ERROR_NOT_MAPPED_AS_ARRAY,
            CUDA_ERROR_NOT_MAPPED_AS_POINTER,
            CUDA_ERROR_ECC_UNCORRECTABLE,
            CUDA_ERROR_UNSUPPORTED_LIMIT,
            CUDA_ERROR_CONTEXT_ALREADY_IN_USE,
            CUDA_ERROR_PEER_ACCESS_UNSUPPORTED,
            CUDA_ERROR_INVALID_PTX,
            CUDA_ERROR_INVALID_GRAPHICS_CONTEXT,
            CUDA_ERROR_NVLINK_UNCORRECTABLE,
            CUDA_ERROR_JIT_COMPILER_NOT_FOUND,
            CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
            CUDA_ERROR_JIT_COMPILATION_DISABLED,
            CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY,
            CUDA_ERROR_INVALID_SOURCE,
            CUDA_ERROR_FILE_NOT_FOUND,
            CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND,
            CUDA_ERROR_SHARED_OBJECT_INIT_FAILED,
            CUDA_ERROR_OPERATING_SYSTEM,
            CUDA_ERROR_INVALID_HANDLE,
            CUDA_ERROR_ILLEGAL_STATE,
            CUDA_ERROR_NOT_FOUND,
            CUDA_ERROR_NOT_READY,
            CUDA_ERROR_ILLEGAL_ADDRESS,
            CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES,
            CUDA_ERROR_LAUNCH_TIMEOUT,
            CUDA_ERROR_LAUNCH_INCOMPATIBLE_TEXTURING,
            CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED,
            CUDA_ERROR_PEER_ACCESS_NOT_ENABLED,
            CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE,
            CUDA_ERROR_CONTEXT_IS_DESTROYED,
            CUDA_ERROR_ASSERT,
            CUDA_ERROR_TOO_MANY_PEERS,
            CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
            CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED,
            CUDA_ERROR_HARDWARE_STACK_ERROR,
            CUDA_ERROR_ILLEGAL_INSTRUCTION,
            CUDA_ERROR_MISALIGNED_ADDRESS,
            CUDA_ERROR_INVALID_ADDRESS_SPACE,
            CUDA_ERROR_INVALID_PC,
            CUDA_ERROR_LAUNCH_FAILED,
            CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
            CUDA_ERROR_NOT_PERMITTED,
            CUDA_ERROR_NOT_SUPPORTED,
            CUDA_ERROR_SYSTEM_NOT_READY,
            CUDA_ERROR_SYSTEM_DRIVER_MISMATCH,
            CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE,
            CUDA_ERROR_MPS_CONNECTION_FAILED,
            CUDA_ERROR_MPS_RPC_FAILURE,
            CUDA_ERROR_MPS_SERVER_NOT_READY,
            CUDA_ERROR_MPS_MAX_CLIENTS_REACHED,
            CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED,
            CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
            CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
            CUDA_ERROR_STREAM_CAPTURE_MERGE,
            CUDA_ERROR_STREAM_CAPTURE_UNMATCHED,
            CUDA_ERROR_STREAM_CAPTURE_UNJOINED,
            CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
            CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
            CUDA_ERROR_CAPTURED_EVENT,
            CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD,
            CUDA_ERROR_TIMEOUT,
            CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE,
            CUDA_ERROR_EXTERNAL_DEVICE,
            CUDA_ERROR_UNKNOWN,
        ]
    };

    #[test]
    fn what_the_enum_has_stays_and_all_else_is_unknown() {
        let has = |status: u32| KNOWN.iter().any(|&known| known as u32 == status);
        for status in 0..2000 {
            assert_eq!(known(status), if has(status) { status } else { 999 }, "{status}");
        }
        assert_eq!(known(u32::MAX), 999);
    }
}
