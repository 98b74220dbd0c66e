//! Normalization by the moments of channels. That of rows, with a residual sum, is composed of it.

use super::OnGpu;
use super::dispatch::by_float;
use super::operand::{flag_of, float, sizes};
use crate::counts::{are_counted, countable};
use crate::gpu::Gpu;
use crate::machine::Machine;
use gpu_kernels::geometry::by_element;
use gpu_kernels::normalize::{self, BIAS, Chunks, OWN_MOMENTS, WEIGHT, by_channel, normalize_grad, normalize_sums};
use kiln_tensor::{MomentsCall, NormalizeCall, NormalizeGradCall, Ran, Result, RowNormCall, RowNormGradCall};

impl OnGpu for MomentsCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        let MomentsCall { out, x } = self;
        let dtype = float("moments", out.dtype)?;
        let [n, c, s] = [0, 1, 2].map(|axis| x.layout.shape()[axis]);
        let chunks = Chunks::new(n, s);
        if !chunks.fit() || !are_counted([n, c, s]) {
            return Ok(Ran::NotHere);
        }
        if c == 0 {
            return Ok(Ran::Done);
        }
        let geometry = by_channel(c, &chunks, dtype.size());
        let (shape, x, to) = (sizes([n, c, s]), gpu.numbers(x)?, gpu.target(out));
        by_float!(dtype, T => gpu.run(normalize::moments::<T> { y: to.write(), x: x.read(), shape }, geometry))?;
        Ok(Ran::Done)
    }
}

impl OnGpu for NormalizeCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        let NormalizeCall { form, out, x, moments, weight, bias } = self;
        let dtype = float("normalize", out.dtype)?;
        countable("normalize", [out.shape])?;
        let shape = sizes([out.shape[0], out.shape[1], out.shape[2]]);
        let (x, moments) = (gpu.numbers(x)?, gpu.numbers(moments)?);
        let (weight, scaled) = gpu.optional(weight.as_ref(), WEIGHT)?;
        let (bias, shifted) = gpu.optional(bias.as_ref(), BIAS)?;
        let (relu, after) = flag_of(form.activation);
        let flags = scaled | shifted | relu;
        gpu.computing(out, |to| {
            by_float!(dtype, T => {
                let (moments, epsilon) = (moments.read(), form.epsilon as T);
                let form = normalize::Form::<T> { moments, shape, flags, epsilon, share: 1.0 };
                let (y, x, weight, bias) = (to.write(), x.read(), weight.read(), bias.read());
                gpu.run(normalize::normalize { y, x, weight, bias, form }, by_element(out.elements()))
            })?;
            after.map_or(Ok(()), |call| gpu.unary_rows(call, [to, to], dtype))
        })?;
        Ok(Ran::Done)
    }
}

impl OnGpu for NormalizeGradCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        let NormalizeGradCall { form, dx, affine, x, y, dy, moments, weight } = self;
        let dtype = float("normalize_grad", dx.dtype)?;
        let (relu, other) = flag_of(form.activation);
        let [n, c, s] = [0, 1, 2].map(|axis| dx.shape[axis]);
        let chunks = Chunks::new(n, s);
        if !chunks.fit() || !are_counted([n, c, s]) || other.is_some() {
            return Ok(Ran::NotHere);
        }
        if c == 0 {
            return Ok(Ran::Done);
        }
        let (by_channel, shape) = (by_channel(c, &chunks, dtype.size()), sizes([n, c, s]));
        let (y, relu) = gpu.optional((relu != 0).then_some(y), relu)?;
        let (x, dy, moments) = (gpu.numbers(x)?, gpu.numbers(dy)?, gpu.numbers(moments)?);
        let (weight, scaled) = gpu.optional(weight.as_ref(), WEIGHT)?;
        let flags = relu | scaled | if form.own_moments { OWN_MOMENTS } else { 0 };
        let sums = gpu.target(affine);
        gpu.computing(dx, |to| {
            by_float!(dtype, T => {
                let (epsilon, share) = (form.epsilon as T, (1.0 / (n * s).max(1) as f64) as T);
                let form = normalize::Form::<T> { moments: moments.read(), shape, flags, epsilon, share };
                let (x, y, dy) = (x.read(), y.read(), dy.read());
                gpu.run(normalize_sums { sums: sums.write(), x, y, dy, form }, by_channel)?;
                let (dx, weight, sums) = (to.write(), weight.read(), sums.read());
                gpu.run(normalize_grad { dx, x, y, dy, weight, sums, form }, by_element(to.elements()))
            })
        })?;
        Ok(Ran::Done)
    }
}

impl OnGpu for RowNormCall<'_> {
    fn run<M: Machine>(&self, _: &Gpu<M>) -> Result<Ran> {
        Ok(Ran::NotHere)
    }
}

impl OnGpu for RowNormGradCall<'_> {
    fn run<M: Machine>(&self, _: &Gpu<M>) -> Result<Ran> {
        Ok(Ran::NotHere)
    }
}
