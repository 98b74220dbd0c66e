//! Maxima of windows, and their gradient.

use super::OnGpu;
use super::dispatch::by_float;
use super::operand::{axes, float, window};
use crate::counts::is_counted;
use crate::gpu::Gpu;
use crate::machine::Machine;
use gpu_kernels::geometry::by_element;
use gpu_kernels::pool::{max_pool, max_pool_grad};
use kiln_tensor::{MaxPoolCall, MaxPoolGradCall, Ran, Result};

impl OnGpu for MaxPoolCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        let MaxPoolCall { window: form, out, taps, x } = self;
        let dtype = float("max_pool", out.dtype)?;
        if !is_counted(form, &[out.shape, x.layout.shape()]) {
            return Ok(Ran::NotHere);
        }
        let (outputs, inputs, window) = (axes(out.shape), axes(x.layout.shape()), window(form));
        let (x, geometry) = (gpu.numbers(x)?, by_element(out.elements()));
        let taps = gpu.target_of(taps.as_ref()).write();
        gpu.computing(out, |to| {
            by_float!(dtype, T => {
                gpu.run(max_pool::<T> { y: to.write(), taps, x: x.read(), outputs, inputs, window }, geometry)
            })
        })?;
        Ok(Ran::Done)
    }
}

impl OnGpu for MaxPoolGradCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        let MaxPoolGradCall { window: form, out, dy, taps } = self;
        let dtype = float("max_pool_grad", out.dtype)?;
        if !is_counted(form, &[out.shape, dy.layout.shape()]) {
            return Ok(Ran::NotHere);
        }
        let (outputs, inputs, window) = (axes(dy.layout.shape()), axes(out.shape), window(form));
        let (dy, taps, geometry) = (gpu.numbers(dy)?, gpu.rows(taps)?, by_element(out.elements()));
        gpu.computing(out, |to| {
            by_float!(dtype, T => {
                let (dx, dy, taps) = (to.write(), dy.read(), taps.read());
                gpu.run(max_pool_grad::<T> { dx, dy, taps, outputs, inputs, window }, geometry)
            })
        })?;
        Ok(Ran::Done)
    }
}
