//! The CPU's backend: kiln-cpu's kernels over host memory.

mod channels;
mod conv;
mod memory;
mod product;
mod recurrent;
mod rows;

use crate::allocator::Allocator;
use crate::composed::Scratch;
use crate::{
    ArgReduceOp, Backend, Buffer, CompareOp, Convolution, DType, Distribution, Epilogue, Error, MemoryStats,
    Normalization, Out, ReduceOp, Result, SoftmaxKind, UnaryCall, UpdateRule, UpdateSlot, View, Window, composed,
    unsupported_dtype,
};
use crate::{Recurrence, RecurrenceGrad, RecurrenceGradOut, RecurrenceOut};
use half::{bf16, f16};
use kiln_cpu::copy::{self, Convert};
use kiln_cpu::operand::{Number, Stored};
use kiln_cpu::random::Draw;
use kiln_cpu::reduce::Reduction;
use kiln_cpu::softmax::{Labels, Normalised, Target};
use kiln_cpu::{Isa, elementwise, gather, random, reduce, softmax, update};
use kiln_math::{BinaryOp, update as rules};
use memory::{output, slice, strided};
use rows::{Rows, rows, write_rows};
use std::sync::LazyLock;

/// The CPU, computing with one instruction set.
pub(crate) struct CpuBackend {
    name: String,
    isa: Isa,
    allocator: Allocator,
}

/// The one that [`crate::Device::cpu`] hands out.
pub(crate) fn shared() -> &'static dyn Backend {
    static SHARED: LazyLock<CpuBackend> = LazyLock::new(|| CpuBackend::new("cpu".into(), Isa::best()));
    &*SHARED
}

impl CpuBackend {
    pub(crate) fn new(name: String, isa: Isa) -> Self {
        // More than the machine has is refused: the system itself would promise it, and end the process where it is used.
        Self::with_memory(name, isa, crate::machine::memory().unwrap_or(usize::MAX))
    }

    /// One whose tensors have at most so many bytes.
    pub(crate) fn with_memory(name: String, isa: Isa, bytes: usize) -> Self {
        CpuBackend { name, isa, allocator: Allocator::new(bytes) }
    }
}

/// Runs `$body` with `$T` the element type of `$dtype`; an error for one that is not listed.
macro_rules! dispatch {
    ($dtype:expr, $operation:literal, $takes:literal, [$($variant:ident $type:ty),+], $T:ident => $body:expr) => {
        match $dtype {
            $(DType::$variant => {
                type $T = $type;
                $body
            })+
            #[allow(unreachable_patterns)] // where every dtype is listed
            other => return Err(unsupported_dtype($operation, other, $takes)),
        }
    };
}

macro_rules! floats {
    ($dtype:expr, $operation:literal, $T:ident => $body:expr) => {
        dispatch!($dtype, $operation, "f32, f64, f16 or bf16", [F32 f32, F64 f64, F16 f16, BF16 bf16], $T => $body)
    };
}

macro_rules! numbers {
    ($dtype:expr, $operation:literal, $T:ident => $body:expr) => {
        dispatch!($dtype, $operation, "f32 or f64", [F32 f32, F64 f64], $T => $body)
    };
}

macro_rules! any {
    ($dtype:expr, $operation:literal, $T:ident => $body:expr) => {
        dispatch!($dtype, $operation, "any", [F32 f32, F64 f64, F16 f16, BF16 bf16, I64 i64, U8 u8, Bool bool], $T => $body)
    };
}

fn draw(stream: &View<'_>) -> Draw {
    // SAFETY: a stream is i64 (2,), contiguous: checked above the trait.
    let words = unsafe { slice::<i64>(stream) };
    Draw { key: words[0] as u64, counter: words[1] as u64 }
}

fn normalised(kind: SoftmaxKind) -> Normalised {
    match kind {
        SoftmaxKind::Softmax => Normalised::Softmax,
        SoftmaxKind::LogSoftmax => Normalised::LogSoftmax,
    }
}

/// The target of a cross-entropy in the kernels' terms; weights have the logits' type T.
fn target_of<'a, T: Number>(target: &View<'a>, classes: usize) -> Result<Target<'a, T>> {
    let labels = match target.dtype {
        // SAFETY: of this dtype, contiguous.
        DType::I64 => Labels::I64(unsafe { slice(target) }),
        // SAFETY: as above.
        DType::U8 => Labels::U8(unsafe { slice(target) }),
        // SAFETY: weights have the logits' dtype: checked above the trait.
        _ => return Ok(Target::Weights(unsafe { slice(target) })),
    };
    match labels.outside(classes) {
        Some((row, label)) => Err(label_outside(row, label, classes)),
        None => Ok(Target::Labels(labels)),
    }
}

#[cold]
fn label_outside(row: usize, label: i64, classes: usize) -> Error {
    Error::new(
        crate::ErrorKind::Index,
        "cross_entropy",
        format!("row {row} has label {label}, expected 0 to {}: the model has {classes} outputs", classes as i128 - 1),
    )
}

impl Backend for CpuBackend {
    fn name(&self) -> &str {
        &self.name
    }

    #[inline]
    fn alloc(&self, bytes: usize) -> Result<Buffer> {
        Ok(self.allocator.alloc(bytes)?.0)
    }

    fn alloc_zeroed(&self, bytes: usize) -> Result<Buffer> {
        let (buffer, zero) = self.allocator.alloc(bytes)?;
        if !zero {
            // SAFETY: a buffer of that many bytes, not yet known to anyone else.
            unsafe { (buffer.address as *mut u8).write_bytes(0, buffer.bytes) };
        }
        Ok(buffer)
    }

    #[inline]
    fn free(&self, buffer: Buffer) {
        self.allocator.free(buffer);
    }

    fn upload(&self, to: Buffer, offset: usize, from: &[u8]) -> Result<()> {
        debug_assert!(offset + from.len() <= to.bytes);
        // SAFETY: within the buffer, which its caller owns; host slices never overlap it.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), (to.address as *mut u8).add(offset), from.len()) };
        Ok(())
    }

    fn download(&self, to: &mut [u8], from: Buffer, offset: usize) -> Result<()> {
        debug_assert!(offset + to.len() <= from.bytes);
        // SAFETY: as in `upload`.
        unsafe { std::ptr::copy_nonoverlapping((from.address as *const u8).add(offset), to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }

    fn is_host(&self) -> bool {
        true
    }

    fn memory(&self) -> MemoryStats {
        self.allocator.stats()
    }

    fn trim(&self) {
        self.allocator.trim();
    }

    fn fill(&self, out: Out<'_>, value: f64) -> Result<()> {
        // SAFETY: the output's dtype is the one dispatched on.
        any!(out.dtype, "fill", T => copy::fill(&mut unsafe { output::<T>(&out) }, value.convert()));
        Ok(())
    }

    fn copy(&self, out: View<'_>, x: View<'_>) -> Result<()> {
        if out.layout.is_contiguous() {
            let shape = out.layout.shape();
            let target = Out { buffer: out.buffer, dtype: out.dtype, shape, offset: out.layout.offset() };
            any!(x.dtype, "copy", A => any!(out.dtype, "copy", B => {
                // SAFETY: operand and output are of the dtypes dispatched on.
                copy::copy::<A, B>(&mut unsafe { output(&target) }, unsafe { strided(&x) });
            }));
            return Ok(());
        }
        if x.dtype != out.dtype {
            // Converted first: a strided output of another type is rare, and 42 more kernels would be built for it.
            let converted = Scratch::new(self, *x.layout.shape(), out.dtype)?;
            self.copy(converted.view(), x)?;
            return self.copy(out, converted.view());
        }
        any!(x.dtype, "copy", T => {
            // SAFETY: the output's elements are distinct (it is a slice of an array) and its caller's alone; both are of the
            // dtype dispatched on.
            unsafe { copy::assign::<T>(memory::first_mut(&out), out.layout.strides(), strided(&x)) };
        });
        Ok(())
    }

    #[inline]
    fn unary(&self, call: UnaryCall, out: Out<'_>, x: View<'_>) -> Result<()> {
        floats!(out.dtype, "unary", T => {
            // SAFETY: both are of the dtype dispatched on; they are the same elements or apart.
            unsafe { elementwise::unary::<T>(self.isa, call.op, call.params, &mut output(&out), strided(&x)) }
        });
        Ok(())
    }

    #[inline]
    fn unary_grad(&self, call: UnaryCall, out: Out<'_>, x: View<'_>, y: View<'_>, dy: View<'_>) -> Result<()> {
        floats!(out.dtype, "unary_grad", T => {
            // SAFETY: as in `unary`.
            unsafe {
                let operands = [strided(&x), strided(&y), strided(&dy)];
                elementwise::unary_grad::<T>(self.isa, call.op, call.params, &mut output(&out), operands);
            }
        });
        Ok(())
    }

    #[inline]
    fn binary(&self, op: BinaryOp, out: Out<'_>, a: View<'_>, b: View<'_>) -> Result<()> {
        if out.dtype == DType::I64 {
            // SAFETY: all are i64.
            let (mut out, a, b) = unsafe { (output::<i64>(&out), strided::<i64>(&a), strided::<i64>(&b)) };
            match op {
                BinaryOp::Add => elementwise::zip(&mut out, a, b, i64::wrapping_add),
                BinaryOp::Sub => elementwise::zip(&mut out, a, b, i64::wrapping_sub),
                BinaryOp::Mul => elementwise::zip(&mut out, a, b, i64::wrapping_mul),
                BinaryOp::Maximum => elementwise::zip(&mut out, a, b, i64::max),
                BinaryOp::Minimum => elementwise::zip(&mut out, a, b, i64::min),
                _ => return Err(unsupported_dtype(op.name(), DType::I64, "floats")),
            }
            return Ok(());
        }
        floats!(out.dtype, "binary", T => {
            // SAFETY: as in `unary`.
            unsafe { elementwise::binary::<T>(self.isa, op, &mut output(&out), strided(&a), strided(&b)) }
        });
        Ok(())
    }

    fn compare(&self, op: CompareOp, out: Out<'_>, a: View<'_>, b: View<'_>) -> Result<()> {
        any!(a.dtype, "compare", T => {
            // SAFETY: the operands are of the dtype dispatched on, the output is bool.
            let (mut out, a, b) = unsafe { (output::<bool>(&out), strided::<T>(&a), strided::<T>(&b)) };
            match op {
                CompareOp::Eq => elementwise::zip(&mut out, a, b, |a, b| a == b),
                CompareOp::Ne => elementwise::zip(&mut out, a, b, |a, b| a != b),
                CompareOp::Lt => elementwise::zip(&mut out, a, b, |a, b| T::lt(&a, &b)),
                CompareOp::Le => elementwise::zip(&mut out, a, b, |a, b| a <= b),
                CompareOp::Gt => elementwise::zip(&mut out, a, b, |a, b| T::gt(&a, &b)),
                CompareOp::Ge => elementwise::zip(&mut out, a, b, |a, b| a >= b),
            }
        });
        Ok(())
    }

    fn select(&self, out: Out<'_>, condition: View<'_>, a: View<'_>, b: View<'_>) -> Result<()> {
        any!(out.dtype, "select", T => {
            // SAFETY: the operands are of the dtype dispatched on, the condition is bool.
            unsafe { elementwise::select::<T>(&mut output(&out), strided(&condition), strided(&a), strided(&b)) }
        });
        Ok(())
    }

    fn reduce(&self, op: ReduceOp, out: Out<'_>, x: View<'_>, axes: &[usize]) -> Result<()> {
        match x.dtype {
            DType::I64 => {
                // SAFETY: both are i64.
                let (mut out, x) = unsafe { (output::<i64>(&out), strided::<i64>(&x)) };
                reduce::reduce_with(&mut out, x, axes, 0, i64::wrapping_add);
            }
            DType::Bool => {
                // SAFETY: bools, summed as i64.
                let (mut out, x) = unsafe { (output::<i64>(&out), strided::<bool>(&x)) };
                reduce::reduce_with(&mut out, x, axes, 0, |sum: i64, x: bool| sum + i64::from(x));
            }
            dtype => {
                let op = match op {
                    ReduceOp::Sum => Reduction::Sum,
                    ReduceOp::Mean => Reduction::Mean,
                    ReduceOp::Max => Reduction::Max,
                    ReduceOp::Min => Reduction::Min,
                    ReduceOp::Prod => Reduction::Prod,
                };
                floats!(dtype, "reduce", T => {
                    // SAFETY: both are of the dtype dispatched on.
                    unsafe { reduce::reduce::<T>(self.isa, op, &mut output(&out), strided(&x), axes) }
                });
            }
        }
        Ok(())
    }

    fn arg_reduce(&self, op: ArgReduceOp, out: Out<'_>, x: View<'_>, axis: usize) -> Result<()> {
        any!(x.dtype, "arg_reduce", T => {
            // SAFETY: the operand is of the dtype dispatched on, the output i64.
            let (mut out, x) = unsafe { (output::<i64>(&out), strided::<T>(&x)) };
            // NaN, which differs from itself, beats all but an earlier NaN.
            #[allow(clippy::eq_op, clippy::bool_comparison)] // the test for NaN that integers have too
            match op {
                ArgReduceOp::ArgMax => reduce::arg_reduce(&mut out, x, axis, |c, best| c > best || c != c && best == best),
                ArgReduceOp::ArgMin => reduce::arg_reduce(&mut out, x, axis, |c, best| c < best || c != c && best == best),
            }
        });
        Ok(())
    }

    #[inline]
    fn matmul(&self, out: Out<'_>, a: View<'_>, b: View<'_>, epilogue: Epilogue<'_>) -> Result<()> {
        floats!(out.dtype, "matmul", T => product::matmul::<T>(self.isa, &out, &a, &b, &epilogue)?);
        Ok(())
    }

    fn gather(&self, out: Out<'_>, x: View<'_>, index: View<'_>, axis: usize) -> Result<()> {
        let along = along(x.layout.shape(), axis);
        any!(out.dtype, "gather", T => {
            // SAFETY: both are of the dtype dispatched on and contiguous; the index is i64 and was checked.
            unsafe { gather::gather::<T>(memory::slice_mut(&out), slice(&x), strided(&index), along) }
        });
        Ok(())
    }

    fn scatter_add(&self, out: Out<'_>, y: View<'_>, index: View<'_>, axis: usize) -> Result<()> {
        let along = along(out.shape, axis);
        if out.dtype == DType::I64 {
            // SAFETY: all are i64 and contiguous; the index was checked.
            unsafe {
                gather::scatter_add::<i64>(
                    memory::slice_mut(&out),
                    slice(&y),
                    strided(&index),
                    along,
                    i64::wrapping_add,
                );
            }
            return Ok(());
        }
        floats!(out.dtype, "scatter_add", T => {
            // SAFETY: both are of the dtype dispatched on and contiguous; the index is i64 and was checked.
            unsafe {
                gather::scatter_add::<T>(memory::slice_mut(&out), slice(&y), strided(&index), along, |a, b| {
                    T::store(a.load() + b.load())
                });
            }
        });
        Ok(())
    }

    fn random(&self, distribution: Distribution, out: Out<'_>, stream: View<'_>) -> Result<()> {
        let draw = draw(&stream);
        match out.dtype {
            DType::F32 => {
                // SAFETY: f32, row-major.
                let out = unsafe { memory::slice_mut::<f32>(&out) };
                match distribution {
                    Distribution::Uniform { low, high } => random::uniform(self.isa, out, draw, low, high),
                    Distribution::Normal { mean, std } => random::normal(out, draw, mean, std),
                }
            }
            DType::F64 => {
                // SAFETY: f64, row-major.
                let out = unsafe { memory::slice_mut::<f64>(&out) };
                match distribution {
                    Distribution::Uniform { low, high } => random::uniform_f64(out, draw, low, high),
                    Distribution::Normal { mean, std } => random::normal_f64(out, draw, mean, std),
                }
            }
            other => return Err(unsupported_dtype("random", other, "f32 or f64")),
        }
        Ok(())
    }

    fn dropout(&self, rate: f64, out: Out<'_>, x: View<'_>, stream: View<'_>) -> Result<()> {
        numbers!(out.dtype, "dropout", T => {
            let in_place = x.buffer == out.buffer;
            let x = rows::<T>(&x)?;
            // Lent elements must not change while they are.
            let x = if in_place { Rows::Copied(x.to_vec()) } else { x };
            // SAFETY: of the dtype dispatched on; apart from x.
            random::dropout::<T>(self.isa, &mut unsafe { output(&out) }, &x, draw(&stream), rate);
        });
        Ok(())
    }

    fn softmax(&self, kind: SoftmaxKind, out: Out<'_>, x: View<'_>) -> Result<()> {
        let width = out.shape.last().copied().unwrap_or(1);
        floats!(out.dtype, "softmax", T => {
            let x = rows::<T>(&x)?;
            write_rows::<T>(&out, |to| softmax::softmax(self.isa, normalised(kind), to, &x, width))?;
        });
        Ok(())
    }

    fn softmax_grad(&self, kind: SoftmaxKind, out: Out<'_>, y: View<'_>, dy: View<'_>) -> Result<()> {
        let width = out.shape.last().copied().unwrap_or(1);
        floats!(out.dtype, "softmax_grad", T => {
            let (y, dy) = (rows::<T>(&y)?, rows::<T>(&dy)?);
            write_rows::<T>(&out, |to| softmax::softmax_grad(self.isa, normalised(kind), to, &y, &dy, width))?;
        });
        Ok(())
    }

    fn cross_entropy(&self, out: Out<'_>, logits: View<'_>, target: View<'_>) -> Result<()> {
        let classes = logits.layout.shape()[1];
        numbers!(out.dtype, "cross_entropy", T => {
            let target = target_of::<T>(&target, classes)?;
            // SAFETY: logits and output are of the dtype dispatched on, contiguous, and apart.
            unsafe { softmax::cross_entropy::<T>(self.isa, memory::slice_mut(&out), slice(&logits), target, classes) };
        });
        Ok(())
    }

    fn cross_entropy_grad(&self, out: Out<'_>, logits: View<'_>, target: View<'_>, dy: View<'_>) -> Result<()> {
        let classes = logits.layout.shape()[1];
        numbers!(out.dtype, "cross_entropy_grad", T => {
            let target = target_of::<T>(&target, classes)?;
            let stride = dy.layout.strides()[0];
            // SAFETY: of the dtype dispatched on.
            let dy = unsafe { strided::<T>(&dy) };
            // SAFETY: asked for rows of the gradient, (n,) at this stride.
            let at = |row: usize| unsafe { *dy.first_element().offset(row as isize * stride) };
            // SAFETY: logits and output are of the dtype dispatched on, contiguous, and apart.
            unsafe {
                softmax::cross_entropy_grad::<T>(self.isa, memory::slice_mut(&out), slice(&logits), target, &at, classes);
            }
        });
        Ok(())
    }

    fn conv(
        &self,
        conv: &Convolution,
        out: Out<'_>,
        x: View<'_>,
        weight: View<'_>,
        epilogue: Epilogue<'_>,
    ) -> Result<()> {
        floats!(out.dtype, "conv", T => conv::forward::<T>(self.isa, conv, &out, &x, &weight, &epilogue)?);
        Ok(())
    }

    fn conv_grad_input(&self, conv: &Convolution, out: Out<'_>, dy: View<'_>, weight: View<'_>) -> Result<()> {
        floats!(out.dtype, "conv_grad_input", T => conv::grad_input::<T>(self.isa, conv, &out, &dy, &weight)?);
        Ok(())
    }

    fn conv_grad_weight(&self, conv: &Convolution, out: Out<'_>, x: View<'_>, dy: View<'_>) -> Result<()> {
        floats!(out.dtype, "conv_grad_weight", T => conv::grad_weight::<T>(self.isa, conv, &out, &x, &dy)?);
        Ok(())
    }

    fn max_pool(&self, window: &Window, out: Out<'_>, taps: Option<Out<'_>>, x: View<'_>) -> Result<()> {
        floats!(out.dtype, "max_pool", T => channels::max_pool::<T>(self.isa, window, &out, taps.as_ref(), &x)?);
        Ok(())
    }

    fn max_pool_grad(&self, window: &Window, out: Out<'_>, dy: View<'_>, taps: View<'_>) -> Result<()> {
        floats!(out.dtype, "max_pool_grad", T => channels::max_pool_grad::<T>(window, &out, &dy, &taps)?);
        Ok(())
    }

    fn moments(&self, out: Out<'_>, x: View<'_>) -> Result<()> {
        floats!(x.dtype, "moments", T => channels::moments::<T>(self.isa, &out, &x)?);
        Ok(())
    }

    fn normalize(
        &self,
        form: &Normalization,
        out: Out<'_>,
        x: View<'_>,
        moments: View<'_>,
        affine: [Option<View<'_>>; 2],
    ) -> Result<()> {
        if !channels::is_fused(form) {
            return composed::normalize(self, form, out, x, moments, affine);
        }
        floats!(out.dtype, "normalize", T => channels::normalize::<T>(self.isa, form, &out, &x, &moments, &affine)?);
        Ok(())
    }

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
        if !channels::is_fused(form) {
            return composed::normalize_grad(self, form, dx, affine, [x, y, dy], moments, weight);
        }
        let (to, operands) = ((&dx, &affine), [&x, &y, &dy]);
        floats!(dx.dtype, "normalize_grad", T => {
            channels::normalize_grad::<T>(self.isa, form, to, operands, &moments, weight.as_ref())?;
        });
        Ok(())
    }

    fn recurrent(&self, call: Recurrence<'_>, out: RecurrenceOut<'_>) -> Result<()> {
        numbers!(out.states.dtype, "recurrent", T => recurrent::forward::<T>(self, &call, &out)?);
        Ok(())
    }

    fn recurrent_grad(
        &self,
        call: Recurrence<'_>,
        saved: RecurrenceGrad<'_>,
        out: RecurrenceGradOut<'_>,
    ) -> Result<()> {
        numbers!(out.h0.dtype, "recurrent_grad", T => recurrent::backward::<T>(self, &call, &saved, &out)?);
        Ok(())
    }

    fn update(&self, rule: UpdateRule, step: View<'_>, slots: &[UpdateSlot]) -> Result<()> {
        // SAFETY: a step is f64 (2,), contiguous: checked above the trait.
        let (learning_rate, number) = unsafe { (slice::<f64>(&step)[0], slice::<f64>(&step)[1]) };
        for dtype in [DType::F32, DType::F64] {
            if slots.iter().any(|slot| slot.dtype == dtype) {
                let chosen = slots.iter().filter(|slot| slot.dtype == dtype);
                numbers!(dtype, "update", T => {
                    let mut slots: Vec<update::Slot<'_, T>> = chosen.map(memory::slot).collect();
                    self.step::<T>(rule, learning_rate, number, &mut slots);
                });
            }
        }
        Ok(())
    }
}

impl CpuBackend {
    /// One step over slots of one type.
    fn step<T: Number>(&self, rule: UpdateRule, learning_rate: f64, number: f64, slots: &mut [update::Slot<'_, T>]) {
        match rule {
            UpdateRule::Sgd { momentum, dampening, weight_decay, nesterov } => {
                let settings = rules::SgdSettings { momentum, dampening, weight_decay, nesterov };
                update::sgd_step(self.isa, slots, settings.at(learning_rate, number, T::SMALLEST));
            }
            UpdateRule::Adam { beta1, beta2, epsilon, weight_decay, decoupled } => {
                let settings = rules::AdamSettings { beta1, beta2, epsilon, weight_decay, decoupled };
                update::adam_step(self.isa, slots, settings.at(learning_rate, number, T::SMALLEST));
            }
        }
    }
}

fn along(shape: &[usize], axis: usize) -> gather::Along {
    gather::Along {
        outer: shape[..axis].iter().product(),
        axis: shape[axis],
        inner: shape[axis + 1..].iter().product(),
    }
}
