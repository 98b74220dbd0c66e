//! Softmax and cross-entropy of labels.

use super::OnGpu;
use super::dispatch::by_float;
use super::operand::{float, single_or_double, sizes};
use crate::counts::countable;
use crate::gpu::Gpu;
use crate::machine::Machine;
use gpu_kernels::cross_entropy::{cross_entropy, cross_entropy_grad};
use gpu_kernels::geometry::by_lanes;
use gpu_kernels::softmax::{logsumexp, softmax, softmax_grad};
use kiln_tensor::{
    CrossEntropyCall, CrossEntropyGradCall, DType, LogsumexpCall, Ran, Result, Shape, SoftmaxCall, SoftmaxGradCall,
    SoftmaxKind,
};

/// How long the rows of a shape are, and how many there are.
fn rows_of(operation: &'static str, shape: &Shape) -> Result<(u32, usize)> {
    countable(operation, [shape])?;
    let width = shape.last().copied().unwrap_or(1);
    Ok((sizes([width])[0], shape.elements() / width.max(1)))
}

impl OnGpu for SoftmaxCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        let SoftmaxCall { kind, out, x } = self;
        let dtype = float("softmax", out.dtype)?;
        let ((width, rows), log) = (rows_of("softmax", out.shape)?, u32::from(*kind == SoftmaxKind::LogSoftmax));
        let x = gpu.numbers(x)?;
        gpu.computing(out, |to| {
            by_float!(dtype, T => gpu.run(softmax::<T> { y: to.write(), x: x.read(), width, log }, by_lanes(rows)))
        })?;
        Ok(Ran::Done)
    }
}

impl OnGpu for SoftmaxGradCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        let SoftmaxGradCall { kind, out, y, dy } = self;
        let dtype = float("softmax_grad", out.dtype)?;
        let ((width, rows), log) = (rows_of("softmax_grad", out.shape)?, u32::from(*kind == SoftmaxKind::LogSoftmax));
        let (y, dy) = (gpu.numbers(y)?, gpu.numbers(dy)?);
        gpu.computing(out, |to| {
            by_float!(dtype, T => {
                let gradient = softmax_grad::<T> { dx: to.write(), y: y.read(), dy: dy.read(), width, log };
                gpu.run(gradient, by_lanes(rows))
            })
        })?;
        Ok(Ran::Done)
    }
}

impl OnGpu for LogsumexpCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        let LogsumexpCall { out, x } = self;
        let dtype = float("logsumexp", out.dtype)?;
        let ((width, _), geometry) = (rows_of("logsumexp", x.layout.shape())?, by_lanes(out.elements()));
        let x = gpu.numbers(x)?;
        gpu.computing(
            out,
            |to| by_float!(dtype, T => gpu.run(logsumexp::<T> { y: to.write(), x: x.read(), width }, geometry)),
        )?;
        Ok(Ran::Done)
    }
}

impl OnGpu for CrossEntropyCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        let CrossEntropyCall { out, logits, target } = self;
        if target.dtype.is_float() {
            return Ok(Ran::NotHere);
        }
        let dtype = single_or_double("cross_entropy", out.dtype)?;
        let (classes, rows) = rows_of("cross_entropy", logits.layout.shape())?;
        let (x, labels) = (gpu.rows(logits)?, gpu.rows_as(target, DType::I64)?);
        let (to, geometry, labels) = (gpu.target(out), by_lanes(rows), labels.read());
        by_float!(dtype, T => {
            gpu.run(cross_entropy::<T> { y: to.write(), logits: x.read(), labels, classes }, geometry)
        })?;
        Ok(Ran::Done)
    }
}

impl OnGpu for CrossEntropyGradCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        let CrossEntropyGradCall { out, logits, target, dy } = self;
        if target.dtype.is_float() {
            return Ok(Ran::NotHere);
        }
        let dtype = single_or_double("cross_entropy_grad", out.dtype)?;
        let (classes, rows) = rows_of("cross_entropy_grad", logits.layout.shape())?;
        let (x, labels) = (gpu.rows(logits)?, gpu.rows_as(target, DType::I64)?);
        let (to, slopes, labels) = (gpu.target(out), gpu.whole(dy.buffer, dy.dtype), labels.read());
        let (dy_start, dy_step) = (dy.layout.offset() as i64, dy.layout.strides()[0] as i64);
        by_float!(dtype, T => {
            let (dx, logits, dy) = (to.write(), x.read(), slopes.read());
            let gradient = cross_entropy_grad::<T> { dx, logits, labels, dy, dy_start, dy_step, classes };
            gpu.run(gradient, by_lanes(rows))
        })?;
        Ok(Ran::Done)
    }
}
