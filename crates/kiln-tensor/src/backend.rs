//! What a device must do: memory, a few fine primitives, and the coarse operations for which it has kernels.
//!
//! Contract of every primitive:
//! * Shapes, dtypes and devices were checked above; an implementation trusts its arguments.
//! * Outputs are given and row-major ([`Out`]); a primitive never allocates them.
//! * An input view may be strided, broadcast (stride 0) or flipped (negative stride). It may alias the output exactly
//!   (same buffer, offset and layout) in elementwise primitives, never otherwise overlap it.
//! * Values that change every step (learning rate, step count, random counter) are read from device memory, so that a
//!   captured graph of launches stays right when it is replayed.
//! * A device may run asynchronously. A fault then surfaces at the next [`Backend::synchronize`] or download, names the
//!   recent launches and poisons the device; an `Err` here means that the call was refused and nothing was changed.
//!
//! Buffers, views and outputs are plain numbers that anyone can make, so every primitive that follows one is an `unsafe` function.
//! Users never call them: [`crate::Tensor`]'s operations do, by the driver (driver.rs), with the memory of tensors. Safe code cannot
//! reach memory that is not its own:
//!
//! ```compile_fail,E0133
//! #![forbid(unsafe_code)]
//! use kiln_tensor::{DeviceBuffer, Device};
//! Device::cpu().backend().upload(DeviceBuffer { address: 1, bytes: 8 }, 0, &[0; 8]).unwrap();
//! ```
//!
//! ```compile_fail,E0133
//! #![forbid(unsafe_code)]
//! use kiln_tensor::Device;
//! let buffer = Device::cpu().backend().alloc(64).unwrap();
//! Device::cpu().backend().free(buffer);
//! Device::cpu().backend().free(buffer);
//! ```
//!
//! ```compile_fail,E0133
//! #![forbid(unsafe_code)]
//! use kiln_tensor::{DeviceBuffer, Call, DType, Device, Layout, Out, Shape, SoftmaxCall, SoftmaxKind, View};
//! let (shape, buffer) = (Shape::new(&[2]).unwrap(), DeviceBuffer { address: 1, bytes: 8 });
//! let out = Out { buffer, dtype: DType::F32, shape: &shape, offset: 0 };
//! let x = View { buffer, dtype: DType::F32, layout: &Layout::contiguous(shape) };
//! Device::cpu().backend().run(&Call::Softmax(SoftmaxCall { kind: SoftmaxKind::Softmax, out, x })).unwrap();
//! ```

use crate::{Call, DType, Error, ErrorKind, Layout, Ran, Result, Shape};
use kiln_math::{BinaryOp, IntegerOp, Law, UnaryOp};

/// A piece of a device's memory: an address there and a length in bytes. Owned by whoever called [`Backend::alloc`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceBuffer {
    /// Address in the device's own space (a host pointer on the CPU and the simulator).
    pub address: usize,
    /// Length in bytes.
    pub bytes: usize,
}

/// Elements that a primitive reads.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The memory.
    pub buffer: DeviceBuffer,
    /// Type of the elements.
    pub dtype: DType,
    /// Shape, strides and offset, in elements.
    pub layout: &'a Layout,
}

/// Elements that a primitive writes: row-major from `offset`.
#[derive(Clone, Copy, Debug)]
pub struct Out<'a> {
    /// The memory.
    pub buffer: DeviceBuffer,
    /// Type of the elements.
    pub dtype: DType,
    /// Shape.
    pub shape: &'a Shape,
    /// Elements from the buffer's start.
    pub offset: usize,
}

/// An elementwise operation with its constants (slope, alpha, …; unused ones are 0).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct UnaryCall {
    /// Which.
    pub op: UnaryOp,
    /// Its constants.
    pub params: [f64; 2],
}

impl From<UnaryOp> for UnaryCall {
    fn from(op: UnaryOp) -> Self {
        UnaryCall { op, params: [0.0; 2] }
    }
}

/// Comparisons, NumPy's and IEEE's: false where either side is NaN, but for `Ne`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the names are the documentation
pub enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Reductions over axes. Of no elements: 0 for the sum, 1 for the product, NaN for the mean, an error for the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the names are the documentation
pub enum ReduceOp {
    Sum,
    Mean,
    Max,
    Min,
    Prod,
}

/// Position of the largest or smallest element along an axis: the first one; NaN wins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the names are the documentation
pub enum ArgReduceOp {
    Argmax,
    Argmin,
}

/// What becomes of an element that another is scattered to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScatterOp {
    /// The other one, of several the last.
    Set,
    /// Their sum; of integers it wraps.
    Add,
    /// Their product; of integers it wraps.
    Mul,
    /// The larger one; NaN wins.
    Max,
    /// The smaller one; NaN wins.
    Min,
}

impl ScatterOp {
    /// All of them.
    pub const ALL: [ScatterOp; 5] = [ScatterOp::Set, ScatterOp::Add, ScatterOp::Mul, ScatterOp::Max, ScatterOp::Min];
}

/// What a matrix product does with each finished element.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// Added to each row of the product: (n,), any strides.
    pub bias: Option<View<'a>>,
    /// Applied last.
    pub activation: Option<UnaryCall>,
    /// Start from what the output holds instead of zero.
    pub accumulate: bool,
}

/// Distributions of [`Backend::random`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Distribution {
    /// Uniform in [low, high).
    Uniform {
        /// Lower end.
        low: f64,
        /// Upper end, excluded.
        high: f64,
    },
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Integers from low to below high, each equally likely: i64.
    Integers {
        /// The least.
        low: i64,
        /// The upper end, excluded.
        high: i64,
    },
}

/// Bytes that a device's allocator handed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemoryStats {
    /// Held by tensors now.
    pub live: usize,
    /// The most that was held at one time.
    pub peak: usize,
    /// Kept for reuse.
    pub cached: usize,
}

/// A device: memory, fine primitives, and the coarse operations for which it has kernels.
///
/// # Safety
/// An implementation hands out buffers that hold at least the bytes that were asked for, 64-byte aligned, initialized, and apart from
/// every other buffer that was not given back. Where [`Backend::is_host`] says so, their addresses are the host's. A primitive
/// writes nothing but its outputs.
///
/// Who calls a primitive promises that all buffers are this device's and not given back yet, that views and outputs lie within
/// them, that a view's elements are initialized values of its dtype, that shapes and dtypes fit as the primitive says, that nobody
/// else writes what it reads or uses what it writes, and that an output shares elements with an operand only where the two are
/// exactly the same and the primitive is elementwise.
#[allow(clippy::missing_safety_doc)] // said once, above
pub unsafe trait Backend: Send + Sync + 'static {
    /// The device's name as users type it: `cpu`, `sim`, `cuda:0`.
    fn name(&self) -> &str;

    // ---- memory ----

    /// A buffer of at least `bytes`, 64-byte aligned, initialized (to anything).
    ///
    /// # Errors
    /// Out of memory.
    fn alloc(&self, bytes: usize) -> Result<DeviceBuffer>;
    /// As [`Backend::alloc`], all bytes zero.
    ///
    /// # Errors
    /// Out of memory.
    fn alloc_zeroed(&self, bytes: usize) -> Result<DeviceBuffer>;
    /// Gives a buffer back. It may be reused at once by work that is queued later.
    unsafe fn free(&self, buffer: DeviceBuffer);
    /// Host to device, `offset` bytes into the buffer.
    ///
    /// # Errors
    /// An earlier fault of the device.
    unsafe fn upload(&self, to: DeviceBuffer, offset: usize, from: &[u8]) -> Result<()>;
    /// Device to host; waits for all work queued before.
    ///
    /// # Errors
    /// An earlier fault of the device.
    unsafe fn download(&self, to: &mut [u8], from: DeviceBuffer, offset: usize) -> Result<()>;
    /// Waits for all queued work.
    ///
    /// # Errors
    /// The fault that surfaced, with the names of the recent launches.
    fn synchronize(&self) -> Result<()>;
    /// Whether buffers are host memory that tensors may read in place.
    fn is_host(&self) -> bool {
        false
    }
    /// The instruction set on which a plan's steps over NHWC maps are computed, where buffers are host memory and the device has these.
    #[doc(hidden)]
    fn map_kernels(&self) -> Option<kiln_cpu::Isa> {
        None
    }
    /// What the allocator holds.
    fn memory(&self) -> MemoryStats;
    /// Gives cached memory back to the system.
    fn trim(&self) {}
    /// Runs `run` once with whatever speeds up many operations in a row; see [`crate::Device::session`]. By default that is the
    /// host's thread team, for the work that is done beside a device.
    fn session(&self, run: &mut dyn FnMut()) {
        kiln_cpu::team::run(run);
    }

    // ---- elementwise ----

    /// Every element of `out` becomes `value`, converted to its dtype.
    ///
    /// # Errors
    /// The device refuses the launch. (So in every primitive below.)
    unsafe fn fill(&self, out: Out<'_>, value: f64) -> Result<()>;
    /// Copies with conversion of dtype; `out` may be strided (a slice being assigned).
    unsafe fn copy(&self, out: View<'_>, x: View<'_>) -> Result<()>;
    /// out = f(x)
    unsafe fn unary(&self, call: UnaryCall, out: Out<'_>, x: View<'_>) -> Result<()>;
    /// out = dy · f′(x, y), where y = f(x)
    unsafe fn unary_grad(&self, call: UnaryCall, out: Out<'_>, x: View<'_>, y: View<'_>, dy: View<'_>) -> Result<()>;
    /// out = f(a, b) of floats; `a` and `b` have out's shape (broadcast by strides)
    unsafe fn binary(&self, op: BinaryOp, out: Out<'_>, a: View<'_>, b: View<'_>) -> Result<()>;
    /// As [`Backend::binary`], of integers, and of bool where [`IntegerOp::of_bools`] says so. Where the operation
    /// [refuses](IntegerOp::refuses) an element of b: a fault, or 0 on a host, where that was checked.
    unsafe fn integers(&self, op: IntegerOp, out: Out<'_>, a: View<'_>, b: View<'_>) -> Result<()>;
    /// out (bool) = a ⋚ b
    unsafe fn compare(&self, op: CompareOp, out: Out<'_>, a: View<'_>, b: View<'_>) -> Result<()>;
    /// out = condition (bool) ? a : b
    unsafe fn select(&self, out: Out<'_>, condition: View<'_>, a: View<'_>, b: View<'_>) -> Result<()>;

    // ---- reductions ----

    /// Reduces `axes` (ascending) of x; out has x's shape with those axes at size 1 removed or kept: only its elements' order counts.
    /// It has x's dtype, but for sums and products of integers and bool, which are i64.
    unsafe fn reduce(&self, op: ReduceOp, out: Out<'_>, x: View<'_>, axes: &[usize]) -> Result<()>;
    /// out (i64) = position along `axis`
    unsafe fn arg_reduce(&self, op: ArgReduceOp, out: Out<'_>, x: View<'_>, axis: usize) -> Result<()>;

    // ---- products ----

    /// out (…, m, n) = epilogue(a (…, m, k) · b (…, k, n)); the batch axes of a and b are already broadcast to out's.
    unsafe fn matmul(&self, out: Out<'_>, a: View<'_>, b: View<'_>, epilogue: Epilogue<'_>) -> Result<()>;

    // ---- gathering ----

    /// out = x (row-major) at `index` along `axis`: each element of out is that of x at the same place, but for the axis, where the
    /// index says. The index (i64) has out's shape: row-major, or with strides of 0 along all other axes of more than one element,
    /// where whole rows are meant. Indices were checked on the host where it can see them; elsewhere one out of range is a fault.
    unsafe fn gather(&self, out: Out<'_>, x: View<'_>, index: View<'_>, axis: usize) -> Result<()>;
    /// out (already initialized) at `index` along `axis` = `op` of what is there and of y (row-major), which has the index's shape;
    /// what goes to one place is combined in ascending order of position. The index is as that of [`Backend::gather`]. Of f32, f64
    /// and integers, which wrap; [`ScatterOp::Set`] of any dtype.
    unsafe fn scatter(&self, op: ScatterOp, out: Out<'_>, y: View<'_>, index: View<'_>, axis: usize) -> Result<()>;

    // ---- random numbers ----

    /// Fills `out` (f32 or f64; integers i64) from the Philox stream whose key and counter lie in device memory: `stream` is i64 (2,):
    /// key, first counter.
    unsafe fn random(&self, distribution: Distribution, out: Out<'_>, stream: View<'_>) -> Result<()>;
    /// out (f64) = a number of the law for each element, whose parameters are those of `a` and `b` (f64, of out's shape; a law of one
    /// parameter does not look at b), from the stream's words: element i is [`Law::sample`] at the first counter + i.
    unsafe fn sample(&self, law: Law, out: Out<'_>, a: View<'_>, b: View<'_>, stream: View<'_>) -> Result<()>;

    // ---- coarse operations ----

    /// Runs a coarse operation with a kernel of its own, or answers [`Ran::NotHere`] and has written nothing: then it is composed
    /// of the primitives above ([`crate::composed`]).
    ///
    /// # Safety
    /// As for every primitive; and what the call's struct says of its operands.
    unsafe fn run(&self, call: &Call<'_>) -> Result<Ran>;
}

impl<'a> Out<'a> {
    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.shape.elements()
    }
}

/// The error of a backend that does not do `operation` for `dtype`.
#[cold]
pub fn unsupported_dtype(operation: &'static str, dtype: DType, takes: &str) -> Error {
    Error::new(
        ErrorKind::DType,
        operation,
        format!("dtype {dtype} is not supported; it takes {takes}: convert with `to_dtype`"),
    )
}
