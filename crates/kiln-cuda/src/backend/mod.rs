//! The backend: every primitive as launches of gpu-kernels, on any [`Machine`].
//!
//! Kernels take row-major operands of f32, f64 and integers. Others are laid out first ([`operand`]): strided ones are copied,
//! half types computed in f32.

mod attention;
mod conv;
mod convert;
mod custom;
mod dispatch;
mod elementwise;
mod gather;
mod normalize;
mod operand;
mod pool;
mod product;
mod random;
mod recurrent;
mod reduce;
mod scan;
mod softmax;
mod sort;
mod update;

use crate::gpu::Gpu;
use crate::machine::Machine;
use kiln_math::{BinaryOp, IntegerOp, Law};
use kiln_tensor::{
    ArgReduceOp, Backend, Call, CompareOp, DeviceBuffer, Distribution, Epilogue, MemoryStats, Out, Ran, ReduceOp,
    Result, ScatterOp, UnaryCall, View,
};

/// Primitives that are refused after a fault, and else what the modules make of them.
macro_rules! primitives {
    ($($name:ident($($argument:ident: $t:ty),*) => $method:ident($($given:expr),*);)+) => { $(
        unsafe fn $name(&self, $($argument: $t),*) -> Result<()> {
            self.sound()?;
            self.$method($($given),*)
        }
    )+ };
}

// SAFETY: the machine hands out disjoint memory of at least the size that is asked for; Kiln's kernels write their outputs alone, which
// the simulator checks. Of kernels from outside `GpuLauncher` checks the views; that they stay within these on a card is their author's
// duty (`GpuKernel::new`).
unsafe impl<M: Machine> Backend for Gpu<M> {
    fn name(&self) -> &str {
        self.machine().name()
    }

    fn alloc(&self, bytes: usize) -> Result<DeviceBuffer> {
        self.allocated(bytes)
    }
    fn alloc_zeroed(&self, bytes: usize) -> Result<DeviceBuffer> {
        self.zeroed(bytes)
    }
    unsafe fn free(&self, buffer: DeviceBuffer) {
        self.freed(buffer);
    }
    fn synchronize(&self) -> Result<()> {
        self.sound()?;
        self.synchronized()
    }
    fn memory(&self) -> MemoryStats {
        self.memory_stats()
    }
    fn trim(&self) {
        self.trimmed();
    }

    primitives! {
        upload(to: DeviceBuffer, offset: usize, from: &[u8]) => uploaded(to, offset, from);
        download(to: &mut [u8], from: DeviceBuffer, offset: usize) => downloaded(to, from, offset);
        fill(out: Out<'_>, value: f64) => fill_elements(&out, value);
        copy(out: View<'_>, x: View<'_>) => copy_elements(&out, &x);
        unary(call: UnaryCall, out: Out<'_>, x: View<'_>) => unary_elements(call, &out, &x);
        unary_grad(call: UnaryCall, out: Out<'_>, x: View<'_>, y: View<'_>, dy: View<'_>)
            => unary_gradients(call, &out, [&x, &y, &dy]);
        binary(op: BinaryOp, out: Out<'_>, a: View<'_>, b: View<'_>) => binary_elements(op, &out, &a, &b);
        integers(op: IntegerOp, out: Out<'_>, a: View<'_>, b: View<'_>) => integer_elements(op, &out, &a, &b);
        compare(op: CompareOp, out: Out<'_>, a: View<'_>, b: View<'_>) => compare_elements(op, &out, &a, &b);
        select(out: Out<'_>, condition: View<'_>, a: View<'_>, b: View<'_>) => select_elements(&out, &condition, [&a, &b]);
        reduce(op: ReduceOp, out: Out<'_>, x: View<'_>, axes: &[usize]) => reduce_axes(op, &out, &x, axes);
        arg_reduce(op: ArgReduceOp, out: Out<'_>, x: View<'_>, axis: usize) => extremum_positions(op, &out, &x, axis);
        matmul(out: Out<'_>, a: View<'_>, b: View<'_>, epilogue: Epilogue<'_>) => product(&out, &a, &b, &epilogue);
        gather(out: Out<'_>, x: View<'_>, index: View<'_>, axis: usize) => gather_along(&out, &x, &index, axis);
        scatter(op: ScatterOp, out: Out<'_>, y: View<'_>, index: View<'_>, axis: usize)
            => scatter_along(op, &out, &y, &index, axis);
        random(distribution: Distribution, out: Out<'_>, stream: View<'_>) => draw(distribution, &out, &stream);
        sample(law: Law, out: Out<'_>, a: View<'_>, b: View<'_>, stream: View<'_>)
            => sample_law(law, &out, [&a, &b], &stream);
    }

    unsafe fn run(&self, call: &Call<'_>) -> Result<Ran> {
        self.sound()?;
        run(self, call)
    }
}

/// A call that a GPU has an answer to.
trait OnGpu {
    /// Launches the call's kernels, or answers [`Ran::NotHere`].
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran>;
}

macro_rules! dispatch_calls {
    ($({ $name:literal, $variant:ident, $module:ident::$call:ident, $field:ident })+) => {
        fn run<M: Machine>(gpu: &Gpu<M>, call: &Call<'_>) -> Result<Ran> {
            match call {
                $(Call::$variant(call) => OnGpu::run(call, gpu),)+
            }
        }
    };
}
kiln_tensor::for_each_call!(dispatch_calls);
