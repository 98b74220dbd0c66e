//! Random numbers and dropout.

use super::CpuBackend;
use super::calls::OnCpu;
use super::memory::{output, slice, slice_mut};
use super::rows::{Rows, rows};
use crate::{DType, Distribution, DropoutCall, Out, Ran, Result, View, unsupported_dtype};
use kiln_cpu::Isa;
use kiln_cpu::random::{self, Draw};

fn draw(stream: &View<'_>) -> Draw {
    // SAFETY: a stream is i64 (2,), contiguous: checked above the trait.
    let words = unsafe { slice::<i64>(stream) };
    Draw { key: words[0] as u64, counter: words[1] as u64 }
}

/// See [`crate::Backend::random`].
pub(super) fn fill(isa: Isa, distribution: Distribution, out: &Out<'_>, stream: &View<'_>) -> Result<()> {
    let draw = draw(stream);
    match out.dtype {
        DType::F32 => {
            // SAFETY: f32, row-major.
            let out = unsafe { slice_mut::<f32>(out) };
            match distribution {
                Distribution::Uniform { low, high } => random::uniform(isa, out, draw, low, high),
                Distribution::Normal { mean, std } => random::normal(out, draw, mean, std),
            }
        }
        DType::F64 => {
            // SAFETY: f64, row-major.
            let out = unsafe { slice_mut::<f64>(out) };
            match distribution {
                Distribution::Uniform { low, high } => random::uniform_f64(out, draw, low, high),
                Distribution::Normal { mean, std } => random::normal_f64(out, draw, mean, std),
            }
        }
        other => return Err(unsupported_dtype("random", other, "f32 or f64")),
    }
    Ok(())
}

impl OnCpu for DropoutCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let isa = cpu.isa;
        numbers!(self.out.dtype, "dropout", T => {
            let in_place = self.x.buffer == self.out.buffer;
            let x = rows::<T>(&self.x)?;
            // Lent elements must not change while they are.
            let x = if in_place { Rows::Copied(x.to_vec()) } else { x };
            // SAFETY: of the dtype dispatched on; apart from x.
            random::dropout::<T>(isa, &mut unsafe { output(&self.out) }, &x, draw(&self.stream), self.rate);
        });
        Ok(Ran::Done)
    }
}
