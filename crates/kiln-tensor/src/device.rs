//! Devices: handles to backends.

use crate::{Backend, MemoryStats, Result};
use std::fmt;
use std::sync::Arc;

/// A device that holds tensors and computes with them: a cheap handle to its [`Backend`].
#[derive(Clone)]
pub struct Device(Handle);

/// A backend that lives as long as the process is handed around without counting: every tensor holds its device, and two
/// atomic operations are a fifth of what a small operation costs.
#[derive(Clone)]
enum Handle {
    Static(&'static dyn Backend),
    Shared(Arc<dyn Backend>),
}

impl Device {
    /// A device of this backend.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Device(Handle::Shared(backend))
    }

    /// The CPU, with the best instruction set that this machine has (or `KILN_ISA` names).
    pub fn cpu() -> Self {
        Device(Handle::Static(crate::cpu::shared()))
    }

    /// The CPU held to one instruction set (`cpu/avx2`, say), with memory of its own; an unavailable one computes as the
    /// portable.
    pub fn cpu_with(isa: kiln_cpu::Isa) -> Self {
        let name = format!("cpu/{}", isa.name());
        Device(Handle::Shared(Arc::new(crate::cpu::CpuBackend::new(name, isa))))
    }

    /// The CPU with memory of its own, of which it hands out at most so many bytes: for models and data that come from elsewhere
    /// and may ask for more than they should get. What goes beyond is refused ([`ErrorKind::Memory`](crate::ErrorKind)).
    pub fn cpu_of(bytes: usize) -> Self {
        let backend = crate::cpu::CpuBackend::with_memory("cpu".to_owned(), kiln_cpu::Isa::best(), bytes);
        Device(Handle::Shared(Arc::new(backend)))
    }

    /// The backend.
    #[inline]
    pub fn backend(&self) -> &dyn Backend {
        match &self.0 {
            Handle::Static(backend) => *backend,
            Handle::Shared(backend) => &**backend,
        }
    }

    /// The name as users type it: `cpu`, `sim`, `cuda:0`.
    pub fn name(&self) -> &str {
        self.backend().name()
    }

    /// Waits for all queued work.
    ///
    /// # Errors
    /// A fault of the device that surfaced.
    pub fn synchronize(&self) -> Result<()> {
        self.backend().synchronize()
    }

    /// Runs `run` and gives what it returns, as one session: on the CPU the worker threads stay awake between operations, which
    /// makes small ones several times faster. Training loops belong in one; `fit` enters it by itself.
    ///
    /// A session within a session changes nothing, and sessions of several threads never wait for each other.
    ///
    /// ```
    /// # use kiln_tensor::{DType, Device, Tensor};
    /// let cpu = Device::cpu();
    /// let sum = cpu.session(|| (0..100).try_fold(Tensor::zeros([8], DType::F32, &cpu)?, |sum, _| sum.add_scalar(1.0)))?;
    /// assert_eq!(sum.to_vec::<f32>()?, [100.0; 8]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    pub fn session<R>(&self, run: impl FnOnce() -> R) -> R {
        let (mut run, mut result) = (Some(run), None);
        self.backend().session(&mut || result = run.take().map(|run| run()));
        match (result, run) {
            (Some(result), _) => result,
            (None, Some(run)) => run(),
            (None, None) => unreachable!("a run that has ended has a result"),
        }
    }

    /// Bytes held by tensors, now and at most, and kept for reuse.
    pub fn memory(&self) -> MemoryStats {
        self.backend().memory()
    }

    /// Gives memory that is kept for reuse back to the system: before a pause, or when something else needs it. While a program
    /// computes this is not needed, as what has not been used for a while goes back by itself.
    ///
    /// ```
    /// # use kiln_tensor::{DType, Device, Tensor};
    /// let cpu = Device::cpu();
    /// drop(Tensor::zeros([1000, 1000], DType::F32, &cpu)?);
    /// assert!(cpu.memory().cached >= 4_000_000);
    /// cpu.trim();
    /// assert_eq!(cpu.memory().cached, 0);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    pub fn trim(&self) {
        self.backend().trim();
    }
}

impl PartialEq for Device {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        std::ptr::addr_eq(self.backend(), other.backend())
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
