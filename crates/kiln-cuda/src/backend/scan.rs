//! Cumulative operations.

use super::OnGpu;
use super::dispatch::{by_number, by_type};
use super::operand::{Operand, computed_in, single_or_double};
use crate::gpu::Gpu;
use crate::machine::Machine;
use gpu_kernels::geometry::by_element;
use gpu_kernels::scan::{Op, chunks, linear_scan, scan_chunks, scan_extrema, scan_join};
use kiln_tensor::{DType, LinearScanCall, Ran, Result, ScanCall, ScanExtremaCall, ScanOp, Shape};

/// A shape as (outer, axis, inner).
fn along(shape: &Shape, axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

impl<M: Machine> Gpu<M> {
    /// x (outer, axis, inner) accumulated along the axis.
    fn accumulate(
        &self,
        op: Op,
        to: &Operand<'_, M>,
        x: &Operand<'_, M>,
        along: [usize; 3],
        dtype: DType,
    ) -> Result<()> {
        let [outer, axis, inner] = along;
        let (chunks, op_number) = (chunks(axis), op as u32);
        let between = outer * (chunks - 1) * inner;
        let last = if between == 0 { self.absent() } else { self.temporary(between, dtype)? };
        let (axis_64, inner_64) = (axis as u64, inner as u64);
        by_type!(dtype, T => {
            let (y, last, x) = (to.write(), last.write(), x.read());
            let scan = scan_chunks::<T> { y, last, x, axis: axis_64, inner: inner_64, op: op_number };
            self.run(scan, by_element(outer * chunks * inner))
        }; DType::I64 => i64, DType::F64 => f64, _ => f32)?;
        if between == 0 {
            return Ok(());
        }
        let before = self.temporary(between, dtype)?;
        self.accumulate(op, &before, &last, [outer, chunks - 1, inner], dtype)?;
        by_type!(dtype, T => {
            let join = scan_join::<T> { y: to.write(), before: before.read(), axis: axis_64, inner: inner_64, op: op_number };
            self.run(join, by_element(to.elements()))
        }; DType::I64 => i64, DType::F64 => f64, _ => f32)
    }
}

impl OnGpu for ScanCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        if self.out.elements() == 0 {
            return Ok(Ran::Done);
        }
        let op = match self.op {
            ScanOp::Sum => Op::Sum,
            ScanOp::Prod => Op::Prod,
            ScanOp::LogSumExp => Op::LogSumExp,
        };
        let (x, dtype) = (gpu.numbers(&self.x)?, computed_in(self.x.dtype));
        gpu.computing(&self.out, |to| gpu.accumulate(op, to, &x, along(self.out.shape, self.axis), dtype))?;
        Ok(Ran::Done)
    }
}

impl OnGpu for ScanExtremaCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        if self.values.elements() == 0 {
            return Ok(Ran::Done);
        }
        let [outer, axis, inner] = along(self.values.shape, self.axis);
        let (x, positions, smallest) = (gpu.numbers(&self.x)?, gpu.target(&self.positions), u32::from(self.smallest));
        let geometry = by_element(outer * inner);
        gpu.computing(&self.values, |to| {
            by_number!(self.x.dtype, T => {
                let (values, positions, axis, inner) = (to.write(), positions.write(), axis as u64, inner as u64);
                gpu.run(scan_extrema::<T> { values, positions, x: x.read(), axis, inner, smallest }, geometry)
            })
        })?;
        Ok(Ran::Done)
    }
}

impl OnGpu for LinearScanCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        if self.out.elements() == 0 {
            return Ok(Ran::Done);
        }
        let dtype = single_or_double("linear_scan", self.a.dtype)?;
        let [outer, axis, inner] = along(self.out.shape, self.axis);
        let (y, a, b) = (gpu.target(&self.out), gpu.rows(&self.a)?, gpu.rows(&self.b)?);
        let geometry = by_element(outer * inner);
        by_type!(dtype, T => {
            let (axis, inner) = (axis as u64, inner as u64);
            gpu.run(linear_scan::<T> { y: y.write(), a: a.read(), b: b.read(), axis, inner }, geometry)
        }; DType::F64 => f64, _ => f32)?;
        Ok(Ran::Done)
    }
}
