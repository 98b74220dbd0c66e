//! Random numbers and dropout.

use super::CpuBackend;
use super::calls::OnCpu;
use super::memory::{slice, slice_mut, strided};
use super::rows::rows;
use crate::{DType, Distribution, DropoutCall, Out, Ran, Result, View, unsupported_dtype};
use kiln_cpu::Isa;
use kiln_cpu::random::{self, Draw};
use kiln_math::Law;

/// The numbers of a stream.
///
/// # Safety
/// The stream is i64 (2,), contiguous.
pub(super) unsafe fn draw(stream: &View<'_>) -> Draw {
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
    // SAFETY: the output is row-major, of the dtype that its branch asks for.
    unsafe {
        match (distribution, out.dtype) {
            (Distribution::Integers { low, high }, DType::I64) => random::integers(slice_mut(out), draw, low, high),
            (Distribution::Uniform { low, high }, DType::F32) => random::uniform(isa, slice_mut(out), draw, low, high),
            (Distribution::Uniform { low, high }, DType::F64) => random::uniform_f64(slice_mut(out), draw, low, high),
            (Distribution::Normal { mean, std }, DType::F32) => random::normal(slice_mut(out), draw, mean, std),
            (Distribution::Normal { mean, std }, DType::F64) => random::normal_f64(slice_mut(out), draw, mean, std),
            (_, other) => return Err(unsupported_dtype("random", other, "f32 or f64; integers i64")),
        }
    }
    Ok(())
}

/// See [`crate::Backend::sample`].
///
/// # Safety
/// As there.
pub(super) unsafe fn sample(isa: Isa, law: Law, out: &Out<'_>, parameters: [&View<'_>; 2], stream: &View<'_>) {
    // SAFETY: output and parameters are f64, the stream is i64 (2,), contiguous: the caller's promise.
    unsafe { random::sample(isa, law, slice_mut(out), parameters.map(|view| strided(view)), draw(stream)) }
}

impl OnCpu for DropoutCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        // SAFETY: operand and output are of the dtype dispatched on, the stream is i64 (2,); the output is apart from them: the
        // caller's promise.
        numbers!(self.out.dtype, "dropout", T => unsafe {
            let x = rows::<T>(cpu, &self.x)?;
            random::dropout::<T>(cpu.isa, slice_mut(&self.out), &x, draw(&self.stream), self.rate);
        });
        Ok(Ran::Done)
    }
}
