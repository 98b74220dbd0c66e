//! What the blocks of encoders and decoders have in common.

use super::norm::{BlockNorm, Norm};
use crate::layers::masked::zeroed;
use crate::{Ctx, Dropout, Init, Layer, Mask, Sequence};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};

/// How a block puts its parts together: normalization, dropout and sums.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Block {
    pub(super) norm: BlockNorm,
    pub(super) epsilon: f64,
    pub(super) norm_first: bool,
    pub(super) residual_dropout: f64,
}

impl Block {
    pub(super) fn new() -> Self {
        Block { norm: BlockNorm::Layer, epsilon: 1e-5, norm_first: false, residual_dropout: 0.0 }
    }

    /// Makes the normalizations of these names, and checks what needs no weights.
    pub(super) fn build(&self, norms: &mut [(&str, &mut Norm)], input: &Shape, init: &mut Init) -> Result<()> {
        if input.rank() != 2 {
            let message = format!("samples of shape (steps, width) are expected, got {input}");
            return Err(Error::shape("build", message));
        }
        Dropout::new(self.residual_dropout).build(input, init)?;
        norms.iter_mut().try_for_each(|(name, norm)| norm.build(name, (self.norm, self.epsilon), input, init))
    }

    /// norm(x + dropout(part(x))), or x + dropout(part(norm(x))) where the normalization comes first.
    pub(super) fn around(
        &self,
        (name, norm): (&str, &Norm),
        dropout: &str,
        x: &Var,
        ctx: &Ctx,
        part: impl FnOnce(Var) -> Result<Var>,
    ) -> Result<Var> {
        let y = part(if self.norm_first { norm.run(name, x, ctx)? } else { x.clone() })?;
        let sum = x.add(&ctx.layer(dropout, &Dropout::new(self.residual_dropout), y)?)?;
        if self.norm_first { Ok(sum) } else { norm.run(name, &sum, ctx) }
    }
}

/// The sequence with 0 at the steps that do not count.
pub(super) fn counted(sequence: Sequence) -> Result<Sequence> {
    let Sequence { values, mask } = sequence;
    let values = match mask.as_ref().and_then(Mask::hiding) {
        Some(mask) => zeroed(&values, &mask.unsqueeze(2)?)?,
        None => values,
    };
    Ok(Sequence { values, mask })
}

/// The settings of a layer with a [`Block`].
macro_rules! block_settings {
    () => {
        $crate::layers::setters::setters! {
            /// Whether the normalizations come before attention and feed-forward part (pre-norm), or after the sums (post-norm), as by
            /// default.
            fn norm_first(self, norm_first: bool) { self.block.norm_first = norm_first }

            /// Which normalization it is. By default that of the last axis.
            fn norm(self, norm: $crate::BlockNorm) { self.block.norm = norm }

            /// ε of the normalizations. By default 10⁻⁵.
            fn epsilon(self, epsilon: f64) { self.block.epsilon = epsilon }

            /// In training, which part of the outputs of attention and feed-forward part is dropped, before the sums. By default 0.
            fn residual_dropout(self, rate: f64) { self.block.residual_dropout = rate }
        }
    };
}
pub(super) use block_settings;
