//! The normalization of transformer blocks.

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

    /// x normalized; x itself where there is none.
    pub(super) fn run(&self, name: &str, x: &Var, ctx: &Ctx) -> Result<Var> {
        match (&self.layer, &self.rms) {
            (Some(norm), _) => ctx.layer(name, norm, x),
            (None, Some(norm)) => ctx.layer(name, norm, x),
            (None, None) => Ok(x.clone()),
        }
    }
}
