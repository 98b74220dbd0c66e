//! What the blocks of encoders and decoders have in common.

use super::norm::{BlockNorm, Norm};
use crate::layers::masked::zeroed;
use crate::{Ctx, Dropout, Init, Layer, Mask};
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

    /// x becomes norm(x + dropout(part(x))), or x + dropout(part(norm(x))) where the normalization comes first. Then the sum is left to
    /// what comes next.
    pub(super) fn around(
        &self,
        (name, norm): (&str, &Norm),
        dropout: &str,
        stream: Stream,
        ctx: &Ctx,
        part: impl FnOnce(Var) -> Result<Var>,
    ) -> Result<Stream> {
        let (x, input) = if self.norm_first {
            norm.run(name, stream, ctx)?
        } else {
            let x = stream.sum()?;
            (x.clone(), x)
        };
        let added = ctx.layer(dropout, &Dropout::new(self.residual_dropout), part(input)?)?;
        let stream = Stream { x, added: Some(added) };
        if self.norm_first { Ok(stream) } else { Ok(Stream::from(norm.run(name, stream, ctx)?.1)) }
    }
}

/// What flows between the parts of blocks: x, and what the last part adds to it. The sum is made where it is needed, which is mostly with
/// the next normalization, in one pass over memory.
pub(super) struct Stream {
    pub(super) x: Var,
    pub(super) added: Option<Var>,
}

impl From<Var> for Stream {
    fn from(x: Var) -> Self {
        Stream { x, added: None }
    }
}

impl Stream {
    pub(super) fn sum(self) -> Result<Var> {
        match self.added {
            Some(added) => self.x.add(&added),
            None => Ok(self.x),
        }
    }

    /// The same with 0 at the steps that do not count.
    pub(super) fn counted(self, mask: Option<&Mask>) -> Result<Self> {
        match mask.and_then(Mask::hiding) {
            Some(mask) => Ok(Stream::from(zeroed(&self.sum()?, &mask.unsqueeze(2)?)?)),
            None => Ok(self),
        }
    }
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
