//! Attention, which is composed.

use super::OnGpu;
use crate::gpu::Gpu;
use crate::machine::Machine;
use kiln_tensor::{AttentionCall, AttentionGradCall, Ran, Result};

impl OnGpu for AttentionCall<'_> {
    fn run<M: Machine>(&self, _: &Gpu<M>) -> Result<Ran> {
        Ok(Ran::NotHere)
    }
}

impl OnGpu for AttentionGradCall<'_> {
    fn run<M: Machine>(&self, _: &Gpu<M>) -> Result<Ran> {
        Ok(Ran::NotHere)
    }
}
