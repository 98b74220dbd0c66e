//! Random numbers.

use super::Gpu;
use super::dispatch::by_float;
use crate::machine::Machine;
use gpu_kernels::geometry::by_element;
use gpu_kernels::random::{normal, uniform};
use kiln_tensor::{DType, Distribution, Out, Result, View, unsupported_dtype};

impl<M: Machine> Gpu<M> {
    pub(super) fn draw(&self, distribution: Distribution, out: &Out<'_>, stream: &View<'_>) -> Result<()> {
        self.sound()?;
        if !matches!(out.dtype, DType::F32 | DType::F64) {
            return Err(unsupported_dtype("random", out.dtype, "f32 or f64"));
        }
        let (to, stream, geometry) = (self.target(out), self.rows(stream)?, by_element(out.elements()));
        by_float!(out.dtype, T => {
            let (y, stream) = (to.write(), stream.read());
            match distribution {
                Distribution::Uniform { low, high } => self.run(uniform::<T> { y, stream, low, high }, geometry),
                Distribution::Normal { mean, std } => self.run(normal::<T> { y, stream, mean, std }, geometry),
            }
        })
    }
}
