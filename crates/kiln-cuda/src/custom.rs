//! Kernels for GPUs that operations from outside of Kiln bring.

use cuda_std::{DeviceCopy, Geometry, Global, GlobalMut, Kernel, LaunchError, Launcher, Span};
use gpu_kernels::Ptx;
use kiln_tensor::{DType, DeviceBuffer, Error, Ran, Result, Shape};
use std::fmt;

/// What a [`CustomOp`](kiln_tensor::CustomOp) gives from `kernels()`: its kernels for GPUs, and the function that launches them.
///
/// The kernels are declared by cuda-std's `kernels!`. The simulator runs their Rust; a card runs the PTX that
/// `cargo xtask build-kernels --crate PATH` has made of it, which is loaded once for each device.
///
/// ```
/// # #[cfg(feature = "sim")] {
/// use cuda_std::*;
/// use kiln_cuda::{GpuKernel, Ptx};
/// use kiln_tensor::{CustomOp, DType, Ran, Result, Shape, Tensor};
///
/// kernels! {
///     /// y = a·x
///     #[max_threads = 256]
///     pub fn scaled(y: GlobalMut<f32>, x: Global<f32>, a: f32) {
///         let i = (block_idx_x() * block_dim_x() + thread_idx_x()) as usize;
///         if i < y.len() {
///             y.set(i, a * x.get(i));
///         }
///     }
/// }
///
/// struct Scaled(GpuKernel);
///
/// impl Scaled {
///     fn new(a: f32) -> Self {
///         // A crate of its own has include_str!("../ptx/sm_80.ptx") here.
///         let ptx = Ptx { sm_80: "", sm_90a: "" };
///         Scaled(GpuKernel::new(ptx, move |gpu, operands, out| {
///             let x = operands[0].read::<f32>()?;
///             gpu.launch(scaled { y: out.write()?, x, a }, Geometry::cover(x.len(), 256))?;
///             Ok(Ran::Done)
///         }))
///     }
/// }
///
/// impl CustomOp for Scaled {
///     fn name(&self) -> &'static str {
///         "scaled"
///     }
///     fn output(&self, operands: &[&Tensor]) -> Result<(Shape, DType)> {
///         Ok((*operands[0].shape(), operands[0].dtype()))
///     }
///     fn kernels(&self) -> Option<&dyn std::any::Any> {
///         Some(&self.0)
///     }
/// }
///
/// let x = Tensor::from_slice(&[1.0f32, 2.0], [2], &kiln_cuda::simulator())?;
/// assert_eq!(Tensor::custom(&Scaled::new(3.0), &[&x])?.unwrap().to_vec::<f32>()?, [3.0, 6.0]);
/// # }
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
pub struct GpuKernel {
    ptx: Ptx,
    launch: Box<LaunchFn>,
}

type LaunchFn = dyn Fn(&GpuLauncher<'_>, &[GpuOperand<'_>], &GpuOutput<'_>) -> Result<Ran> + Send + Sync;

impl GpuKernel {
    /// The kernels of `ptx`, and the function that launches them: it gets the launcher, the operands and the output, all row-major
    /// and on one device. It launches what computes every element of the output, or answers [`Ran::NotHere`], for a dtype that no
    /// kernel is for, say; then the composed form runs.
    ///
    /// A card runs the PTX as it is: its accesses are not checked there. Run the operation on the simulator, which checks each, and
    /// build the PTX by `cargo xtask build-kernels --crate`, whose `--check` says whether it is that of the sources.
    pub fn new(
        ptx: Ptx,
        launch: impl Fn(&GpuLauncher<'_>, &[GpuOperand<'_>], &GpuOutput<'_>) -> Result<Ran> + Send + Sync + 'static,
    ) -> Self {
        GpuKernel { ptx, launch: Box::new(launch) }
    }

    /// The kernels' PTX.
    pub(crate) fn ptx(&self) -> &Ptx {
        &self.ptx
    }

    /// Launches the kernels for these operands.
    pub(crate) fn run(
        &self,
        operation: &'static str,
        queue: &dyn Queue,
        operands: &[GpuOperand<'_>],
        out: &GpuOutput<'_>,
    ) -> Result<Ran> {
        (self.launch)(&GpuLauncher { operation, queue, operands, out }, operands, out)
    }
}

impl fmt::Debug for GpuKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GpuKernel").finish_non_exhaustive()
    }
}

/// A device that launches the kernels of one PTX.
pub(crate) trait Queue: Launcher {
    /// What became of a launch.
    fn settle(&self, outcome: std::result::Result<(), LaunchError>) -> Result<()>;
}

/// Launches kernels for one call of an operation.
pub struct GpuLauncher<'a> {
    operation: &'static str,
    queue: &'a dyn Queue,
    operands: &'a [GpuOperand<'a>],
    out: &'a GpuOutput<'a>,
}

impl GpuLauncher<'_> {
    /// Launches a kernel, which may be done after this has returned. Launches are done in their order.
    ///
    /// # Errors
    /// If the geometry does not fit, the PTX does not load or lacks the kernel, or a parameter is a view of other memory than this
    /// call's. A fault inside the kernel is reported by the next download or synchronization.
    pub fn launch(&self, kernel: impl Kernel, geometry: Geometry) -> Result<()> {
        self.check(&kernel)?;
        self.queue.settle(kernel.launch(self.queue, geometry))
    }

    /// Launches a kernel's entry for this value of its constant.
    ///
    /// # Errors
    /// As [`GpuLauncher::launch`]; if the kernel is not declared for the value.
    pub fn launch_with(&self, constant: usize, kernel: impl Kernel, geometry: Geometry) -> Result<()> {
        self.check(&kernel)?;
        self.queue.settle(kernel.launch_with(constant, self.queue, geometry))
    }

    /// Refuses views that are of another call: their memory may be someone else's by now.
    fn check(&self, kernel: &impl Kernel) -> Result<()> {
        let mut strays = 0;
        kernel.views(&mut |span| {
            let read = || self.operands.iter().any(|operand| operand.0.holds(span));
            // No view of a bool output is given out for writing, so that one is of another call.
            let written = self.out.0.holds(span) && !(span.written && self.out.0.dtype == DType::Bool);
            let own = span.bytes == 0 || written || (!span.written && read());
            strays += usize::from(!own);
        });
        if strays == 0 {
            return Ok(());
        }
        let message = "a kernel is given memory outside of this call's operands and output: take the views from the operands \
                       and the output of the same call";
        Err(Error::value(self.operation, message))
    }
}

/// Row-major elements in a device's memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elements<'a> {
    pub(crate) shape: &'a Shape,
    pub(crate) dtype: DType,
    pub(crate) memory: DeviceBuffer,
}

impl Elements<'_> {
    fn holds(&self, span: Span) -> bool {
        let (first, bytes) = (self.memory.address as u64, self.memory.bytes as u64);
        span.address.checked_sub(first).and_then(|at| at.checked_add(span.bytes)).is_some_and(|end| end <= bytes)
    }

    /// Address and number of the elements, where they are of that type.
    fn of<T: GpuElement>(&self, fits: bool) -> Result<(u64, usize)> {
        if fits {
            return Ok((self.memory.address as u64, self.memory.bytes / size_of::<T>()));
        }
        let asked = std::any::type_name::<T>();
        Err(Error::value("custom", format!("elements of {} are asked for as {asked}", self.dtype)))
    }
}

/// An operand in the device's memory, row-major.
#[derive(Clone, Copy, Debug)]
pub struct GpuOperand<'a>(pub(crate) Elements<'a>);

/// An output in the device's memory, row-major. Its elements hold anything before they are written.
#[derive(Debug)]
pub struct GpuOutput<'a>(pub(crate) Elements<'a>);

impl GpuOperand<'_> {
    /// The shape.
    pub fn shape(&self) -> &Shape {
        self.0.shape
    }

    /// Type of the elements.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// The elements, for launches of this call.
    ///
    /// # Errors
    /// Another dtype than `T` is for.
    pub fn read<T: GpuElement>(&self) -> Result<Global<T>> {
        let (address, len) = self.0.of::<T>(T::reads(self.0.dtype))?;
        // SAFETY: so many elements of live memory. Only `GpuLauncher` launches on this device, and it refuses the view after this
        // call; on the host a view's elements cannot be reached.
        Ok(unsafe { Global::from_raw(address, len) })
    }
}

impl GpuOutput<'_> {
    /// The shape.
    pub fn shape(&self) -> &Shape {
        self.0.shape
    }

    /// Type of the elements.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// The elements, for launches of this call.
    ///
    /// # Errors
    /// Another dtype than `T` is for; the dtype is bool, which kernels do not write.
    pub fn write<T: GpuElement>(&self) -> Result<GlobalMut<T>> {
        let (address, len) = self.0.of::<T>(T::writes(self.0.dtype))?;
        // SAFETY: as in `read`; the output is this call's alone.
        Ok(unsafe { GlobalMut::from_raw(address, len) })
    }
}

/// The types that kernels have for tensors' elements: f32, f64 and i64; u8, which reads bool too (0 and 1); u16 for the bits of f16
/// and bf16.
pub trait GpuElement: DeviceCopy + sealed::Sealed {
    #[doc(hidden)]
    fn reads(dtype: DType) -> bool;
    #[doc(hidden)]
    fn writes(dtype: DType) -> bool {
        // Any byte but 0 and 1 would be no `bool`.
        dtype != DType::Bool && Self::reads(dtype)
    }
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! elements {
    ($($t:ty: $($dtype:ident)|+;)+) => { $(
        impl sealed::Sealed for $t {}
        impl GpuElement for $t {
            fn reads(dtype: DType) -> bool {
                matches!(dtype, $(DType::$dtype)|+)
            }
        }
    )+ };
}
elements! {
    f32: F32;
    f64: F64;
    i64: I64;
    u8: U8 | Bool;
    u16: F16 | BF16;
}
