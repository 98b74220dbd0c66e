//! Launches: a kernel, a geometry, and arguments that fit it.

use super::fault::SimFault;
use crate::{Element, Global, GlobalMut, Scalar};
use std::fmt;
use std::marker::PhantomData;

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
        let refused = |reason| Err(LaunchError::Refused { kernel: kernel.name, reason });
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

/// What the host knows of a kernel.
#[derive(Debug)]
pub struct KernelInfo {
    name: &'static str,
    max_threads: u32,
    max_shared: u32,
    #[cfg(feature = "sim")]
    entry: Option<Entry>,
}

/// Reads the arguments, then gives the body of one thread to the second parameter.
///
/// Unsafe, as the arguments must be those that the kernel's launcher packed.
#[doc(hidden)]
pub type Entry = unsafe fn(&[Argument], &mut dyn FnMut(&dyn Fn()));

impl KernelInfo {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(name: &'static str, max_threads: u32, max_shared: u32) -> Self {
        KernelInfo {
            name,
            max_threads,
            max_shared,
            #[cfg(feature = "sim")]
            entry: None,
        }
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

    #[cfg(feature = "sim")]
    pub(crate) fn entry(&self) -> Option<Entry> {
        self.entry
    }
}

/// A kernel with a geometry it can have and the arguments it takes. Only a kernel's own `launch` makes one.
#[derive(Debug)]
pub struct Launch<'a> {
    kernel: &'static KernelInfo,
    geometry: Geometry,
    arguments: &'a [Argument],
}

impl<'a> Launch<'a> {
    /// A launch, if the geometry fits.
    ///
    /// # Safety
    /// The arguments are those of the kernel's parameters.
    #[doc(hidden)]
    pub unsafe fn new(
        kernel: &'static KernelInfo,
        geometry: Geometry,
        arguments: &'a [Argument],
    ) -> Result<Self, LaunchError> {
        geometry.check(kernel)?;
        Ok(Launch { kernel, geometry, arguments })
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

    /// One argument for each parameter of the PTX entry.
    #[must_use]
    pub fn arguments(&self) -> &'a [Argument] {
        self.arguments
    }
}

/// The bytes of one parameter of a PTX entry, aligned for every type that one may have.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct Argument {
    bytes: [u8; 8],
    size: usize,
}

impl Argument {
    /// A scalar by value.
    #[doc(hidden)]
    #[must_use]
    pub fn scalar<T: Scalar>(value: T) -> Self {
        Argument { bytes: value.widen().to_le_bytes(), size: size_of::<T>() }
    }

    /// The bytes, as the device has them; their address is what `cuLaunchKernel` takes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

/// Reads the arguments of a launch back, one after the other.
#[doc(hidden)]
pub struct Arguments<'a>(std::slice::Iter<'a, Argument>);

impl<'a> Arguments<'a> {
    #[must_use]
    pub fn new(arguments: &'a [Argument]) -> Self {
        Arguments(arguments.iter())
    }

    pub fn scalar<T: Scalar>(&mut self) -> T {
        // A launch has as many arguments as the kernel has parameters.
        T::narrow(self.0.next().map_or(0, |argument| u64::from_le_bytes(argument.bytes)))
    }

    /// # Safety
    /// The next two arguments are the address and the length of a slice that lives as long as the view.
    pub unsafe fn global<T: Element>(&mut self) -> Global<T> {
        let (address, len) = self.slice();
        // SAFETY: as the caller promises.
        unsafe { Global::from_raw_parts(std::ptr::with_exposed_provenance(address), len) }
    }

    /// # Safety
    /// As of [`global`](Self::global).
    pub unsafe fn global_mut<T: Element>(&mut self) -> GlobalMut<T> {
        let (address, len) = self.slice();
        // SAFETY: as the caller promises.
        unsafe { GlobalMut::from_raw_parts(std::ptr::with_exposed_provenance_mut(address), len) }
    }

    fn slice(&mut self) -> (usize, usize) {
        (self.scalar::<u64>() as usize, self.scalar::<u64>() as usize)
    }
}

/// Elements in the memory of a device, for a kernel to read.
#[derive(Clone, Copy, Debug)]
pub struct DeviceSlice<T> {
    address: u64,
    len: usize,
    element: PhantomData<*const T>,
}

/// Elements in the memory of a device, for a kernel to read and write.
#[derive(Clone, Copy, Debug)]
pub struct DeviceSliceMut<T> {
    address: u64,
    len: usize,
    element: PhantomData<*mut T>,
}

macro_rules! device_slice {
    ($slice:ident, $(#[doc = $safety:expr])*) => {
        impl<T: Element> $slice<T> {
            /// The `len` elements at an address of the device.
            ///
            /// # Safety
            /// The slice is given to launches of that device only. The address is a multiple of the element's size, and while a
            /// launch runs that was given it
            $(#[doc = $safety])*
            #[must_use]
            pub const unsafe fn from_raw(address: u64, len: usize) -> Self {
                $slice { address, len, element: PhantomData }
            }

            /// The address on the device.
            #[must_use]
            pub const fn address(&self) -> u64 {
                self.address
            }

            /// The number of elements.
            #[must_use]
            pub const fn len(&self) -> usize {
                self.len
            }

            /// Whether there are none.
            #[must_use]
            pub const fn is_empty(&self) -> bool {
                self.len == 0
            }
        }
    };
}
device_slice!(DeviceSlice, /// all elements are valid for reads, and nothing but kernels writes them.
);
device_slice!(DeviceSliceMut, /// all elements are valid for reads and writes, and nothing but kernels touches them.
);

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
