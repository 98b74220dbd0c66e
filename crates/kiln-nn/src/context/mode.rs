//! What kind of forward pass it is.

use kiln_tensor::DType;

/// What kind of forward pass it is. Plain data: it says nothing of where in the model the pass is, nor of what it leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mode {
    /// Whether layers behave as in training: dropout drops, statistics are those of the batch.
    pub training: bool,
    /// Whether gradients of parameters are recorded.
    pub recording: bool,
    /// The floating-point type that layers convert their inputs and parameters to; without one they take them as they are.
    pub compute: Option<DType>,
    /// Whether all layers that can go on where the pass before ended do so ([`Ctx::carrying`](crate::Ctx::carrying)).
    pub carrying: bool,
}

impl Mode {
    /// Training, with gradients.
    pub const TRAIN: Mode = Mode { training: true, recording: true, compute: None, carrying: false };
    /// Evaluation, without.
    pub const EVAL: Mode = Mode { training: false, recording: false, compute: None, carrying: false };
}
