//! What goes with the queries, keys and values of attention.

use crate::value::Documents;
use kiln_autograd::Var;
use kiln_tensor::{DType, Error, Result, Tensor};

/// Masks that go with the inputs of [`MultiHeadAttention::attend`](crate::MultiHeadAttention::attend).
#[derive(Clone, Copy, Debug, Default)]
pub struct AttentionInputs<'a> {
    pub(super) mask: Option<&'a Var>,
    pub(super) key_mask: Option<&'a Tensor>,
    /// The documents of the queries and of the keys, where they are packed.
    pub(super) documents: Option<[&'a Documents; 2]>,
}

impl<'a> AttentionInputs<'a> {
    /// Every query sees every key that the layer's settings allow.
    pub fn new() -> Self {
        AttentionInputs::default()
    }

    /// Which queries see which keys. The shape of the mask is (queries, keys), the same for all samples and heads; (batch, queries,
    /// keys), one for each sample, as in Keras; (batch · heads, queries, keys), as in PyTorch's `nn.MultiheadAttention`; or four axes that
    /// broadcast to (batch, heads, queries, keys), so one for each head is (1, heads, queries, keys).
    ///
    /// A mask of bool is true where a key is seen, as in Keras and in PyTorch's `scaled_dot_product_attention`; in PyTorch's
    /// `nn.MultiheadAttention` true hides the key. A mask of floats is added to the scores.
    #[must_use]
    pub fn mask(self, mask: &'a Var) -> Self {
        AttentionInputs { mask: Some(mask), ..self }
    }

    /// Which keys count, bool (batch, keys): the mask of padding. In PyTorch's `key_padding_mask` true hides the key.
    #[must_use]
    pub fn key_mask(self, mask: &'a Tensor) -> Self {
        AttentionInputs { key_mask: Some(mask), ..self }
    }
}

/// A mask of three axes as one of four: (batch, 1, queries, keys) or (batch, heads, queries, keys).
pub(super) fn of_four_axes(mask: &Var, batch: usize, heads: usize) -> Result<Var> {
    let &[first, queries, keys] = mask.dims() else { return Ok(mask.clone()) };
    if first == batch || first == 1 {
        return mask.reshape([first, 1, queries, keys]);
    }
    if first == batch * heads {
        return mask.reshape([batch, heads, queries, keys]);
    }
    let message = format!(
        "a mask of 3 axes is (batch, queries, keys) or (batch · heads, queries, keys), here with {batch} or {} first, got {}: give one \
         mask for each head as (1, heads, queries, keys)",
        batch * heads,
        mask.shape()
    );
    Err(Error::shape("attention", message))
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
