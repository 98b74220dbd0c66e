//! Coarse operations: each call to its kernel.

use super::{CpuBackend, conv, normalization, pool, random, recurrent, softmax, update};
use crate::{Call, Ran, Result};

/// See [`crate::Backend::run`].
///
/// # Safety
/// As there.
pub(super) unsafe fn run(cpu: &CpuBackend, call: &Call<'_>) -> Result<Ran> {
    let isa = cpu.isa;
    match call {
        Call::Dropout(call) => random::dropout(isa, call)?,
        Call::Softmax(call) => softmax::softmax(isa, call)?,
        Call::SoftmaxGrad(call) => softmax::softmax_grad(isa, call)?,
        Call::CrossEntropy(call) => softmax::cross_entropy(isa, call)?,
        Call::CrossEntropyGrad(call) => softmax::cross_entropy_grad(isa, call)?,
        Call::Conv(call) => conv::forward(isa, call)?,
        Call::ConvGradInput(call) => conv::grad_input(isa, call)?,
        Call::ConvGradWeight(call) => conv::grad_weight(isa, call)?,
        Call::MaxPool(call) => pool::max_pool(isa, call)?,
        Call::MaxPoolGrad(call) => pool::max_pool_grad(call)?,
        Call::Moments(call) => normalization::moments(isa, call)?,
        Call::Normalize(call) => return normalization::normalize(isa, call),
        Call::NormalizeGrad(call) => return normalization::normalize_grad(isa, call),
        Call::Recurrent(call) => recurrent::forward(cpu, call)?,
        Call::RecurrentGrad(call) => recurrent::backward(cpu, call)?,
        Call::Update(call) => update::run(isa, call)?,
        // SAFETY: the caller's promise.
        Call::Custom(call) => return unsafe { call.run_on_cpu() },
    }
    Ok(Ran::Done)
}
