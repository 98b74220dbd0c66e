//! Random numbers and dropout.

use super::OnGpu;
use super::dispatch::by_float;
use super::operand::single_or_double;
use crate::gpu::Gpu;
use crate::machine::Machine;
use gpu_kernels::geometry::by_element;
use gpu_kernels::random::{integers, normal, sample, uniform};
use kiln_math::Law;
use kiln_tensor::{Distribution, DropoutCall, Out, Ran, Result, View, unsupported_dtype};

impl<M: Machine> Gpu<M> {
    pub(super) fn draw(&self, distribution: Distribution, out: &Out<'_>, stream: &View<'_>) -> Result<()> {
        let (to, stream, geometry) = (self.target(out), self.rows(stream)?, by_element(out.elements()));
        if let Distribution::Integers { low, high } = distribution {
            return self.run(integers { y: to.write(), stream: stream.read(), low, high }, geometry);
        }
        by_float!(single_or_double("random", out.dtype)?, T => {
            let (y, stream) = (to.write(), stream.read());
            match distribution {
                Distribution::Uniform { low, high } => self.run(uniform::<T> { y, stream, low, high }, geometry),
                Distribution::Normal { mean, std } => self.run(normal::<T> { y, stream, mean, std }, geometry),
                Distribution::Integers { .. } => Err(unsupported_dtype("random", out.dtype, "i64")),
            }
        })
    }

    pub(super) fn sample_law(&self, law: Law, out: &Out<'_>, [a, b]: [&View<'_>; 2], stream: &View<'_>) -> Result<()> {
        let (to, a, b, stream) = (self.target(out), self.rows(a)?, self.rows(b)?, self.rows(stream)?);
        let (y, a, b, stream, law) = (to.write(), a.read(), b.read(), stream.read(), law as u32);
        self.run(sample { y, a, b, stream, law }, by_element(out.elements()))
    }
}

impl OnGpu for DropoutCall<'_> {
    /// Composed: a draw, a comparison and a choice, of which there are kernels.
    fn run<M: Machine>(&self, _: &Gpu<M>) -> Result<Ran> {
        Ok(Ran::NotHere)
    }
}
