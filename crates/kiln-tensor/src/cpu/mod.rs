//! The CPU's backend: kiln-cpu's kernels over host memory.

#[macro_use]
mod dispatch;
mod attention;
mod blend;
mod calls;
mod conv;
mod gather;
mod integers;
pub(crate) mod maps;
mod memory;
mod normalization;
mod pool;
mod product;
mod random;
mod recurrent;
mod row_norm;
mod rows;
mod scan;
mod scratch;
mod softmax;
mod sort;
mod update;

pub(crate) use conv::form as conv_form;
pub(crate) use pool::pool_of as pool_form;

use crate::allocator::Allocator;
use crate::{
    ArgReduceOp, Backend, Call, CompareOp, DType, DeviceBuffer, Distribution, Epilogue, MemoryStats, Out, Ran,
    ReduceOp, Result, ScatterOp, UnaryCall, View, unsupported_dtype,
};
use half::{bf16, f16};
use kiln_cpu::assign::assign;
use kiln_cpu::copy::{self, Convert};
use kiln_cpu::elementwise::each;
use kiln_cpu::reduce::Reduction;
use kiln_cpu::{Isa, arg_reduce, elementwise, reduce, transpose};
use kiln_math::{BinaryOp, IntegerOp, Law};
use memory::{output, strided};
use scratch::Scratch;
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

/// A row-major copy in the output's type.
///
/// # Safety
/// As [`Backend::copy`].
unsafe fn copy_to_rows(out: Out<'_>, x: View<'_>) -> Result<()> {
    if x.dtype == out.dtype {
        sized!(x.dtype, T => {
            // SAFETY: operand and output have elements of the size dispatched on.
            let (mut out, x) = unsafe { (output::<T>(&out), strided::<T>(&x)) };
            if !transpose::copy(&mut out, x) {
                copy::copy::<T, T>(&mut out, x);
            }
        });
        return Ok(());
    }
    any!(x.dtype, "copy", A => any!(out.dtype, "copy", B => {
        // SAFETY: operand and output are of the dtypes dispatched on.
        copy::copy::<A, B>(&mut unsafe { output(&out) }, unsafe { strided(&x) });
    }));
    Ok(())
}

// SAFETY: the allocator hands out disjoint host memory of at least the size that is asked for, initialized and aligned to 64 bytes;
// the kernels write their outputs alone.
unsafe impl Backend for CpuBackend {
    fn name(&self) -> &str {
        &self.name
    }

    #[inline]
    fn alloc(&self, bytes: usize) -> Result<DeviceBuffer> {
        Ok(self.allocator.alloc(bytes)?.0)
    }

    fn alloc_zeroed(&self, bytes: usize) -> Result<DeviceBuffer> {
        let (buffer, zero) = self.allocator.alloc(bytes)?;
        if !zero {
            // SAFETY: a buffer of that many bytes, not yet known to anyone else.
            unsafe { (buffer.address as *mut u8).write_bytes(0, buffer.bytes) };
        }
        Ok(buffer)
    }

    #[inline]
    unsafe fn free(&self, buffer: DeviceBuffer) {
        self.allocator.free(buffer);
    }

    unsafe fn upload(&self, to: DeviceBuffer, offset: usize, from: &[u8]) -> Result<()> {
        debug_assert!(offset + from.len() <= to.bytes);
        // SAFETY: within the buffer, which its caller owns; host slices never overlap it.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), (to.address as *mut u8).add(offset), from.len()) };
        Ok(())
    }

    unsafe fn download(&self, to: &mut [u8], from: DeviceBuffer, offset: usize) -> Result<()> {
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

    fn map_kernels(&self) -> Option<Isa> {
        Some(self.isa)
    }

    fn memory(&self) -> MemoryStats {
        self.allocator.stats()
    }

    fn trim(&self) {
        self.allocator.trim();
    }

    unsafe fn fill(&self, out: Out<'_>, value: f64) -> Result<()> {
        // SAFETY: the output's dtype is the one dispatched on.
        any!(out.dtype, "fill", T => copy::fill(&mut unsafe { output::<T>(&out) }, value.convert()));
        Ok(())
    }

    unsafe fn copy(&self, out: View<'_>, x: View<'_>) -> Result<()> {
        if out.layout.is_contiguous() {
            let shape = out.layout.shape();
            let target = Out { buffer: out.buffer, dtype: out.dtype, shape, offset: out.layout.offset() };
            // SAFETY: the caller's promise.
            return unsafe { copy_to_rows(target, x) };
        }
        if x.dtype != out.dtype {
            // Converted first: a strided output of another type is rare, and a kernel for each pair would be built for it.
            let converted = Scratch::new(self, *x.layout.shape(), out.dtype)?;
            // SAFETY: the scratch memory is this call's alone; the rest is the caller's promise.
            return unsafe {
                self.copy(converted.view(), x)?;
                self.copy(out, converted.view())
            };
        }
        sized!(x.dtype, T => {
            // SAFETY: the output's elements are distinct (it is a slice of an array) and its caller's alone; both are of the
            // size dispatched on.
            unsafe { assign::<T>(memory::first_mut(&out), out.layout.strides(), strided(&x)) };
        });
        Ok(())
    }

    #[inline]
    unsafe fn unary(&self, call: UnaryCall, out: Out<'_>, x: View<'_>) -> Result<()> {
        floats!(out.dtype, "unary", T => {
            // SAFETY: both are of the dtype dispatched on; they are the same elements or apart.
            unsafe { elementwise::unary::<T>(self.isa, call.op, call.params, &mut output(&out), strided(&x)) }
        });
        Ok(())
    }

    #[inline]
    unsafe fn unary_grad(&self, call: UnaryCall, out: Out<'_>, x: View<'_>, y: View<'_>, dy: View<'_>) -> Result<()> {
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
    unsafe fn binary(&self, op: BinaryOp, out: Out<'_>, a: View<'_>, b: View<'_>) -> Result<()> {
        floats!(out.dtype, "binary", T => {
            // SAFETY: as in `unary`.
            unsafe { elementwise::binary::<T>(self.isa, op, &mut output(&out), strided(&a), strided(&b)) }
        });
        Ok(())
    }

    unsafe fn integers(&self, op: IntegerOp, out: Out<'_>, a: View<'_>, b: View<'_>) -> Result<()> {
        integers!(out.dtype, "integers", T => {
            // SAFETY: as in `unary`; the operations that truth values have give 0 or 1 of these.
            unsafe { elementwise::integers::<T>(op, &mut output(&out), strided(&a), strided(&b)) }
        });
        Ok(())
    }

    unsafe fn compare(&self, op: CompareOp, out: Out<'_>, a: View<'_>, b: View<'_>) -> Result<()> {
        // SAFETY: the output is bool, of which every byte becomes 0 or 1.
        let mut out = unsafe { output::<u8>(&out) };
        ordered!(a.dtype, "compare", T => {
            // SAFETY: the operands are of the dtype dispatched on.
            let pair = unsafe { [strided::<T>(&a), strided::<T>(&b)] };
            match op {
                CompareOp::Eq => elementwise::zip(&mut out, pair, &each(|a, b| u8::from(a == b))),
                CompareOp::Ne => elementwise::zip(&mut out, pair, &each(|a, b| u8::from(a != b))),
                CompareOp::Lt => elementwise::zip(&mut out, pair, &each(|a, b| u8::from(T::lt(&a, &b)))),
                CompareOp::Le => elementwise::zip(&mut out, pair, &each(|a, b| u8::from(a <= b))),
                CompareOp::Gt => elementwise::zip(&mut out, pair, &each(|a, b| u8::from(T::gt(&a, &b)))),
                CompareOp::Ge => elementwise::zip(&mut out, pair, &each(|a, b| u8::from(a >= b))),
            }
        });
        Ok(())
    }

    unsafe fn select(&self, out: Out<'_>, condition: View<'_>, a: View<'_>, b: View<'_>) -> Result<()> {
        sized!(out.dtype, T => {
            // SAFETY: the operands are of the size dispatched on, the condition is bool.
            unsafe { elementwise::select::<T>(&mut output(&out), strided(&condition), strided(&a), strided(&b)) }
        });
        Ok(())
    }

    unsafe fn reduce(&self, op: ReduceOp, out: Out<'_>, x: View<'_>, axes: &[usize]) -> Result<()> {
        if !x.dtype.is_float() {
            // SAFETY: the caller's promise.
            return unsafe { integers::reduce(op, &out, &x, axes) };
        }
        let op = match op {
            ReduceOp::Sum => Reduction::Sum,
            ReduceOp::Mean => Reduction::Mean,
            ReduceOp::Max => Reduction::Max,
            ReduceOp::Min => Reduction::Min,
            ReduceOp::Prod => Reduction::Prod,
        };
        floats!(x.dtype, "reduce", T => {
            // SAFETY: both are of the dtype dispatched on.
            unsafe { reduce::reduce::<T>(self.isa, op, &mut output(&out), strided(&x), axes) }
        });
        Ok(())
    }

    unsafe fn arg_reduce(&self, op: ArgReduceOp, out: Out<'_>, x: View<'_>, axis: usize) -> Result<()> {
        let smallest = op == ArgReduceOp::Argmin;
        // SAFETY: the operand is of the dtype dispatched on, the output i64.
        let mut out = unsafe { output::<i64>(&out) };
        if x.dtype.is_float() {
            floats!(x.dtype, "arg_reduce", T => {
                // SAFETY: as above.
                arg_reduce::arg_extremum(self.isa, &mut out, unsafe { strided::<T>(&x) }, axis, smallest);
            });
            return Ok(());
        }
        integers!(x.dtype, "arg_reduce", T => {
            // SAFETY: as above.
            let x = unsafe { strided::<T>(&x) };
            #[allow(clippy::bool_comparison)] // the order that integers have too
            match op {
                ArgReduceOp::Argmax => arg_reduce::arg_reduce(&mut out, x, axis, |x, best| x > best),
                ArgReduceOp::Argmin => arg_reduce::arg_reduce(&mut out, x, axis, |x, best| x < best),
            }
        });
        Ok(())
    }

    #[inline]
    unsafe fn matmul(&self, out: Out<'_>, a: View<'_>, b: View<'_>, epilogue: Epilogue<'_>) -> Result<()> {
        // SAFETY: all are of the dtype dispatched on; the rest is the caller's promise.
        floats!(out.dtype, "matmul", T => unsafe { product::matmul::<T>(self, &out, &a, &b, &epilogue) }?);
        Ok(())
    }

    unsafe fn gather(&self, out: Out<'_>, x: View<'_>, index: View<'_>, axis: usize) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { gather::gather(&out, &x, &index, axis) }
    }

    unsafe fn scatter(&self, op: ScatterOp, out: Out<'_>, y: View<'_>, index: View<'_>, axis: usize) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { gather::scatter(op, &out, &y, &index, axis) }
    }

    unsafe fn random(&self, distribution: Distribution, out: Out<'_>, stream: View<'_>) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { random::fill(self.isa, distribution, &out, &stream) }
    }

    unsafe fn sample(&self, law: Law, out: Out<'_>, a: View<'_>, b: View<'_>, stream: View<'_>) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { random::sample(self.isa, law, &out, [&a, &b], &stream) };
        Ok(())
    }

    unsafe fn run(&self, call: &Call<'_>) -> Result<Ran> {
        // SAFETY: the caller's promise.
        unsafe { calls::run(self, call) }
    }
}
