//! The one way from an operation on tensors to its device.
//!
//! Everything that concerns every launch belongs here: an operation checks its operands and calls one of these.

use crate::{
    ArgReduceOp, Call, CompareOp, Device, DeviceBuffer, Distribution, Epilogue, Out, Ran, ReduceOp, Result, UnaryCall,
    View,
};
use kiln_math::BinaryOp;

/// Each primitive of [`crate::Backend`] on this device's backend, as a safe function for this crate alone.
macro_rules! primitives {
    ($(fn $name:ident(&self $(, $argument:ident: $type:ty)*) -> $result:ty;)+) => {
        impl Device {
            $(
                #[inline]
                pub(crate) fn $name(&self $(, $argument: $type)*) -> $result {
                    // SAFETY: only operations of this crate call this. Their views and outputs are those of tensors, whose memory
                    // lives as long as they are borrowed and is initialized; an output is fresh, or its tensor is the only
                    // owner of its memory; shapes, dtypes and devices were checked by the operation.
                    unsafe { self.backend().$name($($argument),*) }
                }
            )+
        }
    };
}

primitives! {
    fn upload(&self, to: DeviceBuffer, offset: usize, from: &[u8]) -> Result<()>;
    fn download(&self, to: &mut [u8], from: DeviceBuffer, offset: usize) -> Result<()>;
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
    fn run(&self, call: &Call<'_>) -> Result<Ran>;
}
