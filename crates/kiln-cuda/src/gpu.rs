//! A GPU: launches in their order, memory, and the fault that ended its work.

use crate::machine::{Failure, Machine};
use crate::tables::Tables;
use cuda_std::{Geometry, Kernel, Launch, LaunchError, Launcher};
use kiln_tensor::{DeviceBuffer, Error, ErrorKind, MemoryStats, Result};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Launches whose names a fault is reported with.
const RECENT: usize = 8;

/// Sizes of memory are multiples of this.
const GRAIN: usize = 256;

/// A machine as a [`kiln_tensor::Backend`] ([`crate::backend`]).
pub(crate) struct Gpu<M: Machine> {
    machine: M,
    state: Mutex<State>,
    tables: Tables,
}

#[derive(Default)]
struct State {
    /// Names of the last launches, the newest last.
    recent: VecDeque<&'static str>,
    /// The fault that ended this device's work.
    fault: Option<String>,
    memory: MemoryStats,
}

impl<M: Machine> Gpu<M> {
    pub(crate) fn new(machine: M) -> Self {
        Gpu { machine, state: Mutex::default(), tables: Tables::default() }
    }

    pub(crate) fn machine(&self) -> &M {
        &self.machine
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Gives memory that is kept for later back to the system.
    pub(crate) fn trimmed(&self) {
        self.tables.clear(&self.machine);
        self.machine.trim();
    }

    /// How much memory is in use.
    pub(crate) fn memory_stats(&self) -> MemoryStats {
        MemoryStats { cached: self.machine.kept() + self.tables.memory(), ..self.state().memory }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done where the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error where the device has had a fault.
    pub(crate) fn sound(&self) -> Result<()> {
        match &self.state().fault {
            None => Ok(()),
            Some(fault) => Err(Error::new(ErrorKind::Fault, "", format!("{}: {fault}", self.machine.name()))),
        }
    }

    /// Takes down the first fault, with the launches before it.
    fn fault(&self, what: &str) {
        let mut state = self.state();
        if state.fault.is_none() {
            let recent: Vec<&str> = state.recent.iter().copied().collect();
            let after =
                if recent.is_empty() { String::new() } else { format!("; the last launches: {}", recent.join(", ")) };
            state.fault = Some(format!("{what}{after}; the device does nothing more in this process"));
        }
    }

    /// What became of a call that waits for the device: its own failure, or a fault from before.
    pub(crate) fn waited(&self, outcome: std::result::Result<(), Failure>) -> Result<()> {
        match outcome {
            Ok(()) => {}
            Err(Failure::Memory { bytes }) => {
                return Err(kiln_tensor::out_of_memory(bytes, self.memory_stats(), "device memory", None));
            }
            Err(Failure::Fault(error)) => self.fault(&error.to_string()),
        }
        self.sound()
    }

    /// What became of a launch: a refusal is an error at once, a fault surfaces at the next synchronization.
    pub(crate) fn launched(&self, outcome: std::result::Result<(), LaunchError>) -> Result<()> {
        match outcome {
            Ok(()) => Ok(()),
            Err(error @ LaunchError::Refused { .. }) => Err(Error::new(ErrorKind::Unsupported, "", error.to_string())),
            Err(error) => {
                self.fault(&error.to_string());
                Ok(())
            }
        }
    }

    /// Takes down the name of a launch and has the machine do it; after a fault nothing is launched.
    pub(crate) fn queued(
        &self,
        launch: &Launch<'_>,
        run: impl FnOnce(&M) -> std::result::Result<(), LaunchError>,
    ) -> std::result::Result<(), LaunchError> {
        let mut state = self.state();
        if state.fault.is_some() {
            return Ok(()); // reported by the next call that waits
        }
        if state.recent.len() == RECENT {
            state.recent.pop_front();
        }
        state.recent.push_back(launch.kernel().name());
        drop(state);
        run(&self.machine)
    }

    /// Launches a kernel.
    pub(crate) fn run(&self, kernel: impl Kernel, geometry: Geometry) -> Result<()> {
        self.launched(kernel.launch(self, geometry))
    }

    /// Launches a kernel for one value of its constant.
    pub(crate) fn run_with(&self, constant: usize, kernel: impl Kernel, geometry: Geometry) -> Result<()> {
        self.launched(kernel.launch_with(constant, self, geometry))
    }

    /// Memory of at least so many bytes.
    pub(crate) fn allocated(&self, bytes: usize) -> Result<DeviceBuffer> {
        self.sound()?;
        // A size that overflows is refused by the machine.
        let bytes = bytes.max(1).checked_next_multiple_of(GRAIN).unwrap_or(usize::MAX);
        let mut address = 0;
        self.waited(self.machine.alloc(bytes).map(|at| address = at))?;
        let memory = &mut self.state().memory;
        memory.live += bytes;
        memory.peak = memory.peak.max(memory.live);
        Ok(DeviceBuffer { address: address as usize, bytes })
    }

    /// As [`Gpu::allocated`], all bytes 0.
    pub(crate) fn zeroed(&self, bytes: usize) -> Result<DeviceBuffer> {
        let buffer = self.allocated(bytes)?;
        if let Err(error) = self.waited(self.machine.zero(buffer.address as u64, buffer.bytes)) {
            self.freed(buffer);
            return Err(error);
        }
        Ok(buffer)
    }

    /// Copies bytes from the host.
    pub(crate) fn uploaded(&self, to: DeviceBuffer, offset: usize, from: &[u8]) -> Result<()> {
        self.waited(self.machine.upload((to.address + offset) as u64, from))
    }

    /// Copies bytes to the host.
    pub(crate) fn downloaded(&self, to: &mut [u8], from: DeviceBuffer, offset: usize) -> Result<()> {
        self.waited(self.machine.download(to, (from.address + offset) as u64))
    }

    /// Waits for all work.
    pub(crate) fn synchronized(&self) -> Result<()> {
        self.waited(self.machine.synchronize())
    }

    /// Gives memory back.
    pub(crate) fn freed(&self, buffer: DeviceBuffer) {
        self.machine.free(buffer.address as u64, buffer.bytes);
        self.state().memory.live -= buffer.bytes;
    }
}

impl<M: Machine> Drop for Gpu<M> {
    fn drop(&mut self) {
        self.tables.clear(&self.machine);
    }
}

impl<M: Machine> Launcher for Gpu<M> {
    fn launch(&self, launch: &Launch<'_>) -> std::result::Result<(), LaunchError> {
        self.queued(launch, |machine| machine.launch(launch))
    }
}
