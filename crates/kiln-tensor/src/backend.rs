//! What a device must do: memory and a few coarse primitives over buffers that are given.
//!
//! Contract of every primitive:
//! * Shapes, dtypes and devices were checked above; an implementation trusts its arguments.
//! * Outputs are given and row-major ([`Out`]); a primitive never allocates them. Scratch, where a default body needs
//!   some, comes from [`Backend::alloc`].
//! * An input view may be strided, broadcast (stride 0) or flipped (negative stride). It may alias the output exactly
//!   (same buffer, offset and layout) in elementwise primitives, never otherwise overlap it.
//! * Values that change every step (learning rate, step count, random counter) are read from device memory, so that a
//!   captured graph of launches stays right when it is replayed.
//! * A device may run asynchronously. A fault then surfaces at the next [`Backend::synchronize`] or download, names the
//!   recent launches and poisons the device; an `Err` here means that the call was refused and nothing was changed.

use crate::{Convolution, DType, Error, ErrorKind, Layout, Normalization, Result, Shape, Window};
use crate::{Recurrence, RecurrenceGrad, RecurrenceGradOut, RecurrenceOut};
use kiln_math::{BinaryOp, UnaryOp};

/// A piece of a device's memory: an address there and a length in bytes. Owned by whoever called [`Backend::alloc`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buffer {
    /// Address in the device's own space (a host pointer on the CPU and the simulator).
    pub address: usize,
    /// Length in bytes.
    pub bytes: usize,
}

/// Elements that a primitive reads.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The memory.
    pub buffer: Buffer,
    /// Type of the elements.
    pub dtype: DType,
    /// Shape, strides and offset, in elements.
    pub layout: &'a Layout,
}

/// Elements that a primitive writes: row-major from `offset`.
#[derive(Clone, Copy, Debug)]
pub struct Out<'a> {
    /// The memory.
    pub buffer: Buffer,
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
    ArgMax,
    ArgMin,
}

/// Which normalised exponential.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SoftmaxKind {
    /// exp(x − max) / Σ exp(x − max)
    Softmax,
    /// x − max − ln Σ exp(x − max)
    LogSoftmax,
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
}

/// The update rules of the optimizers; formulas in `kiln_math::update`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum UpdateRule {
    /// Stochastic gradient descent as in PyTorch. One state (velocity) where momentum ≠ 0, else none.
    Sgd {
        /// μ
        momentum: f64,
        /// τ
        dampening: f64,
        /// λ, added to the gradient as λ·p
        weight_decay: f64,
        /// Nesterov's form
        nesterov: bool,
    },
    /// Adam (`decoupled: false`) or AdamW (`decoupled: true`). Two states, the first and second moments.
    Adam {
        /// β₁
        beta1: f64,
        /// β₂
        beta2: f64,
        /// ε, outside the square root
        epsilon: f64,
        /// λ
        weight_decay: f64,
        /// AdamW's decay of the parameter itself
        decoupled: bool,
    },
}

/// One tensor of an optimizer's step. All row-major, the same dtype and number of elements.
#[derive(Clone, Copy, Debug)]
pub struct UpdateSlot {
    /// Parameter, read and written.
    pub parameter: Buffer,
    /// Elements from the parameter buffer's start.
    pub parameter_offset: usize,
    /// Gradient, read.
    pub gradient: Buffer,
    /// Elements from the gradient buffer's start.
    pub gradient_offset: usize,
    /// The rule's states, read and written; unused ones have 0 bytes.
    pub states: [Buffer; 2],
    /// Number of elements.
    pub elements: usize,
    /// f32 or f64.
    pub dtype: DType,
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

/// A device. See the module's contract.
pub trait Backend: Send + Sync + 'static {
    /// The device's name as users type it: `cpu`, `sim`, `cuda:0`.
    fn name(&self) -> &str;

    // ---- memory ----

    /// A buffer of at least `bytes`, 64-byte aligned, initialised (to anything).
    ///
    /// # Errors
    /// Out of memory.
    fn alloc(&self, bytes: usize) -> Result<Buffer>;
    /// As [`Backend::alloc`], all bytes zero.
    ///
    /// # Errors
    /// Out of memory.
    fn alloc_zeroed(&self, bytes: usize) -> Result<Buffer>;
    /// Gives a buffer back. It may be reused at once by work that is queued later.
    fn free(&self, buffer: Buffer);
    /// Host to device, `offset` bytes into the buffer.
    ///
    /// # Errors
    /// An earlier fault of the device.
    fn upload(&self, to: Buffer, offset: usize, from: &[u8]) -> Result<()>;
    /// Device to host; waits for all work queued before.
    ///
    /// # Errors
    /// An earlier fault of the device.
    fn download(&self, to: &mut [u8], from: Buffer, offset: usize) -> Result<()>;
    /// Waits for all queued work.
    ///
    /// # Errors
    /// The fault that surfaced, with the names of the recent launches.
    fn synchronize(&self) -> Result<()>;
    /// Whether buffers are host memory that tensors may read in place.
    fn is_host(&self) -> bool {
        false
    }
    /// What the allocator holds.
    fn memory(&self) -> MemoryStats;
    /// Gives cached memory back to the system.
    fn trim(&self) {}

    // ---- elementwise ----

    /// Every element of `out` becomes `value`, converted to its dtype.
    ///
    /// # Errors
    /// The device refuses the launch. (So in every primitive below.)
    fn fill(&self, out: Out<'_>, value: f64) -> Result<()>;
    /// Copies with conversion of dtype; `out` may be strided (a slice being assigned).
    fn copy(&self, out: View<'_>, x: View<'_>) -> Result<()>;
    /// out = f(x)
    fn unary(&self, call: UnaryCall, out: Out<'_>, x: View<'_>) -> Result<()>;
    /// out = dy · f′(x, y), where y = f(x)
    fn unary_grad(&self, call: UnaryCall, out: Out<'_>, x: View<'_>, y: View<'_>, dy: View<'_>) -> Result<()>;
    /// out = f(a, b); `a` and `b` have out's shape (broadcast by strides)
    fn binary(&self, op: BinaryOp, out: Out<'_>, a: View<'_>, b: View<'_>) -> Result<()>;
    /// out (bool) = a ⋚ b
    fn compare(&self, op: CompareOp, out: Out<'_>, a: View<'_>, b: View<'_>) -> Result<()>;
    /// out = condition (bool) ? a : b
    fn select(&self, out: Out<'_>, condition: View<'_>, a: View<'_>, b: View<'_>) -> Result<()>;

    // ---- reductions ----

    /// Reduces `axes` (ascending) of x; out has x's shape with those axes at size 1 removed or kept: only its elements' order counts.
    fn reduce(&self, op: ReduceOp, out: Out<'_>, x: View<'_>, axes: &[usize]) -> Result<()>;
    /// out (i64) = position along `axis`
    fn arg_reduce(&self, op: ArgReduceOp, out: Out<'_>, x: View<'_>, axis: usize) -> Result<()>;

    // ---- products ----

    /// out (…, m, n) = epilogue(a (…, m, k) · b (…, k, n)); the batch axes of a and b are already broadcast to out's.
    fn matmul(&self, out: Out<'_>, a: View<'_>, b: View<'_>, epilogue: Epilogue<'_>) -> Result<()>;

    // ---- gathering ----

    /// out = x (row-major) at `index` (i64, 1-d) along `axis`. Indices were checked on the host where it can see them; elsewhere an
    /// index out of range is a fault.
    fn gather(&self, out: Out<'_>, x: View<'_>, index: View<'_>, axis: usize) -> Result<()>;
    /// out (already initialised) += y (row-major) at `index` along `axis`; equal indices add up in ascending order of position.
    fn scatter_add(&self, out: Out<'_>, y: View<'_>, index: View<'_>, axis: usize) -> Result<()>;

    // ---- random numbers ----

    /// Fills `out` (f32 or f64) from the Philox stream whose key and counter lie in device memory: `stream` is i64 (2,): key, first counter.
    fn random(&self, distribution: Distribution, out: Out<'_>, stream: View<'_>) -> Result<()>;
    /// out = x / (1 − rate) where the stream's draw keeps the element, else 0. Its gradient is the same call on dy.
    fn dropout(&self, rate: f64, out: Out<'_>, x: View<'_>, stream: View<'_>) -> Result<()> {
        crate::composed::dropout(self, rate, out, x, stream)
    }

    // ---- coarse primitives; the default bodies are their reference ----

    /// Softmax or its logarithm along the last axis.
    fn softmax(&self, kind: SoftmaxKind, out: Out<'_>, x: View<'_>) -> Result<()> {
        crate::composed::softmax(self, kind, out, x)
    }
    /// Gradient of [`Backend::softmax`] from its output: y·(dy − Σ y·dy), or dy − exp(y)·Σ dy.
    fn softmax_grad(&self, kind: SoftmaxKind, out: Out<'_>, y: View<'_>, dy: View<'_>) -> Result<()> {
        crate::composed::softmax_grad(self, kind, out, y, dy)
    }
    /// Softmax cross-entropy of each row, logits and target row-major: out (n,) = ln Σ exp(logits) − logits\[label\] for labels i64 or u8 (n,), or
    /// −Σ target · log_softmax(logits) for float targets (n, classes). Labels out of range: an error on a host backend, a fault elsewhere.
    fn cross_entropy(&self, out: Out<'_>, logits: View<'_>, target: View<'_>) -> Result<()> {
        crate::composed::cross_entropy(self, out, logits, target)
    }
    /// out (n, classes) = dy (n,) · (softmax(logits) · Σ target − target)
    fn cross_entropy_grad(&self, out: Out<'_>, logits: View<'_>, target: View<'_>, dy: View<'_>) -> Result<()> {
        crate::composed::cross_entropy_grad(self, out, logits, target, dy)
    }

    // ---- convolution, pooling, normalisation: (N, C, …) with one to three spatial axes, all operands row-major ----

    /// out (N, O, P…) = activation(Σ x·weight + bias) of x (N, C, D…), weight (O, C/groups, K…), bias (O,); the epilogue does not
    /// accumulate. Of each element the chain goes through the taps in row-major order, and through the channels at each.
    fn conv(
        &self,
        conv: &Convolution,
        out: Out<'_>,
        x: View<'_>,
        weight: View<'_>,
        epilogue: Epilogue<'_>,
    ) -> Result<()> {
        crate::composed::conv(self, conv, out, x, weight, epilogue)
    }
    /// out (N, C, D…): the gradient of [`Backend::conv`] with respect to x, from dy (N, O, P…). It is also the transposed convolution of dy.
    fn conv_grad_input(&self, conv: &Convolution, out: Out<'_>, dy: View<'_>, weight: View<'_>) -> Result<()> {
        crate::composed::conv_grad_input(self, conv, out, dy, weight)
    }
    /// out (O, C/groups, K…): the gradient of [`Backend::conv`] with respect to the weight.
    fn conv_grad_weight(&self, conv: &Convolution, out: Out<'_>, x: View<'_>, dy: View<'_>) -> Result<()> {
        crate::composed::conv_grad_weight(self, conv, out, x, dy)
    }
    /// out (N, C, P…) = the largest x (N, C, D…) in each window: the first of equals, or the last NaN. Padding is never chosen; each
    /// window meets at least one element. Where `taps` are asked for, u8 (bytes, N, C, P…), they become the numbers of the taps that
    /// meet it, of [`Window::tap_bytes`] bytes, the lowest ones first.
    fn max_pool(&self, window: &Window, out: Out<'_>, taps: Option<Out<'_>>, x: View<'_>) -> Result<()> {
        crate::composed::max_pool(self, window, out, taps, x)
    }
    /// out (N, C, D…) = 0, plus dy (N, C, P…) at what each window meets at its tap of `taps`, which [`Backend::max_pool`] has written
    /// and which are contiguous; what comes to one element adds up in ascending order of position.
    fn max_pool_grad(&self, window: &Window, out: Out<'_>, dy: View<'_>, taps: View<'_>) -> Result<()> {
        crate::composed::max_pool_grad(self, window, out, dy, taps)
    }
    /// out (2, C) = mean and biased variance of each channel of x (N, C, S). Moments, weight, bias and their gradients are of the type
    /// that x is computed in: f32 where x is of a half type. (So in the two below.)
    fn moments(&self, out: Out<'_>, x: View<'_>) -> Result<()> {
        crate::composed::moments(self, out, x)
    }
    /// out = activation((x − mean) / sqrt(variance + ε) · weight + bias) of x (N, C, S), moments (2, C), weight and bias (C,) or absent.
    fn normalize(
        &self,
        form: &Normalization,
        out: Out<'_>,
        x: View<'_>,
        moments: View<'_>,
        affine: [Option<View<'_>>; 2],
    ) -> Result<()> {
        crate::composed::normalize(self, form, out, x, moments, affine)
    }
    /// The gradient of [`Backend::normalize`]: dx of x's shape, and `affine` (2, C) = those of weight and bias, from y (the output, looked
    /// at only where there is an activation) and dy.
    #[allow(clippy::too_many_arguments)] // each is an operand
    fn normalize_grad(
        &self,
        form: &Normalization,
        dx: Out<'_>,
        affine: Out<'_>,
        x: View<'_>,
        y: View<'_>,
        dy: View<'_>,
        moments: View<'_>,
        weight: Option<View<'_>>,
    ) -> Result<()> {
        crate::composed::normalize_grad(self, form, dx, affine, [x, y, dy], moments, weight)
    }
    /// All steps of one direction of a recurrent layer.
    fn recurrent(&self, call: Recurrence<'_>, out: RecurrenceOut<'_>) -> Result<()> {
        crate::composed::recurrent(self, call, out)
    }
    /// Gradients of [`Backend::recurrent`] but for those of weight and bias, which are products of these with the states.
    fn recurrent_grad(
        &self,
        call: Recurrence<'_>,
        saved: RecurrenceGrad<'_>,
        out: RecurrenceGradOut<'_>,
    ) -> Result<()> {
        crate::composed::recurrent_grad(self, call, saved, out)
    }

    // ---- optimizers ----

    /// One step of `rule` over all tensors in one pass. `step` is f64 (2,) in device memory: learning rate, and the
    /// number of this step, from 1.
    fn update(&self, rule: UpdateRule, step: View<'_>, slots: &[UpdateSlot]) -> Result<()>;
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
