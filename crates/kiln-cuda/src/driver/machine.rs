//! One card as a [`Machine`].

use super::devices::{card_at, compute_capability};
use super::error::DriverError;
use super::memory::Memory;
use super::module::{Kernels, Modules};
use super::staging::Staging;
use crate::machine::{Failure, Machine, Properties};
use cuda_std::{Geometry, Launch, LaunchError, Launcher};
use cust::context::{Context, CurrentContext};
use cust::device::{Device, DeviceAttribute};
use cust::error::CudaError;
use cust::function::Function;
use cust::memory::{AsyncCopyDestination, DevicePointer, DeviceSlice};
use cust::stream::{Stream, StreamFlags};
use gpu_kernels::Ptx;
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// A card: its primary context, one stream, and the kernels.
pub(crate) struct Driver {
    name: String,
    properties: Properties,
    compute_capability: (u32, u32),
    modules: Mutex<Modules>,
    staging: Mutex<Staging>,
    /// What went wrong in a call that has no result.
    unreported: OnceLock<DriverError>,
    /// `KILN_SYNC=1`: each launch is waited for.
    synchronous: bool,
    memory: Memory,
    stream: Stream,
    // Last, as the others need it when they are dropped.
    context: Context,
}

impl Driver {
    /// Opens a card and compiles the kernels' PTX for it.
    ///
    /// # Errors
    /// If there is no such card, it is too old or lacks stream-ordered allocation, or its driver does not take the PTX.
    pub(crate) fn open(ordinal: u32, ptx: &Ptx) -> Result<Self, DriverError> {
        let name = format!("cuda:{ordinal}");
        let device = card_at(ordinal)?;
        Driver::start(name.clone(), device, ptx).map_err(|error| error.of(&name))
    }

    fn start(name: String, device: Device, ptx: &Ptx) -> Result<Self, DriverError> {
        let compute_capability = compute_capability(device)?;
        let ptx = ptx.text(compute_capability).map_err(DriverError::new)?;
        let context = Context::new(device)?;
        CurrentContext::set_current(&context)?;
        let memory = Memory::of(device)?;
        let multiprocessors = device.get_attribute(DeviceAttribute::MultiprocessorCount)?;
        let properties = Properties { multiprocessors: usize::try_from(multiprocessors).unwrap_or(1) };
        let stream = Stream::new(StreamFlags::DEFAULT, None)?;
        let kernels = Kernels::load(ptx)?;
        Ok(Driver {
            name,
            properties,
            compute_capability,
            modules: Mutex::new(Modules::new(kernels)),
            staging: Mutex::default(),
            unreported: OnceLock::new(),
            synchronous: std::env::var("KILN_SYNC").is_ok_and(|value| value == "1"),
            memory,
            stream,
            context,
        })
    }

    /// Makes the card the current one of this thread, as all of the driver's calls need it.
    fn enter(&self) -> Result<(), DriverError> {
        if let Some(error) = self.unreported.get() {
            return Err(error.clone());
        }
        CurrentContext::set_current(&self.context).map_err(|error| self.fault(error.into()))
    }

    /// An error that may come from a launch before. The backend adds which launches those were.
    fn fault(&self, error: DriverError) -> DriverError {
        // A launch that has been waited for has done no harm.
        if self.synchronous { error } else { error.with("; with KILN_SYNC=1 a fault names its kernel") }
    }

    fn wait(&self) -> Result<(), DriverError> {
        self.stream.synchronize().map_err(|error| self.fault(error.into()))
    }

    fn modules(&self) -> MutexGuard<'_, Modules> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Launches a function, and says what the driver has against it.
    fn try_launch(&self, function: &Function<'static>, launch: &Launch<'_>) -> Result<(), DriverError> {
        let kernel = launch.kernel().name();
        // The entry's one parameter; the driver copies it before it returns.
        let parameters = [launch.parameters().as_ptr().cast_mut().cast::<c_void>()];
        let Geometry { grid, block, shared_bytes } = launch.geometry();
        // SAFETY: a launch has the parameters that its kernel takes, and a geometry within its limits.
        let end = unsafe {
            self.stream.launch(
                function,
                <(u32, u32, u32)>::from(grid),
                <(u32, u32, u32)>::from(block),
                shared_bytes,
                &parameters,
            )
        };
        end.map_err(|error| {
            let ([x, y, z], [i, j, k]) = (grid, block);
            let what = format!(" to a launch of {kernel} with {x}×{y}×{z} blocks of {i}×{j}×{k} threads");
            DriverError::from(error).with(&what)
        })?;
        if self.synchronous {
            let of = |error| DriverError::from(error).with(&format!(" after the launch of {kernel}"));
            self.stream.synchronize().map_err(of)?;
        }
        Ok(())
    }

    /// The memory of a call's `bytes` at an address.
    fn bytes_at(address: u64, bytes: usize) -> DeviceSlice<u8> {
        // SAFETY: such a slice is an address and a length. What is done with it has a promise of its own.
        unsafe { DeviceSlice::from_raw_parts_mut(DevicePointer::from_raw(address), bytes) }
    }
}

impl Launcher for Driver {
    fn launch(&self, launch: &Launch<'_>) -> Result<(), LaunchError> {
        self.enter()?;
        let mut modules = self.modules();
        let function = modules.own.function(launch.kernel());
        let end = function.and_then(|function| self.try_launch(function, launch));
        Ok(end.map_err(|error| self.fault(error))?)
    }
}

impl Machine for Driver {
    fn name(&self) -> &str {
        &self.name
    }

    fn properties(&self) -> Properties {
        self.properties
    }

    fn launch_from(&self, ptx: &Ptx, launch: &Launch<'_>) -> Result<(), LaunchError> {
        self.enter()?;
        // What was wrong with the PTX has done the device no harm.
        let refused = |error: String| LaunchError::Refused {
            kernel: launch.kernel().name(),
            reason: format!("the PTX that its crate brings: {error}"),
        };
        let text = ptx.text(self.compute_capability).map_err(refused)?;
        let mut modules = self.modules();
        let function = modules.outside(text).and_then(|kernels| kernels.function(launch.kernel()));
        let function = function.map_err(|error| refused(error.to_string()))?;
        Ok(self.try_launch(function, launch).map_err(|error| self.fault(error))?)
    }

    fn alloc(&self, bytes: usize) -> Result<u64, Failure> {
        if let Some(address) = self.memory.reuse(bytes) {
            return Ok(address);
        }
        self.enter()?;
        let first = Memory::take(bytes, &self.stream);
        let address = if matches!(first, Err(CudaError::OutOfMemory)) {
            // Freed memory can be used elsewhere once the work queued before has been done and the pool has given it
            // back.
            self.memory.trim(&self.stream).map_err(|error| self.fault(error))?;
            Memory::take(bytes, &self.stream)
        } else {
            first
        };
        address.map_err(|error| match error {
            CudaError::OutOfMemory => Failure::Memory { bytes },
            error => self.fault(error.into()).into(),
        })
    }

    fn free(&self, address: u64, bytes: usize) {
        self.memory.keep(address, bytes);
    }

    fn kept(&self) -> usize {
        self.memory.bytes_kept()
    }

    fn trim(&self) {
        let end = self.enter().and_then(|()| self.memory.trim(&self.stream).map_err(|error| self.fault(error)));
        if let Err(error) = end {
            // Only the first counts: what follows it is its consequence.
            let _ = self.unreported.set(error);
        }
    }

    fn upload(&self, to: u64, from: &[u8]) -> Result<(), Failure> {
        if from.is_empty() {
            return Ok(());
        }
        self.enter()?;
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the caller names memory of the card that holds the bytes.
        let end = unsafe { staging.upload(to, from, &self.stream) };
        end.map_err(|error| self.fault(error).into())
    }

    fn download(&self, to: &mut [u8], from: u64) -> Result<(), Failure> {
        if to.is_empty() {
            return Ok(());
        }
        self.enter()?;
        // SAFETY: the caller names memory of the card that holds the bytes; the copy is waited for.
        let end = unsafe { Driver::bytes_at(from, to.len()).async_copy_to(to, &self.stream) };
        let end = end.map_err(|error| self.fault(error.into()));
        // Also after an error: nothing may write to the caller's bytes once this has returned.
        let waited = self.wait();
        end?;
        Ok(waited?)
    }

    fn zero(&self, to: u64, bytes: usize) -> Result<(), Failure> {
        if bytes == 0 {
            return Ok(());
        }
        self.enter()?;
        // SAFETY: the caller names memory of the card of that many bytes.
        let end = unsafe { Driver::bytes_at(to, bytes).set_8_async(0, &self.stream) };
        end.map_err(|error| self.fault(error.into()).into())
    }

    fn synchronize(&self) -> Result<(), Failure> {
        self.enter()?;
        Ok(self.wait()?)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Queued copies read the staging memory, and what is dropped next is the current context's. Nobody is left to
        // tell of errors.
        let _ = self.enter();
        let _ = self.stream.synchronize();
        let _ = self.memory.trim(&self.stream);
    }
}
