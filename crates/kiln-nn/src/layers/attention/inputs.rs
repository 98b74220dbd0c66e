//! What goes with the queries, keys and values of attention.

use kiln_autograd::Var;
use kiln_tensor::{DType, Error, Result, Tensor};

/// Masks that go with the inputs of [`MultiHeadAttention::attend`](crate::MultiHeadAttention::attend).
#[derive(Clone, Copy, Debug, Default)]
pub struct AttentionInputs<'a> {
    pub(super) mask: Option<&'a Var>,
    pub(super) key_mask: Option<&'a Tensor>,
}

impl<'a> AttentionInputs<'a> {
    /// Every query sees every key that the layer's settings allow.
    pub fn new() -> Self {
        AttentionInputs::default()
    }

    /// Which queries see which keys: (queries, keys), or any shape that broadcasts to (batch, heads, queries, keys). Of bool, true where
    /// a key is seen, as in Keras and in PyTorch's `scaled_dot_product_attention`; PyTorch's `nn.MultiheadAttention` has it the other
    /// way round. Of floats, it is added to the scores.
    #[must_use]
    pub fn mask(self, mask: &'a Var) -> Self {
        AttentionInputs { mask: Some(mask), ..self }
    }

    /// Which keys count, bool (batch, keys): the mask of padding. PyTorch's `key_padding_mask` has it the other way round.
    #[must_use]
    pub fn key_mask(self, mask: &'a Tensor) -> Self {
        AttentionInputs { key_mask: Some(mask), ..self }
    }
}

/// Both masks as one that broadcasts to (batch, heads, queries, keys); the mask of keys has been checked.
pub(super) fn joined(mask: Option<&Var>, key_mask: Option<&Tensor>) -> Result<Option<Var>> {
    let Some(keys) = key_mask else { return Ok(mask.cloned()) };
    let keys = keys.unsqueeze(1)?.unsqueeze(1)?;
    let Some(mask) = mask else { return Ok(Some(Var::constant(keys))) };
    if !mask.dtype().is_float() {
        return mask.tensor().to_dtype(DType::Bool)?.logical_and(&keys).map(Var::constant).map(Some);
    }
    let hidden = Var::constant(Tensor::full((), f64::NEG_INFINITY, mask.dtype(), mask.device())?);
    Var::select(&keys, mask, &hidden).map(Some)
}

/// Fails where a mask of keys (batch, keys, …) does not fit them.
pub(super) fn check_key_mask(mask: &Tensor, keys: &Var) -> Result<()> {
    let &[batch, steps, ..] = keys.dims() else { return Ok(()) };
    if mask.dims() == [batch, steps] && mask.dtype() == DType::Bool {
        return Ok(());
    }
    let message = format!(
        "the mask of the keys is {} {}, expected bool ({batch}, {steps}), true where a key counts",
        mask.dtype(),
        mask.shape()
    );
    Err(Error::shape("attention", message))
}
