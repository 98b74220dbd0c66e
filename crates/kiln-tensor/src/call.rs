//! Coarse operations as values: what a device may run with one kernel.

use crate::DType;
use crate::tensor::calls::*;

/// A coarse operation with its operands.
///
/// Each call's struct stands beside its operation, with the shapes of its operands and its composed form
/// ([`crate::composed`]), and says what its outputs become. Operands and outputs follow the rules of [`crate::Backend`].
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, clippy::large_enum_variant)] // the structs are documented; a call is lent, never moved
pub enum Call<'a> {
    Dropout(DropoutCall<'a>),
    Softmax(SoftmaxCall<'a>),
    SoftmaxGrad(SoftmaxGradCall<'a>),
    CrossEntropy(CrossEntropyCall<'a>),
    CrossEntropyGrad(CrossEntropyGradCall<'a>),
    Conv(ConvCall<'a>),
    ConvGradInput(ConvGradInputCall<'a>),
    ConvGradWeight(ConvGradWeightCall<'a>),
    MaxPool(MaxPoolCall<'a>),
    MaxPoolGrad(MaxPoolGradCall<'a>),
    Moments(MomentsCall<'a>),
    Normalize(NormalizeCall<'a>),
    NormalizeGrad(NormalizeGradCall<'a>),
    Recurrent(RecurrentCall<'a>),
    RecurrentGrad(RecurrentGradCall<'a>),
    Update(UpdateCall<'a>),
    Custom(CustomCall<'a>),
}

/// How a backend answers a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Ran {
    /// It ran, or is queued.
    Done,
    /// There is no kernel for it, and nothing was written.
    NotHere,
}

impl Call<'_> {
    /// The operation's name and the type of its result.
    pub fn name(&self) -> (&'static str, DType) {
        match self {
            Call::Dropout(call) => ("dropout", call.out.dtype),
            Call::Softmax(call) => ("softmax", call.out.dtype),
            Call::SoftmaxGrad(call) => ("softmax_grad", call.out.dtype),
            Call::CrossEntropy(call) => ("cross_entropy", call.out.dtype),
            Call::CrossEntropyGrad(call) => ("cross_entropy_grad", call.out.dtype),
            Call::Conv(call) => ("conv", call.out.dtype),
            Call::ConvGradInput(call) => ("conv_grad_input", call.out.dtype),
            Call::ConvGradWeight(call) => ("conv_grad_weight", call.out.dtype),
            Call::MaxPool(call) => ("max_pool", call.out.dtype),
            Call::MaxPoolGrad(call) => ("max_pool_grad", call.out.dtype),
            Call::Moments(call) => ("moments", call.x.dtype),
            Call::Normalize(call) => ("normalize", call.out.dtype),
            Call::NormalizeGrad(call) => ("normalize_grad", call.dx.dtype),
            Call::Recurrent(call) => ("recurrent", call.states.dtype),
            Call::RecurrentGrad(call) => ("recurrent_grad", call.dh0.dtype),
            Call::Custom(call) => (call.op.name(), call.out.dtype),
            Call::Update(call) => ("update", call.slots.first().map_or(DType::F32, |slot| slot.dtype)),
        }
    }
}
