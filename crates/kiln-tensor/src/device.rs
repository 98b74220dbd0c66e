//! Devices: handles to backends.

use crate::{Backend, MemoryStats, Result};
use std::fmt;
use std::sync::Arc;

/// A device that holds tensors and computes with them: a cheap handle to its [`Backend`].
#[derive(Clone)]
pub struct Device(Arc<dyn Backend>);

impl Device {
    /// A device of this backend.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Device(backend)
    }

    /// The CPU, with the best instruction set that this machine has (or `KILN_ISA` names).
    pub fn cpu() -> Self {
        Device(crate::cpu::shared())
    }

    /// The CPU held to one instruction set; an unavailable one computes as the portable.
    pub fn cpu_with(isa: kiln_cpu::Isa) -> Self {
        Device(Arc::new(crate::cpu::CpuBackend::new(isa)))
    }

    /// The backend.
    #[inline]
    pub fn backend(&self) -> &dyn Backend {
        &*self.0
    }

    /// The name as users type it: `cpu`, `sim`, `cuda:0`.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Waits for all queued work.
    ///
    /// # Errors
    /// A fault of the device that surfaced.
    pub fn synchronize(&self) -> Result<()> {
        self.0.synchronize()
    }

    /// Bytes held by tensors, now and at most.
    pub fn memory(&self) -> MemoryStats {
        self.0.memory()
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
impl Eq for Device {}

impl Default for Device {
    fn default() -> Self {
        Device::cpu()
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.name())
    }
}
