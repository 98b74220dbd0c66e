//! The normalization of transformer blocks.

use super::block::Stream;
use crate::{Ctx, Init, LayerNorm, Module, RmsNorm};
use kiln_autograd::Var;
use kiln_tensor::{Result, Shape};
use serde::{Deserialize, Serialize};

/// Which normalization a transformer block has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockNorm {
    /// [`LayerNorm`], as in PyTorch's blocks.
    #[default]
    Layer,
    /// [`RmsNorm`], as in Llama.
    Rms,
}

/// The layer of it, once built. Its paths are `weight` and `bias`.
#[derive(Module, Clone, Debug, Default)]
pub(super) struct Norm {
    #[module(flatten)]
    layer: Option<LayerNorm>,
    #[module(flatten)]
    rms: Option<RmsNorm>,
}

impl Norm {
    /// Makes it, unless it is there already.
    pub(super) fn build(
        &mut self,
        name: &str,
        (kind, epsilon): (BlockNorm, f64),
        input: &Shape,
        init: &mut Init,
    ) -> Result<()> {
        match kind {
            BlockNorm::Layer => {
                let norm = self.layer.get_or_insert_with(|| LayerNorm::new().epsilon(epsilon));
                init.layer(name, norm, input)?;
            }
            BlockNorm::Rms => {
                let norm = self.rms.get_or_insert_with(|| RmsNorm::new().epsilon(epsilon));
                init.layer(name, norm, input)?;
            }
        }
        Ok(())
    }

    /// The sum of the stream, and the sum normalized; the sum itself where there is no normalization. One pass over memory makes both,
    /// unless something looks at what layers take.
    pub(super) fn run(&self, name: &str, stream: Stream, ctx: &Ctx) -> Result<(Var, Var)> {
        if let Stream { x, added: Some(added) } = &stream
            && ctx.may_defer()
        {
            match (&self.layer, &self.rms) {
                (Some(norm), _) => return ctx.with_layer(name, norm, || norm.of_sum(x, added, ctx)),
                (None, Some(norm)) => return ctx.with_layer(name, norm, || norm.of_sum(x, added, ctx)),
                (None, None) => {}
            }
        }
        let x = stream.sum()?;
        let y = match (&self.layer, &self.rms) {
            (Some(norm), _) => ctx.layer(name, norm, &x)?,
            (None, Some(norm)) => ctx.layer(name, norm, &x)?,
            (None, None) => x.clone(),
        };
        Ok((x, y))
    }
}
