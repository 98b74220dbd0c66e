//! Random numbers and dropout.

use super::OnGpu;
use super::dispatch::by_float;
use super::operand::single_or_double;
use crate::gpu::Gpu;
use crate::machine::Machine;
use gpu_kernels::geometry::by_element;
use gpu_kernels::random::{normal, uniform};
use kiln_tensor::{Distribution, DropoutCall, Out, Ran, Result, View};

impl<M: Machine> Gpu<M> {
    pub(super) fn draw(&self, distribution: Distribution, out: &Out<'_>, stream: &View<'_>) -> Result<()> {
        let dtype = single_or_double("random", out.dtype)?;
        let (to, stream, geometry) = (self.target(out), self.rows(stream)?, by_element(out.elements()));
        by_float!(dtype, T => {
            let (y, stream) = (to.write(), stream.read());
            match distribution {
                Distribution::Uniform { low, high } => self.run(uniform::<T> { y, stream, low, high }, geometry),
                Distribution::Normal { mean, std } => self.run(normal::<T> { y, stream, mean, std }, geometry),
            }
        })
    }
}

impl OnGpu for DropoutCall<'_> {
    /// Composed: a draw, a comparison and a choice, of which there are kernels.
    fn run<M: Machine>(&self, _: &Gpu<M>) -> Result<Ran> {
        Ok(Ran::NotHere)
    }
}
