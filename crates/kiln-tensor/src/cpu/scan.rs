//! Cumulative operations, and sums of squares.

use super::CpuBackend;
use super::calls::OnCpu;
use super::memory::{output, slice, slice_mut, strided};
use super::rows::{rows, write_rows};
use crate::{DType, DistancesCall, LinearScanCall, Ran, Result, ScanCall, ScanExtremaCall, ScanOp, unsupported_dtype};
use half::{bf16, f16};
use kiln_cpu::scan::Along;
use kiln_cpu::{reduce, scan};

/// A shape around one axis.
fn along(shape: &[usize], axis: usize) -> Along {
    Along { outer: shape[..axis].iter().product(), axis: shape[axis], inner: shape[axis + 1..].iter().product() }
}

impl OnCpu for ScanCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let along = along(self.out.shape, self.axis);
        if self.x.dtype == DType::I64 {
            let sum = self.op == ScanOp::Sum;
            // SAFETY: both are contiguous, of i64, and apart: the caller's promise.
            unsafe { scan::scan_i64(cpu.isa, sum, slice_mut(&self.out), slice(&self.x), along) };
            return Ok(Ran::Done);
        }
        // SAFETY: operand and output are of the dtype dispatched on, and apart: the caller's promise.
        floats!(self.x.dtype, "scan", T => unsafe {
            let x = rows::<T>(cpu, &self.x)?;
            write_rows::<T>(cpu, &self.out, |to| scan::scan(cpu.isa, self.op, to, &x, along))?;
        });
        Ok(Ran::Done)
    }
}

impl OnCpu for ScanExtremaCall<'_> {
    unsafe fn run(&self, _: &CpuBackend) -> Result<Ran> {
        let along = along(self.values.shape, self.axis);
        any!(self.x.dtype, "scan_extrema", T => {
            // SAFETY: operand and outputs are contiguous, of the dtypes dispatched on, and apart: the caller's promise.
            unsafe {
                let (values, positions) = (slice_mut::<T>(&self.values), slice_mut(&self.positions));
                scan::extrema(values, positions, slice::<T>(&self.x), along, self.smallest);
            }
        });
        Ok(Ran::Done)
    }
}

impl OnCpu for LinearScanCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let along = along(self.out.shape, self.axis);
        numbers!(self.a.dtype, "linear_scan", T => {
            // SAFETY: operands and output are contiguous, of the dtype dispatched on, and apart: the caller's promise.
            unsafe { scan::linear::<T>(cpu.isa, slice_mut(&self.out), slice(&self.a), slice(&self.b), along) }
        });
        Ok(Ran::Done)
    }
}

impl OnCpu for DistancesCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        numbers!(self.x.dtype, "distances", T => {
            // SAFETY: operands and output are of the dtype dispatched on; the centers are contiguous: the caller's promise.
            unsafe {
                let centers = self.center.as_ref().map(|center| slice::<T>(center));
                let (out, x) = (&mut output(&self.out), strided(&self.x));
                reduce::distances::<T>(cpu.isa, out, x, &self.axes, centers, self.squared);
            }
        });
        Ok(Ran::Done)
    }
}
