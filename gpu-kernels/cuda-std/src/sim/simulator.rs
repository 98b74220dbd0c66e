//! Launches kernels on the host's threads.

use super::panics;
use super::runner::{Memory, Runner};
use crate::host::fault::SimFault;
use crate::{Launch, LaunchError, Launcher, Span};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Blocks that run at a time, at most. Each may need a stack per thread, and a process has a limited number of mappings.
const MOST_AT_A_TIME: usize = 16;

/// A GPU in software: each thread of a kernel is a coroutine, each block runs on one thread of rayon's pool.
///
/// A launch returns when the kernel has ended. Its memory is the host's: a slice's address is that of host memory.
///
/// These are faults: an access beyond a buffer or window, one to memory that is not aligned for it, a read of shared memory that the
/// block has not written, two accesses to shared memory with no barrier between them of which one writes, a barrier, shuffle or
/// vote that not all threads concerned come to, an access through a view that the launch was not given (a kernel can keep one from an
/// earlier launch), and a panic. Of several faults the one in the lowest block is reported.
/// Races in global memory are not looked for.
pub struct Simulator {
    launches: Mutex<BTreeMap<&'static str, u64>>,
    /// What earlier launches left, for each block that ran at a time.
    memory: Mutex<Vec<Memory>>,
}

/// Nothing is left half done where a lock is held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Simulator {
    /// A simulator.
    ///
    /// The first one puts a panic hook before the process's own, so that a panic inside of a kernel prints nothing.
    #[must_use]
    pub fn new() -> Self {
        panics::install_hook();
        Simulator { launches: Mutex::default(), memory: Mutex::default() }
    }

    /// How often the kernel of this name has been launched, refused launches not counted.
    #[must_use]
    pub fn launches(&self, kernel: &str) -> u64 {
        lock(&self.launches).get(kernel).copied().unwrap_or(0)
    }

    /// Forgets the launches so far.
    pub fn reset_launches(&self) {
        lock(&self.launches).clear();
    }

    /// Runs blocks, one after the other, until there are no more or one has a fault: the fault and its block.
    fn run_blocks(
        &self,
        launch: &Launch<'_>,
        spans: &Arc<[Span]>,
        next: &AtomicU64,
        stop: &AtomicBool,
    ) -> Option<(u64, Box<SimFault>)> {
        let (kernel, geometry) = (launch.kernel(), launch.geometry());
        let memory = lock(&self.memory).pop().unwrap_or_default();
        let mut runner = Runner::new(launch, spans.clone(), memory);
        let mut fault = None;
        let mut run = |body: &dyn Fn()| {
            while !stop.load(Ordering::Relaxed) {
                let linear = next.fetch_add(1, Ordering::Relaxed);
                if linear >= geometry.blocks() {
                    break;
                }
                let [width, height, _] = geometry.grid.map(u64::from);
                let index = [linear % width, linear / width % height, linear / width / height].map(|i| i as u32);
                if let Err(found) = runner.run(index, body) {
                    stop.store(true, Ordering::Relaxed);
                    fault = Some((linear, found));
                }
            }
        };
        if let Some(entry) = kernel.entry() {
            // SAFETY: a launch holds the parameters of its kernel, and `from_raw` was promised that their memory is valid.
            unsafe { entry(launch.parameters().as_ptr().cast(), &mut run) };
        }
        lock(&self.memory).push(runner.into_memory());
        fault
    }
}

impl Default for Simulator {
    fn default() -> Self {
        Simulator::new()
    }
}

impl Launcher for Simulator {
    fn launch(&self, launch: &Launch<'_>) -> Result<(), LaunchError> {
        *lock(&self.launches).entry(launch.kernel().name()).or_default() += 1;
        let (spans, next, stop) = (Arc::from(launch.spans()), AtomicU64::new(0), AtomicBool::new(false));
        let workers = launch.geometry().blocks().min(rayon::current_num_threads().min(MOST_AT_A_TIME) as u64) as usize;
        // Blocks are taken in order, and those that were taken run to their end: the lowest fault is always among those found.
        let fault = if workers <= 1 {
            self.run_blocks(launch, &spans, &next, &stop)
        } else {
            (0..workers)
                .into_par_iter()
                .with_max_len(1)
                .filter_map(|_| self.run_blocks(launch, &spans, &next, &stop))
                .min_by_key(|(block, _)| *block)
        };
        fault.map_or(Ok(()), |(_, fault)| Err(LaunchError::Fault(fault)))
    }
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator").field("launches", &*lock(&self.launches)).finish_non_exhaustive()
    }
}
