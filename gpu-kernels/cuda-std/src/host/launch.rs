//! Launches: a kernel, a geometry, and the parameters that it takes.

use super::fault::SimFault;
use crate::{Parameter, Span};
use std::alloc::Layout;
use std::fmt;
use std::mem::MaybeUninit;

/// What launches kernels: the simulator, or a device behind a driver.
pub trait Launcher {
    /// Launches a kernel. A device may report later what goes wrong inside it.
    ///
    /// # Errors
    /// If the launch is refused, or a fault is known when it returns.
    fn launch(&self, launch: &Launch<'_>) -> Result<(), LaunchError>;
}

/// How many threads a launch has, and how much shared memory each block of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Blocks along x, y and z.
    pub grid: [u32; 3],
    /// Threads of a block along x, y and z.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory of a block.
    pub shared_bytes: u32,
}

/// Most blocks along each axis.
const MAX_GRID: [u32; 3] = [i32::MAX as u32, 65535, 65535];
/// Most threads of a block along each axis.
const MAX_BLOCK: [u32; 3] = [1024, 1024, 64];
/// Bytes of dynamic shared memory that a block may have unless its kernel declares more.
pub const DEFAULT_SHARED: u32 = 48 << 10;

impl Geometry {
    /// `blocks` blocks of `threads` threads along x, without shared memory.
    #[must_use]
    pub const fn linear(blocks: u32, threads: u32) -> Self {
        Geometry { grid: [blocks, 1, 1], block: [threads, 1, 1], shared_bytes: 0 }
    }

    /// Blocks of `threads` threads along x, as many as give each of `elements` one; at least one block.
    #[must_use]
    pub const fn cover(elements: usize, threads: u32) -> Self {
        let blocks = if threads == 0 { 0 } else { elements.div_ceil(threads as usize) };
        // A grid that is too large stays too large, so that the launch refuses it.
        let blocks = if blocks > u32::MAX as usize { u32::MAX } else { blocks as u32 };
        Geometry::linear(if blocks == 0 { 1 } else { blocks }, threads)
    }

    /// The same with `bytes` of dynamic shared memory for each block.
    #[must_use]
    pub const fn with_shared(self, bytes: u32) -> Self {
        Geometry { shared_bytes: bytes, ..self }
    }

    /// Threads of a block.
    #[must_use]
    pub const fn threads_per_block(&self) -> u64 {
        // At most three numbers of 32 bits: beyond 64 bits it is too many in any case.
        (self.block[0] as u64 * self.block[1] as u64).saturating_mul(self.block[2] as u64)
    }

    /// Blocks of the grid.
    #[must_use]
    pub const fn blocks(&self) -> u64 {
        (self.grid[0] as u64 * self.grid[1] as u64).saturating_mul(self.grid[2] as u64)
    }

    /// Whether the kernel can be launched so.
    fn check(&self, kernel: &'static KernelInfo) -> Result<(), LaunchError> {
        let refused = |reason| Err(kernel.refused(reason));
        let sides = [("grid", "blocks", self.grid, MAX_GRID), ("block", "threads", self.block, MAX_BLOCK)];
        for (whole, parts, sizes, most) in sides {
            for ((size, most), axis) in sizes.into_iter().zip(most).zip(["x", "y", "z"]) {
                if size == 0 || size > most {
                    return refused(format!("a {whole} of {size} {parts} along {axis}; it may have 1 to {most}"));
                }
            }
        }
        let (threads, most) = (self.threads_per_block(), kernel.max_threads);
        if threads > u64::from(most) {
            return refused(format!("a block of {threads} threads; the kernel declares at most {most}"));
        }
        let (bytes, most) = (self.shared_bytes, kernel.max_shared);
        if bytes > most {
            return refused(format!("{bytes} bytes of shared memory for a block; the kernel declares at most {most}"));
        }
        Ok(())
    }
}

/// What the host knows of an entry.
#[derive(Debug)]
pub struct KernelInfo {
    name: &'static str,
    constant: Option<usize>,
    max_threads: u32,
    max_shared: u32,
    parameters: Layout,
    #[cfg(feature = "sim")]
    entry: Option<Entry>,
}

/// Reads the parameters at an address, then gives the body of one thread to the second argument.
///
/// Unsafe, as the parameters must be of the kernel's type.
#[doc(hidden)]
pub type Entry = unsafe fn(*const u8, &mut dyn FnMut(&dyn Fn()));

impl KernelInfo {
    #[doc(hidden)]
    #[must_use]
    pub const fn new<P: Parameter>(name: &'static str, max_threads: u32, max_shared: u32) -> Self {
        // Not a number where there is padding between parameters.
        const { assert!(size_of::<P>() >= P::BYTES) };
        KernelInfo {
            name,
            constant: None,
            max_threads,
            max_shared,
            parameters: Layout::new::<P>(),
            #[cfg(feature = "sim")]
            entry: None,
        }
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn with_constant(self, constant: usize) -> Self {
        KernelInfo { constant: Some(constant), ..self }
    }

    #[doc(hidden)]
    #[cfg(feature = "sim")]
    #[must_use]
    pub const fn with_entry(self, entry: Entry) -> Self {
        KernelInfo { entry: Some(entry), ..self }
    }

    /// The name of the kernel's entry in the PTX.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The value of the kernel's constant, where it has one.
    #[must_use]
    pub const fn constant(&self) -> Option<usize> {
        self.constant
    }

    /// Size and alignment of the parameters, as of the one parameter of the entry.
    #[must_use]
    pub const fn parameters(&self) -> Layout {
        self.parameters
    }

    /// The most threads that a block may have.
    #[must_use]
    pub const fn max_threads(&self) -> u32 {
        self.max_threads
    }

    /// The most bytes of dynamic shared memory that a block may have.
    #[must_use]
    pub const fn max_shared(&self) -> u32 {
        self.max_shared
    }

    /// The error that it cannot be launched with that.
    pub(crate) fn refused(&self, reason: String) -> LaunchError {
        LaunchError::Refused { kernel: self.name, reason }
    }

    #[cfg(feature = "sim")]
    pub(crate) fn entry(&self) -> Option<Entry> {
        self.entry
    }
}

/// A kernel with a geometry it can have and the parameters it takes. Only [`Kernel`](crate::Kernel) makes one.
#[derive(Debug)]
pub struct Launch<'a> {
    kernel: &'static KernelInfo,
    geometry: Geometry,
    parameters: &'a [MaybeUninit<u8>],
    views: Views,
}

/// [`Parameter::views`] of the parameters at an address, which must be of the type that it was made for.
type Views = unsafe fn(*const u8, &mut dyn FnMut(Span));

impl<'a> Launch<'a> {
    /// A launch, if the geometry fits.
    ///
    /// # Safety
    /// `P` is the type of the kernel's parameters.
    #[doc(hidden)]
    pub unsafe fn new<P: Parameter>(
        kernel: &'static KernelInfo,
        geometry: Geometry,
        parameters: &'a P,
    ) -> Result<Self, LaunchError> {
        geometry.check(kernel)?;
        // SAFETY: the address of parameters of this type.
        let views: Views = |address, visit| unsafe { &*address.cast::<P>() }.views(visit);
        // SAFETY: the bytes of one value, of which those after the last field may be anything.
        let parameters = unsafe { std::slice::from_raw_parts(std::ptr::from_ref(parameters).cast(), size_of::<P>()) };
        Ok(Launch { kernel, geometry, parameters, views })
    }

    /// The kernel.
    #[must_use]
    pub fn kernel(&self) -> &'static KernelInfo {
        self.kernel
    }

    /// Its threads and shared memory: within the limits that every device has and the kernel declares.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The memory that the parameters reach.
    #[cfg(feature = "sim")]
    pub(crate) fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        // SAFETY: the parameters are of the type that `views` was made for.
        unsafe { (self.views)(self.parameters.as_ptr().cast(), &mut |span| spans.push(span)) };
        spans
    }

    /// The bytes of the parameters, aligned as [`KernelInfo::parameters`] says. Their address is what `cuLaunchKernel` takes for the
    /// entry's one parameter.
    #[must_use]
    pub fn parameters(&self) -> &'a [MaybeUninit<u8>] {
        self.parameters
    }
}

/// Why a launch failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum LaunchError {
    /// The kernel cannot be launched so; nothing ran.
    Refused {
        /// The kernel's name.
        kernel: &'static str,
        /// What was asked for and what is possible.
        reason: String,
    },
    /// A simulated thread did what it must not; the memory that the kernel writes holds anything.
    Fault(Box<SimFault>),
    /// The device or its driver reported an error.
    Device(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LaunchError::Refused { kernel, reason } => write!(f, "{kernel} cannot be launched with {reason}"),
            LaunchError::Fault(fault) => fault.fmt(f),
            LaunchError::Device(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LaunchError {}
