//! Kernels of coarse operations against their composed forms, and a device that composes all of them.

use super::cases::{Cases, Values, expect, values_of};
use crate::{
    Backend, Call, DType, Device, DeviceBuffer, DropoutCall, MemoryStats, Out, Ran, Result, Shape, SoftmaxKind, Tensor,
    composed,
};
use std::sync::Arc;

/// A device that answers every call with "not here", so that all coarse operations are composed.
pub struct Composed(Device);

/// A backend that hands everything but calls on to another device.
macro_rules! forward {
    ($of:ident, $device:tt, $run:expr) => {
        $crate::driver::for_each_primitive!(forward! $of, $device, $run);
    };
    ($of:ident, $device:tt, $run:expr; $(fn $name:ident(&self $(, $argument:ident: $type:ty)*) -> $result:ty;)+) => {
        // SAFETY: every call goes to a backend that keeps the contract.
        unsafe impl Backend for $of {
            fn name(&self) -> &str {
                self.$device.name()
            }
            fn alloc(&self, bytes: usize) -> Result<DeviceBuffer> {
                self.$device.backend().alloc(bytes)
            }
            fn alloc_zeroed(&self, bytes: usize) -> Result<DeviceBuffer> {
                self.$device.backend().alloc_zeroed(bytes)
            }
            unsafe fn free(&self, buffer: DeviceBuffer) {
                // SAFETY: the caller's promise, as in all that follow.
                unsafe { self.$device.backend().free(buffer) }
            }
            fn synchronize(&self) -> Result<()> {
                self.$device.synchronize()
            }
            fn is_host(&self) -> bool {
                self.$device.backend().is_host()
            }
            fn memory(&self) -> MemoryStats {
                self.$device.memory()
            }
            $(unsafe fn $name(&self $(, $argument: $type)*) -> $result {
                self.$device.$name($($argument),*)
            })+
            unsafe fn run(&self, call: &Call<'_>) -> Result<Ran> {
                $run(self, call)
            }
        }
    };
}

pub(super) use forward;

forward!(Composed, 0, |_: &Composed, _: &Call<'_>| Ok(Ran::NotHere));
impl Composed {
    /// The device `inner` without its kernels of coarse operations.
    pub fn device(inner: &Device) -> Device {
        Device::new(Arc::new(Composed(inner.clone())))
    }
}

/// What the call left in `out`; where the device has no kernel for it, what the composed form gives.
pub(super) fn outcome(
    device: &Device,
    call: &Call<'_>,
    out: &Tensor,
    composed: impl FnOnce() -> Result<Tensor>,
) -> Tensor {
    match device.run(call).unwrap() {
        Ran::Done => out.clone(),
        Ran::NotHere => composed().unwrap(),
    }
}

/// Whether the device has a kernel for the call, which it has run then.
pub(super) fn ran(device: &Device, call: &Call<'_>) -> bool {
    device.run(call).unwrap() == Ran::Done
}

/// Two ways to the same result, of numbers of this size.
pub(super) fn same(what: &str, size: f64, kernel: &Tensor, composed: &Tensor) {
    assert_eq!((kernel.shape(), kernel.dtype()), (composed.shape(), composed.dtype()), "{what}");
    expect(what, kernel, &values_of(composed), |_| 4.0 * size);
}

/// Half types are computed in f32 and rounded once, by either way: to all but one place they are the same.
fn softmax_of_half_types(device: &Device) {
    let mut cases = Cases::new(device, 71);
    for (dtype, place) in [(DType::F16, 1.0 / 1024.0), (DType::BF16, 1.0 / 128.0)] {
        let shape = Shape::new(&[3, 50]).unwrap();
        let x = cases.operand(&shape, dtype, Values::Between(-20.0, 20.0)).tensor;
        let kernels = [x.softmax(-1).unwrap(), x.log_softmax(-1).unwrap()];
        for (kind, kernel) in [SoftmaxKind::Softmax, SoftmaxKind::LogSoftmax].into_iter().zip(kernels) {
            let composed = values_of(&composed::softmax(kind, &x).unwrap());
            for (got, want) in values_of(&kernel).into_iter().zip(composed) {
                assert!((got - want).abs() <= place * want.abs() + 1e-6, "{kind:?} in {dtype}: {got}, composed {want}");
            }
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
            let x = cases.operand(&shape, dtype, special).tensor;
            let kernels = [x.softmax(-1).unwrap(), x.log_softmax(-1).unwrap()];
            for (kind, kernel) in [SoftmaxKind::Softmax, SoftmaxKind::LogSoftmax].into_iter().zip(kernels) {
                same(&format!("{kind:?}"), 1.0, &kernel, &composed::softmax(kind, &x).unwrap());
            }
            let stream = Tensor::from_slice(&[case, case / 2], [2], device).unwrap();
            let rate = 0.9 * cases.stream.uniform_f64();
            same("dropout", 1.0, &x.dropout(rate, &stream).unwrap(), &composed::dropout(rate, &x, &stream).unwrap());
        }
        for case in 0..40i64 {
            let (n, classes) = (1 + cases.size(), 1 + cases.below(20));
            let shape = Shape::new(&[n, classes]).unwrap();
            let special = if case % 4 == 3 { Values::Special(-2.0, 2.0) } else { Values::Between(-2.0, 2.0) };
            let logits = cases.rows(&shape, dtype, special).tensor;
            let column = Shape::new(&[n]).unwrap();
            let target = match case % 3 {
                0 => cases.rows(&column, DType::I64, Values::Below(classes as u32)),
                1 => cases.rows(&column, DType::U8, Values::Below(classes as u32)),
                // Zeros among them.
                _ => cases.rows(&shape, dtype, Values::Below(3)),
            }
            .tensor;
            let composed = composed::cross_entropy(&logits, &target).unwrap();
            same("cross_entropy", 1.0, &logits.cross_entropy(&target).unwrap(), &composed);
        }
    }
}

/// Dropout into other memory, and in place.
pub(super) fn dropout_call<'a>(rate: f64, out: Out<'a>, x: &'a Tensor, stream: &'a Tensor) -> Call<'a> {
    Call::Dropout(DropoutCall { rate, out, x: x.view(), stream: stream.view() })
}
