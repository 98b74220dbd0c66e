//! Random numbers and dropout.

use super::CpuBackend;
use super::calls::OnCpu;
use super::memory::{slice, slice_mut};
use super::rows::rows;
use crate::{DType, Distribution, DropoutCall, Out, Ran, Result, View, unsupported_dtype};
use kiln_cpu::Isa;
use kiln_cpu::random::{self, Draw};

/// The numbers of a stream.
///
/// # Safety
/// The stream is i64 (2,), contiguous.
unsafe fn draw(stream: &View<'_>) -> Draw {
    // SAFETY: the caller's promise.
    let words = unsafe { slice::<i64>(stream) };
    Draw { key: words[0] as u64, counter: words[1] as u64 }
}

/// See [`crate::Backend::random`].
///
/// # Safety
/// As there.
pub(super) unsafe fn fill(isa: Isa, distribution: Distribution, out: &Out<'_>, stream: &View<'_>) -> Result<()> {
    // SAFETY: a stream is i64 (2,), contiguous: the caller's promise.
    let draw = unsafe { draw(stream) };
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
        // SAFETY: operand and output are of the dtype dispatched on, the stream is i64 (2,); the output is apart from them: the
        // caller's promise.
        numbers!(self.out.dtype, "dropout", T => unsafe {
            let x = rows::<T>(&self.x)?;
            random::dropout::<T>(cpu.isa, slice_mut(&self.out), &x, draw(&self.stream), self.rate);
        });
        Ok(Ran::Done)
    }
}
