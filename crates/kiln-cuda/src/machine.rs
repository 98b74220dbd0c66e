//! What a GPU must do for the backend: memory, copies and launches, in the order in which they are asked for.

use cuda_std::{Launch, LaunchError, Launcher};
use gpu_kernels::Ptx;
use std::fmt;

/// One GPU, or what stands in for one: launches (its [`Launcher`]) and memory.
///
/// Everything is queued on one stream and happens in order. A machine may work on after a call has returned; what goes wrong then is
/// reported by a later call, at the latest by [`Machine::synchronize`].
pub(crate) trait Machine: Launcher + Send + Sync + 'static {
    /// The device's name as users type it: `sim`, `cuda:0`.
    fn name(&self) -> &str;

    /// What launches are shaped by.
    fn properties(&self) -> Properties;

    /// Launches a kernel that is not Kiln's own: a card finds it in this PTX, which it loads once.
    fn launch_from(&self, ptx: &Ptx, launch: &Launch<'_>) -> Result<(), LaunchError>;

    /// Memory of `bytes` > 0, at a multiple of 256. Its content is anything.
    fn alloc(&self, bytes: usize) -> Result<u64, Failure>;

    /// Gives memory back, once the work queued so far has been done.
    fn free(&self, address: u64, bytes: usize);

    /// Bytes that have been given back, and that are kept for the next who asks.
    fn kept(&self) -> usize {
        0
    }

    /// Gives what is kept back to the system.
    fn trim(&self) {}

    /// Host to device. The host's bytes may change once this returns.
    fn upload(&self, to: u64, from: &[u8]) -> Result<(), Failure>;

    /// Device to host; waits for the work queued before.
    fn download(&self, to: &mut [u8], from: u64) -> Result<(), Failure>;

    /// Sets bytes to 0.
    fn zero(&self, to: u64, bytes: usize) -> Result<(), Failure>;

    /// Waits for all queued work.
    fn synchronize(&self) -> Result<(), Failure>;
}

/// What the shapes of launches depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Properties {
    /// Multiprocessors: the blocks of a launch that are worked on at a time, at least.
    pub(crate) multiprocessors: usize,
}

/// Why a machine failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is not so much memory.
    Memory {
        /// What was asked for.
        bytes: usize,
    },
    /// Anything else, where there is a driver: from now on the device's memory holds anything, and it does nothing more.
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "the simulator's faults come from its launches"))]
    Fault(LaunchError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Memory { bytes } => write!(f, "out of device memory: {bytes} bytes were asked for"),
            Failure::Fault(error) => error.fmt(f),
        }
    }
}
