//! Cumulative operations along an axis.

use super::{Tensor, check_pair};
use crate::{Call, DType, Device, Error, Out, Ran, Result, View, unsupported_dtype};
pub use kiln_cpu::scan::ScanOp;

/// out\[i\] = x\[0\] ∘ … ∘ x\[i\] along an axis. The axis is cut into chunks of 256, which are accumulated each by itself, and then
/// together by the same rule.
#[derive(Clone, Copy, Debug)]
pub struct ScanCall<'a> {
    /// What is accumulated.
    pub op: ScanOp,
    /// Of x's shape and dtype.
    pub out: Out<'a>,
    /// Row-major; a float type, or i64 of a sum or a product.
    pub x: View<'a>,
    /// The axis.
    pub axis: usize,
}

/// values\[i\] = the extremum of x\[0\] … x\[i\] along an axis, and where it is: the last of equal ones; NaN wins.
#[derive(Clone, Copy, Debug)]
pub struct ScanExtremaCall<'a> {
    /// Of x's shape and dtype.
    pub values: Out<'a>,
    /// i64, of x's shape.
    pub positions: Out<'a>,
    /// Row-major, of any dtype.
    pub x: View<'a>,
    /// The axis.
    pub axis: usize,
    /// The minimum rather than the maximum.
    pub smallest: bool,
}

/// out\[i\] = a\[i\]·out\[i − 1\] + b\[i\] along an axis; out\[0\] = b\[0\].
#[derive(Clone, Copy, Debug)]
pub struct LinearScanCall<'a> {
    /// Of a's shape and dtype.
    pub out: Out<'a>,
    /// Row-major, f32 or f64.
    pub a: View<'a>,
    /// As a.
    pub b: View<'a>,
    /// The axis.
    pub axis: usize,
}

impl Tensor {
    /// This tensor on the host, for an operation that its device has no kernel for.
    pub(super) fn at_host(&self) -> Result<Tensor> {
        self.to_device(&Device::cpu())
    }

    /// x\[0\] ∘ … ∘ x\[i\] along the axis; half types are computed in f32, integers and bool in i64, which the result is.
    pub(crate) fn scanned(&self, op: ScanOp, axis: usize) -> Result<Tensor> {
        if !self.dtype.is_float() && op == ScanOp::LogSumExp {
            return Err(unsupported_dtype("logcumsumexp", self.dtype, "f32, f64, f16 or bf16"));
        }
        if !self.dtype.is_float() && self.dtype != DType::I64 {
            return self.to_dtype(DType::I64)?.scanned(op, axis);
        }
        let x = self.contiguous()?;
        let out = Tensor::output(self.shape(), self.dtype, self.device())?;
        match self.device().run(&Call::Scan(ScanCall { op, out: out.out(), x: x.view(), axis }))? {
            Ran::Done => Ok(out),
            Ran::NotHere => x.at_host()?.scanned(op, axis)?.to_device(self.device()),
        }
    }

    /// The extremum so far along the axis, and where it is.
    pub(crate) fn scanned_extrema(&self, axis: usize, smallest: bool) -> Result<(Tensor, Tensor)> {
        let x = self.contiguous()?;
        let values = Tensor::output(self.shape(), self.dtype, self.device())?;
        let positions = Tensor::output(self.shape(), DType::I64, self.device())?;
        let (out, at) = (values.out(), positions.out());
        let call = ScanExtremaCall { values: out, positions: at, x: x.view(), axis, smallest };
        match self.device().run(&Call::ScanExtrema(call))? {
            Ran::Done => Ok((values, positions)),
            Ran::NotHere => {
                let (values, positions) = x.at_host()?.scanned_extrema(axis, smallest)?;
                Ok((values.to_device(self.device())?, positions.to_device(self.device())?))
            }
        }
    }

    /// y\[i\] = a\[i\]·y\[i − 1\] + b\[i\] along the axis, where this is a.
    pub(crate) fn scanned_linear(&self, b: &Tensor, axis: usize) -> Result<Tensor> {
        check_pair("linear_recurrence", self, b)?;
        if self.shape() != b.shape() {
            return Err(Error::shape(
                "linear_recurrence",
                format!("factors {} and terms {} must be of one shape", self.shape(), b.shape()),
            ));
        }
        if !self.dtype.is_float() {
            return Err(unsupported_dtype("linear_recurrence", self.dtype, "f32, f64, f16 or bf16"));
        }
        let computed = self.dtype.computed_in();
        if computed != self.dtype {
            let y = self.to_dtype(computed)?.scanned_linear(&b.to_dtype(computed)?, axis)?;
            return y.to_dtype(self.dtype);
        }
        let (a, b) = (self.contiguous()?, b.contiguous()?);
        let out = Tensor::output(self.shape(), self.dtype, self.device())?;
        match self.device().run(&Call::LinearScan(LinearScanCall { out: out.out(), a: a.view(), b: b.view(), axis }))? {
            Ran::Done => Ok(out),
            Ran::NotHere => a.at_host()?.scanned_linear(&b.at_host()?, axis)?.to_device(self.device()),
        }
    }
}
