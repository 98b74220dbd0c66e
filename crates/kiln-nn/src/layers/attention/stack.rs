//! Blocks one after the other.

use super::block::{Block, Stream};
use super::norm::Norm;
use super::{TransformerDecoderLayer, TransformerEncoderLayer};
use crate::layers::setters::setters;
use crate::layers::templates::part;
use crate::layers::weights::unbuilt;
use crate::{Ctx, Describe, Init, Layer, Mask, Module, Sequence, Shapes, settings};
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Blocks of the same settings, each with weights of its own, and a normalization at the end.
#[derive(Module, Clone, Debug)]
struct Blocks<B> {
    layers: Vec<B>,
    norm: Norm,
}

impl<B: Clone> Blocks<B> {
    fn new() -> Self {
        Blocks { layers: Vec::new(), norm: Norm::default() }
    }

    /// Makes `depth` copies of a block, each built by `build`, and the normalization.
    fn build(
        &mut self,
        (block, depth): (&B, usize),
        norm: Option<&Block>,
        input: &Shape,
        init: &mut Init,
        build: impl Fn(&mut B, &mut Init) -> Result<Shape>,
    ) -> Result<Shape> {
        if depth == 0 {
            return Err(Error::value("build", "0 layers: at least 1 is needed"));
        }
        self.layers.resize_with(depth, || block.clone());
        init.scope("layers", |init| {
            self.layers.iter_mut().enumerate().try_for_each(|(at, layer)| init.scope(at, |init| build(layer, init).map(drop)))
        })?;
        if let Some(block) = norm {
            self.norm.build("norm", (block.norm, block.epsilon), input, init)?;
        }
        Ok(*input)
    }

    /// Runs x through the blocks, and normalizes. The sums at the ends of blocks are left to the normalizations after them, by `run`;
    /// where something looks at what blocks take and give, each block runs by itself, of `inputs`.
    fn run(
        &self,
        Sequence { values, mask }: Sequence,
        ctx: &Ctx,
        inputs: impl Fn(Sequence) -> B::Input,
        run: impl Fn(&B, Stream, Option<&Mask>) -> Result<Stream>,
    ) -> Result<Sequence>
    where
        B: Layer<Output = Sequence>,
    {
        if self.layers.is_empty() {
            return Err(unbuilt("build"));
        }
        let step = |stream: Stream, (at, layer): (usize, &B)| {
            if ctx.may_defer() {
                return ctx.with_layer(at, layer, || run(layer, stream, mask.as_ref()));
            }
            let x = inputs(Sequence { values: stream.sum()?, mask: mask.clone() });
            Ok(Stream::from(ctx.layer(at, layer, x)?.values))
        };
        let blocks = || self.layers.iter().enumerate().try_fold(Stream::from(values), step);
        let (_, values) = self.norm.run("norm", ctx.scope("layers", blocks)?, ctx)?;
        Ok(Sequence { values, mask })
    }
}

macro_rules! stack {
    ($(#[$documentation:meta])* $name:ident of $block:ident) => {
        $(#[$documentation])*
        #[derive(Module, Clone, Debug, Serialize, Deserialize)]
        pub struct $name {
            #[module(flatten)]
            #[serde(skip, default = "Blocks::new")]
            blocks: Blocks<$block>,
            #[module(skip)]
            #[serde(deserialize_with = "part")]
            block: $block,
            layers: usize,
            #[module(skip)]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            final_norm: Option<bool>,
        }

        impl $name {
            /// So many layers of the settings of `block`, to be built for their input. Each has first values of its own.
            pub fn new(block: $block, layers: usize) -> Self {
                $name { blocks: Blocks::new(), block, layers, final_norm: None }
            }

            setters! {
                /// Whether the output is normalized once more. By default it is where the blocks' normalizations come first, whose
                /// sums are not normalized else.
                fn final_norm(self, norm: bool) { self.final_norm = Some(norm) }
            }

            /// How the output is normalized, where it is.
            fn norm(&self) -> Option<&Block> {
                Some(&self.block.block).filter(|block| self.final_norm.unwrap_or(block.norm_first))
            }
        }

        impl Describe for $name {
            fn config(&self) -> Option<Json> {
                settings(self)
            }
            fn flops(&self, output: &Shapes) -> u64 {
                self.blocks.layers.iter().map(|layer| layer.flops(output)).sum()
            }
        }
    };
}

stack! {
    /// [`TransformerEncoderLayer`]s one after the other, (N, T, width) to (N, T, width); of causal ones, a decoder such as GPT-2's.
    ///
    /// Paths are those of PyTorch's `nn.TransformerEncoder`: `layers.0.…`, `layers.1.…`, and `norm.…` of the normalization at the end.
    ///
    /// ```
    /// use kiln_nn::{Dense, Embedding, PositionEmbedding, Sequential, TransformerEncoder, TransformerEncoderLayer};
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// let block = TransformerEncoderLayer::new(4, 256).causal(true).norm_first(true);
    /// let model = Sequential::new()
    ///     .push(Embedding::new(100, 64))
    ///     .push(PositionEmbedding::new(32))
    ///     .push(TransformerEncoder::new(block, 2))
    ///     .push(Dense::new(100))
    ///     .build([32], &kiln_tensor::Device::cpu(), 1)?;
    /// assert_eq!(model.output_shapes()[3], [32, 100]);
    /// # Ok(())
    /// # }
    /// ```
    TransformerEncoder of TransformerEncoderLayer
}

stack! {
    /// [`TransformerDecoderLayer`]s one after the other: of x (N, T, width) and a memory (N, S, width), which each of them sees, (N, T,
    /// width).
    ///
    /// Paths are those of PyTorch's `nn.TransformerDecoder`: `layers.0.…`, `layers.1.…`, and `norm.…` of the normalization at the end.
    ///
    /// ```
    /// use kiln_nn::{Graph, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer};
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// let mut g = Graph::new();
    /// let (source, target) = (g.input([10, 32]), g.input([7, 32]));
    /// let memory = g.call(TransformerEncoder::new(TransformerEncoderLayer::new(4, 64), 2), &source)?;
    /// let y = g.call(TransformerDecoder::new(TransformerDecoderLayer::new(4, 64), 2), &[&target, &memory])?;
    /// let model = g.build(&[&source, &target], &[&y], &kiln_tensor::Device::cpu(), 1)?;
    /// # Ok(())
    /// # }
    /// ```
    TransformerDecoder of TransformerDecoderLayer
}

impl Layer for TransformerEncoder {
    type Input = Sequence;
    type Output = Sequence;

    fn forward(&self, x: Sequence, ctx: &Ctx) -> Result<Sequence> {
        self.blocks.run(x, ctx, |x| x, |block, x, mask| block.run(x, mask, ctx))
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let norm = self.norm().cloned();
        let block = (&self.block, self.layers);
        self.blocks.build(block, norm.as_ref(), input, init, |layer, init| layer.build(input, init))
    }

    fn reset_states(&self) {
        self.blocks.layers.iter().for_each(Layer::reset_states);
    }
}

impl Layer for TransformerDecoder {
    type Input = (Sequence, Sequence);
    type Output = Sequence;

    fn forward(&self, (x, memory): (Sequence, Sequence), ctx: &Ctx) -> Result<Sequence> {
        let inputs = |x| (x, memory.clone());
        self.blocks.run(x, ctx, inputs, |block, x, mask| block.run(x, mask, memory.clone(), ctx))
    }

    fn build(&mut self, inputs: &(Shape, Shape), init: &mut Init) -> Result<Shape> {
        let norm = self.norm().cloned();
        let block = (&self.block, self.layers);
        self.blocks.build(block, norm.as_ref(), &inputs.0, init, |layer, init| layer.build(inputs, init))
    }

    fn reset_states(&self) {
        self.blocks.layers.iter().for_each(Layer::reset_states);
    }
}
