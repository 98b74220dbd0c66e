//! The backend: every primitive as launches of gpu-kernels, on any [`Machine`].
//!
//! Kernels take row-major operands of f32, f64 and integers. Others are laid out first ([`operand`]): strided ones are copied,
//! half types computed in f32.

mod conv;
mod convert;
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
mod softmax;
mod update;

use crate::gpu::Gpu;
use crate::machine::Machine;
use kiln_math::BinaryOp;
use kiln_tensor::{
    ArgReduceOp, Backend, Buffer, CompareOp, Convolution, Distribution, Epilogue, MemoryStats, Normalization, Out,
    Recurrence, RecurrenceGrad, RecurrenceGradOut, RecurrenceOut, ReduceOp, Result, SoftmaxKind, UnaryCall, UpdateRule,
    UpdateSlot, View, Window,
};

/// Primitives that are refused after a fault, and else what the modules make of them.
macro_rules! primitives {
    ($($name:ident($($argument:ident: $t:ty),*) => $method:ident($($given:expr),*);)+) => { $(
        fn $name(&self, $($argument: $t),*) -> Result<()> {
            self.sound()?;
            self.$method($($given),*)
        }
    )+ };
}

impl<M: Machine> Backend for Gpu<M> {
    fn name(&self) -> &str {
        self.machine().name()
    }

    fn alloc(&self, bytes: usize) -> Result<Buffer> {
        self.allocated(bytes)
    }
    fn alloc_zeroed(&self, bytes: usize) -> Result<Buffer> {
        self.zeroed(bytes)
    }
    fn free(&self, buffer: Buffer) {
        self.freed(buffer);
    }
    fn memory(&self) -> MemoryStats {
        self.memory_stats()
    }
    fn trim(&self) {
        self.machine().trim();
    }

    primitives! {
        upload(to: Buffer, offset: usize, from: &[u8]) => uploaded(to, offset, from);
        download(to: &mut [u8], from: Buffer, offset: usize) => downloaded(to, from, offset);
        synchronize() => synchronized();
        fill(out: Out<'_>, value: f64) => fill_elements(&out, value);
        copy(out: View<'_>, x: View<'_>) => copy_elements(&out, &x);
        unary(call: UnaryCall, out: Out<'_>, x: View<'_>) => unary_elements(call, &out, &x);
        unary_grad(call: UnaryCall, out: Out<'_>, x: View<'_>, y: View<'_>, dy: View<'_>)
            => unary_gradients(call, &out, [&x, &y, &dy]);
        binary(op: BinaryOp, out: Out<'_>, a: View<'_>, b: View<'_>) => binary_elements(op, &out, &a, &b);
        compare(op: CompareOp, out: Out<'_>, a: View<'_>, b: View<'_>) => compare_elements(op, &out, &a, &b);
        select(out: Out<'_>, condition: View<'_>, a: View<'_>, b: View<'_>) => select_elements(&out, &condition, [&a, &b]);
        reduce(op: ReduceOp, out: Out<'_>, x: View<'_>, axes: &[usize]) => reduce_axes(op, &out, &x, axes);
        arg_reduce(op: ArgReduceOp, out: Out<'_>, x: View<'_>, axis: usize) => extremum_positions(op, &out, &x, axis);
        matmul(out: Out<'_>, a: View<'_>, b: View<'_>, epilogue: Epilogue<'_>) => product(&out, &a, &b, &epilogue);
        gather(out: Out<'_>, x: View<'_>, index: View<'_>, axis: usize) => gather_along(&out, &x, &index, axis);
        scatter_add(out: Out<'_>, y: View<'_>, index: View<'_>, axis: usize) => scatter_along(&out, &y, &index, axis);
        random(distribution: Distribution, out: Out<'_>, stream: View<'_>) => draw(distribution, &out, &stream);
        softmax(kind: SoftmaxKind, out: Out<'_>, x: View<'_>) => softmax_rows(kind, &out, &x);
        softmax_grad(kind: SoftmaxKind, out: Out<'_>, y: View<'_>, dy: View<'_>) => softmax_gradients(kind, &out, [&y, &dy]);
        cross_entropy(out: Out<'_>, logits: View<'_>, target: View<'_>) => losses(out, logits, target);
        cross_entropy_grad(out: Out<'_>, logits: View<'_>, target: View<'_>, dy: View<'_>)
            => loss_gradients(out, logits, target, dy);
        conv(form: &Convolution, out: Out<'_>, x: View<'_>, weight: View<'_>, epilogue: Epilogue<'_>)
            => convolution(form, &out, [&x, &weight], &epilogue);
        conv_grad_input(form: &Convolution, out: Out<'_>, dy: View<'_>, weight: View<'_>)
            => input_gradients(form, &out, [&dy, &weight]);
        conv_grad_weight(form: &Convolution, out: Out<'_>, x: View<'_>, dy: View<'_>)
            => weight_gradients(form, &out, [&x, &dy]);
        max_pool(window: &Window, out: Out<'_>, taps: Option<Out<'_>>, x: View<'_>)
            => maxima(window, &out, taps.as_ref(), &x);
        max_pool_grad(window: &Window, out: Out<'_>, dy: View<'_>, taps: View<'_>)
            => maxima_gradients(window, &out, [&dy, &taps]);
        moments(out: Out<'_>, x: View<'_>) => channel_moments(out, x);
        normalize(form: &Normalization, out: Out<'_>, x: View<'_>, moments: View<'_>, affine: [Option<View<'_>>; 2])
            => normalized(form, &out, &x, &moments, affine);
        recurrent(call: Recurrence<'_>, out: RecurrenceOut<'_>) => recurrent_steps(call, out);
        recurrent_grad(call: Recurrence<'_>, saved: RecurrenceGrad<'_>, out: RecurrenceGradOut<'_>)
            => recurrent_gradients(call, saved, out);
        update(rule: UpdateRule, step: View<'_>, slots: &[UpdateSlot]) => updated(rule, &step, slots);
        normalize_grad(form: &Normalization, dx: Out<'_>, affine: Out<'_>, x: View<'_>, y: View<'_>, dy: View<'_>,
            moments: View<'_>, weight: Option<View<'_>>)
            => normalized_gradients(form, dx, affine, [x, y, dy], moments, weight);
    }
}
