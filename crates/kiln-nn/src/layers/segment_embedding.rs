//! A vector for the part of a text that a token belongs to.

use super::scale_shift::already_built;
use super::weights::unbuilt;
use crate::value::arity;
use crate::{Ctx, Describe, Fans, Init, Initializer, Layer, Module, Param, Shapes, Value};
use kiln_autograd::Var;
use kiln_tensor::{DType, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// x (N, T, F) plus a learned vector for the segment of each step: of two texts that are read as one, BERT's `token_type_ids` are 0 in
/// the first and 1 in the second.
///
/// It takes x with the segments, integers (N, T) from 0 to `segments` − 1, or x alone, which is then all segment 0. The mask of x goes
/// on. The path is PyTorch's, `weight` (segments, F); it begins normal with a standard deviation of 0.02.
///
/// ```
/// use kiln_nn::{Embedding, Graph, SegmentEmbedding};
/// # fn main() -> kiln_tensor::Result<()> {
/// let mut g = Graph::new();
/// let (tokens, segments) = (g.input([20]), g.input([20]));
/// let x = g.call(Embedding::new(1000, 32), &tokens)?;
/// let x = g.call(SegmentEmbedding::new(2), &[&x, &segments])?;
/// let model = g.build(&[&tokens, &segments], &[&x], &kiln_tensor::Device::cpu(), 1)?;
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings)]
pub struct SegmentEmbedding {
    #[serde(skip)]
    weight: Option<Param>,
    segments: usize,
}

impl SegmentEmbedding {
    /// Vectors for so many segments, to be built.
    pub fn new(segments: usize) -> Self {
        SegmentEmbedding { weight: None, segments }
    }

    /// The vectors (segments, F), once built.
    pub fn weight(&self) -> Option<&Param> {
        self.weight.as_ref()
    }

    /// The vectors of the steps' segments.
    fn vectors(&self, weight: &Var, segments: &Var, x: &Var) -> Result<Var> {
        if !segments.dtype().is_integer() || x.dims().get(..2) != Some(segments.dims()) {
            let message = format!(
                "segments are integers (N, T), one for each step of x {}: got {} {}",
                x.shape(),
                segments.dtype(),
                segments.shape()
            );
            return Err(Error::shape("segment_embedding", message));
        }
        let flat = segments.tensor().to_dtype(DType::I64)?.contiguous()?.reshape([segments.shape().elements()])?;
        let outside = |&&segment: &&i64| segment < 0 || segment as u64 >= self.segments as u64;
        if let Some((at, wrong)) =
            flat.as_slice::<i64>().ok().and_then(|all| all.iter().enumerate().find(|(_, segment)| outside(segment)))
        {
            let steps = segments.dims()[1];
            let message = format!(
                "segment {wrong} at position ({}, {}): there are {}, numbered from 0",
                at / steps,
                at % steps,
                self.segments
            );
            return Err(Error::new(ErrorKind::Index, "segment_embedding", message));
        }
        weight.index_select(0, &flat)?.reshape(*x.shape())
    }
}

impl Layer for SegmentEmbedding {
    type Input = Value;
    type Output = Value;

    fn forward(&self, x: Value, ctx: &Ctx) -> Result<Value> {
        let weight = self.weight.as_ref().ok_or_else(|| unbuilt("Sequential::build"))?.var(ctx);
        let (x, mask, segments) = match x.parts() {
            [Value::One(x, mask)] => (x, mask, None),
            [Value::One(x, mask), Value::One(segments, _)] => (x, mask, Some(segments)),
            parts => return Err(arity("x, or x and its segments", parts.len())),
        };
        let vectors = match segments {
            Some(segments) => self.vectors(&weight, segments, x)?,
            None => weight.slice(0, 0..1)?,
        };
        Ok(Value::One(x.add(&vectors)?, mask.clone()))
    }

    fn build(&mut self, input: &Shapes, init: &mut Init) -> Result<Shapes> {
        let x = input.parts().first().map_or_else(|| input.one(), Shapes::one)?;
        let &[_, features] = x.dims() else {
            let message = format!("samples (T, F) are expected, steps and their features, got {x}");
            return Err(Error::shape("build", message));
        };
        if self.segments == 0 {
            return Err(Error::value("build", "0 segments: at least 1 is needed"));
        }
        match &self.weight {
            Some(weight) if weight.value().dims() == [self.segments, features] => {}
            Some(weight) => return Err(already_built(weight.value().shape(), x)),
            None => {
                let start = Initializer::Normal { mean: 0.0, std: 0.02 };
                let fans = Fans { input: self.segments, output: features };
                self.weight = Some(init.param("weight", &[self.segments, features], fans, start)?);
            }
        }
        Ok(Shapes::One(*x))
    }
}
