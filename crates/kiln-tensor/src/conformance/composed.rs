//! Fused coarse primitives against the default bodies of the trait.

use super::cases::{Cases, Values, expect, output, values_of};
use crate::{
    ArgReduceOp, Backend, Buffer, CompareOp, DType, Device, Distribution, Epilogue, MemoryStats, Out, ReduceOp, Result,
    Shape, SoftmaxKind, Tensor, UnaryCall, UpdateRule, UpdateSlot, View,
};
use kiln_math::BinaryOp;
use std::sync::Arc;

/// A device without fused primitives: those are what the trait's default bodies make of the others.
pub struct Composed(pub Device);

macro_rules! forward {
    ($(fn $name:ident(&self $(, $argument:ident: $type:ty)*) -> $result:ty;)+) => {
        $(fn $name(&self $(, $argument: $type)*) -> $result {
            self.0.backend().$name($($argument),*)
        })+
    };
}

impl Backend for Composed {
    forward! {
        fn name(&self) -> &str;
        fn alloc(&self, bytes: usize) -> Result<Buffer>;
        fn alloc_zeroed(&self, bytes: usize) -> Result<Buffer>;
        fn free(&self, buffer: Buffer) -> ();
        fn upload(&self, to: Buffer, offset: usize, from: &[u8]) -> Result<()>;
        fn download(&self, to: &mut [u8], from: Buffer, offset: usize) -> Result<()>;
        fn synchronize(&self) -> Result<()>;
        fn is_host(&self) -> bool;
        fn memory(&self) -> MemoryStats;
        fn fill(&self, out: Out<'_>, value: f64) -> Result<()>;
        fn copy(&self, out: View<'_>, x: View<'_>) -> Result<()>;
        fn unary(&self, call: UnaryCall, out: Out<'_>, x: View<'_>) -> Result<()>;
        fn unary_grad(&self, call: UnaryCall, out: Out<'_>, x: View<'_>, y: View<'_>, dy: View<'_>) -> Result<()>;
        fn binary(&self, op: BinaryOp, out: Out<'_>, a: View<'_>, b: View<'_>) -> Result<()>;
        fn compare(&self, op: CompareOp, out: Out<'_>, a: View<'_>, b: View<'_>) -> Result<()>;
        fn select(&self, out: Out<'_>, condition: View<'_>, a: View<'_>, b: View<'_>) -> Result<()>;
        fn reduce(&self, op: ReduceOp, out: Out<'_>, x: View<'_>, axes: &[usize]) -> Result<()>;
        fn arg_reduce(&self, op: ArgReduceOp, out: Out<'_>, x: View<'_>, axis: usize) -> Result<()>;
        fn matmul(&self, out: Out<'_>, a: View<'_>, b: View<'_>, epilogue: Epilogue<'_>) -> Result<()>;
        fn gather(&self, out: Out<'_>, x: View<'_>, index: View<'_>, axis: usize) -> Result<()>;
        fn scatter_add(&self, out: Out<'_>, y: View<'_>, index: View<'_>, axis: usize) -> Result<()>;
        fn random(&self, distribution: Distribution, out: Out<'_>, stream: View<'_>) -> Result<()>;
        fn update(&self, rule: UpdateRule, step: View<'_>, slots: &[UpdateSlot]) -> Result<()>;
    }
}

impl Composed {
    /// The device `inner` without its fused primitives.
    pub fn device(inner: &Device) -> Device {
        Device::new(Arc::new(Composed(inner.clone())))
    }
}

/// Two ways to the same result, of numbers of this size.
pub(super) fn same(
    device: &Device,
    what: &str,
    shape: &Shape,
    dtype: DType,
    size: f64,
    run: &dyn Fn(&dyn Backend, &Tensor),
) {
    let (fused, composed) = (output(shape, dtype, device), output(shape, dtype, device));
    run(device.backend(), &fused);
    run(&Composed(device.clone()), &composed);
    expect(what, &fused, &values_of(&composed), |_| 4.0 * size);
}

/// Half types are computed in f32 and rounded once, by either way: to all but one place they are the same.
fn softmax_of_half_types(device: &Device) {
    let mut cases = Cases::new(device, 71);
    for (dtype, place) in [(DType::F16, 1.0 / 1024.0), (DType::BF16, 1.0 / 128.0)] {
        let shape = Shape::new(&[3, 50]).unwrap();
        let [x, dy] = [-20.0, -2.0].map(|low| cases.operand(&shape, dtype, Values::Between(low, -low)));
        let near = |what: &str, run: &dyn Fn(&dyn Backend, &Tensor)| {
            let [fused, composed] = [(); 2].map(|()| output(&shape, dtype, device));
            run(device.backend(), &fused);
            run(&Composed(device.clone()), &composed);
            for (got, want) in values_of(&fused).into_iter().zip(values_of(&composed)) {
                assert!((got - want).abs() <= place * want.abs() + 1e-6, "{what} in {dtype}: {got}, composed {want}");
            }
        };
        for kind in [SoftmaxKind::Softmax, SoftmaxKind::LogSoftmax] {
            near(&format!("{kind:?}"), &|backend, out| backend.softmax(kind, out.out(), x.tensor.view()).unwrap());
            let y = output(&shape, dtype, device);
            device.backend().softmax(kind, y.out(), x.tensor.view()).unwrap();
            near(&format!("gradient of {kind:?}"), &|backend, out| {
                backend.softmax_grad(kind, out.out(), y.view(), dy.tensor.view()).unwrap();
            });
        }
    }
}

pub(super) fn fused_as_composed(device: &Device) {
    softmax_of_half_types(device);
    let mut cases = Cases::new(device, 70);
    for dtype in [DType::F32, DType::F64] {
        for case in 0..40i64 {
            let rank = 1 + cases.below(3);
            let shape = cases.shape_of_rank(rank);
            let special = if case % 4 == 3 { Values::Special(-2.0, 2.0) } else { Values::Between(-2.0, 2.0) };
            let x = cases.operand(&shape, dtype, special);
            let dy = cases.operand(&shape, dtype, special);
            for kind in [SoftmaxKind::Softmax, SoftmaxKind::LogSoftmax] {
                same(device, &format!("{kind:?}"), &shape, dtype, 1.0, &|backend, out| {
                    backend.softmax(kind, out.out(), x.tensor.view()).unwrap();
                });
                same(device, &format!("gradient of {kind:?}"), &shape, dtype, 1.0, &|backend, out| {
                    backend.softmax_grad(kind, out.out(), x.tensor.view(), dy.tensor.view()).unwrap();
                });
            }
            let stream = Tensor::from_slice(&[case, case / 2], [2], device).unwrap();
            let rate = 0.9 * cases.stream.uniform_f64();
            same(device, "dropout", &shape, dtype, 1.0, &|backend, out| {
                backend.dropout(rate, out.out(), x.tensor.view(), stream.view()).unwrap();
            });
        }
        for case in 0..40i64 {
            let (n, classes) = (cases.size(), 1 + cases.below(20));
            let shape = Shape::new(&[n, classes]).unwrap();
            let special = if case % 4 == 3 { Values::Special(-2.0, 2.0) } else { Values::Between(-2.0, 2.0) };
            let logits = cases.rows(&shape, dtype, special);
            let column = Shape::new(&[n]).unwrap();
            let dy = cases.operand(&column, dtype, Values::Between(-2.0, 2.0));
            let target = match case % 3 {
                0 => cases.rows(&column, DType::I64, Values::Below(classes as u32)),
                1 => cases.rows(&column, DType::U8, Values::Below(classes as u32)),
                // Zeros among them.
                _ => cases.rows(&shape, dtype, Values::Below(3)),
            };
            same(device, "cross_entropy", &column, dtype, 1.0, &|backend, out| {
                backend.cross_entropy(out.out(), logits.tensor.view(), target.tensor.view()).unwrap();
            });
            same(device, "gradient of cross_entropy", &shape, dtype, 1.0, &|backend, out| {
                let (x, t) = (logits.tensor.view(), target.tensor.view());
                backend.cross_entropy_grad(out.out(), x, t, dy.tensor.view()).unwrap();
            });
        }
    }
}
