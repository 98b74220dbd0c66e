//! The simulator as a machine: kernels run on the CPU, memory is the host's.

use crate::gpu::Gpu;
use crate::machine::{Failure, Machine, Properties};
use cuda_std::{Launch, LaunchError, Launcher, Simulator};
use gpu_kernels::Ptx;
use kiln_tensor::{Backend, Device};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Alignment of every buffer, that of a driver's.
const ALIGN: usize = 256;

/// As few as a small card has, so that tests reach the larger tiles with small products.
const MULTIPROCESSORS: usize = 8;

/// Host memory and [`Simulator`].
#[derive(Default)]
struct Host {
    simulator: Simulator,
    downloads: AtomicU64,
    synchronizations: AtomicU64,
}

/// The GPU's kernels on the CPU, every access checked: `--device sim`.
pub fn simulator() -> Device {
    Simulated::new().device()
}

/// A simulated GPU that can be asked what it ran.
#[derive(Clone)]
pub struct Simulated(Arc<Gpu<Host>>);

impl Simulated {
    /// A GPU of its own.
    #[must_use]
    pub fn new() -> Self {
        Simulated(Arc::new(Gpu::new(Host::default())))
    }

    /// The device that tensors are put on.
    #[must_use]
    pub fn device(&self) -> Device {
        Device::new(Arc::clone(&self.0) as Arc<dyn Backend>)
    }

    #[cfg(test)]
    pub(crate) fn gpu(&self) -> &Gpu<impl Machine + use<>> {
        &self.0
    }

    /// How often the kernel of this name has been launched.
    #[must_use]
    pub fn launches(&self, kernel: &str) -> u64 {
        self.0.machine().simulator.launches(kernel)
    }

    /// How often bytes were copied to the host, which waits for the device then.
    #[must_use]
    pub fn downloads(&self) -> u64 {
        self.0.machine().downloads.load(Ordering::Relaxed)
    }

    /// How often the device was waited for without a copy.
    #[must_use]
    pub fn synchronizations(&self) -> u64 {
        self.0.machine().synchronizations.load(Ordering::Relaxed)
    }
}

impl Default for Simulated {
    fn default() -> Self {
        Simulated::new()
    }
}

impl Launcher for Host {
    fn launch(&self, launch: &Launch<'_>) -> Result<(), LaunchError> {
        self.simulator.launch(launch)
    }
}

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes, ALIGN).ok()
}

impl Machine for Host {
    fn name(&self) -> &str {
        "sim"
    }

    fn properties(&self) -> Properties {
        Properties { multiprocessors: MULTIPROCESSORS }
    }

    fn launch_from(&self, _: &Ptx, launch: &Launch<'_>) -> Result<(), LaunchError> {
        self.launch(launch) // it has the kernel's body
    }

    fn alloc(&self, bytes: usize) -> Result<u64, Failure> {
        let layout = layout(bytes).filter(|layout| layout.size() > 0).ok_or(Failure::Memory { bytes })?;
        // SAFETY: the size is not 0.
        let memory = unsafe { alloc_zeroed(layout) };
        if memory.is_null() { Err(Failure::Memory { bytes }) } else { Ok(memory.expose_provenance() as u64) }
    }

    fn free(&self, address: u64, bytes: usize) {
        if let Some(layout) = layout(bytes) {
            // SAFETY: from `alloc` with this size; launches have ended when they return, so nothing uses it.
            unsafe { dealloc(std::ptr::with_exposed_provenance_mut(address as usize), layout) };
        }
    }

    fn upload(&self, to: u64, from: &[u8]) -> Result<(), Failure> {
        let to: *mut u8 = std::ptr::with_exposed_provenance_mut(to as usize);
        // SAFETY: within a buffer of the caller's, which no launch uses now.
        unsafe { to.copy_from_nonoverlapping(from.as_ptr(), from.len()) };
        Ok(())
    }

    fn download(&self, to: &mut [u8], from: u64) -> Result<(), Failure> {
        self.downloads.fetch_add(1, Ordering::Relaxed);
        let from: *const u8 = std::ptr::with_exposed_provenance(from as usize);
        // SAFETY: as in `upload`.
        unsafe { from.copy_to_nonoverlapping(to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    fn zero(&self, to: u64, bytes: usize) -> Result<(), Failure> {
        let to: *mut u8 = std::ptr::with_exposed_provenance_mut(to as usize);
        // SAFETY: as in `upload`.
        unsafe { to.write_bytes(0, bytes) };
        Ok(())
    }

    fn synchronize(&self) -> Result<(), Failure> {
        self.synchronizations.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
