//! A learned vector for each position.

use super::count::Positions;
use super::place::Place;
use crate::layers::setters::setters;
use crate::layers::weights::unbuilt;
use crate::per_sample::Use;
use crate::{Ctx, Describe, Fans, Init, Initializer, Layer, Module, Param, Sequence};
use kiln_autograd::Var;
use kiln_tensor::{Error, ErrorKind, Result, Shape};
use serde::{Deserialize, Serialize};

/// x + weight\[position\] of x (N, T, width): a learned vector for each of `positions` positions, as in GPT-2 and BERT. The path is
/// `weight` (positions, width).
///
/// With a mask, positions count the real steps alone, so a sequence padded on the left begins at position 0; packed documents
/// ([`DocumentMask`](crate::DocumentMask)) begin at 0 each. In a pass that carries ([`Ctx::carrying`], or
/// [`stateful`](PositionEmbedding::stateful) in evaluation) positions go on where the pass before ended, until [`Layer::reset_states`].
///
/// ```
/// use kiln_nn::{Embedding, PositionEmbedding, Sequential};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new().push(Embedding::new(1000, 64)).push(PositionEmbedding::new(128));
/// let model = model.build([20], &kiln_tensor::Device::cpu(), 1)?; // 20 tokens; up to 128 are possible
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings, elementwise)]
pub struct PositionEmbedding {
    #[serde(skip)]
    weight: Option<Param>,
    positions: usize,
    #[module(skip)]
    initializer: Initializer,
    #[serde(default)]
    stateful: bool,
    #[serde(skip)]
    place: Place,
}

impl PositionEmbedding {
    /// Vectors for so many positions, not built yet. Their first values are normal with a standard deviation of 0.02, as in GPT-2.
    pub fn new(positions: usize) -> Self {
        let initializer = Initializer::Normal { mean: 0.0, std: 0.02 };
        PositionEmbedding { weight: None, positions, initializer, stateful: false, place: Place::default() }
    }

    setters! {
        /// First values of the vectors.
        fn embeddings_initializer(self, initializer: Initializer) { self.initializer = initializer }

        /// Whether positions go on where the batch before ended, in evaluation. False by default.
        fn stateful(self, stateful: bool) { self.stateful = stateful }
    }

    /// The same layer, built for inputs whose last axis has this size.
    ///
    /// # Errors
    /// Sizes of 0, or out of memory.
    pub fn with_input(mut self, width: usize, init: &mut Init) -> Result<Self> {
        self.build(&Shape::new(&[1, width])?, init)?;
        Ok(self)
    }

    /// The vectors (positions, width), once built.
    pub fn weight(&self) -> Option<&Param> {
        self.weight.as_ref()
    }

    fn check(&self, end: usize) -> Result<()> {
        if end <= self.positions {
            return Ok(());
        }
        let message = format!(
            "the context of {end} steps is longer than the {} positions of this layer: shorten it, or make the layer with more \
             positions",
            self.positions
        );
        Err(Error::new(ErrorKind::Index, "position_embedding", message))
    }

    /// The vectors of the steps of x: (T, width) or (N, T, width).
    fn vectors(&self, weight: &Param, positions: &Positions, x: &Var, ctx: &Ctx) -> Result<Var> {
        let var = weight.var(ctx);
        if let (Positions::Range(range), None) = (positions, ctx.recorder()) {
            return var.slice(0, range.clone());
        }
        let each = positions.each(x)?.contiguous()?;
        let vectors = var.index_select(0, &each.reshape([each.elements()])?)?.reshape(*x.shape())?;
        if let Some(recorder) = ctx.recorder() {
            recorder.add(Use::Rows(each, self.positions), Some(weight), None, &vectors);
        }
        Ok(vectors)
    }
}

impl Layer for PositionEmbedding {
    type Input = Sequence;
    type Output = Sequence;

    fn forward(&self, Sequence { values: x, mask }: Sequence, ctx: &Ctx) -> Result<Sequence> {
        let weight = self.weight.as_ref().ok_or_else(|| unbuilt("PositionEmbedding::with_input"))?;
        let width = weight.value().dims()[1];
        if x.shape().rank() != 3 || x.dims()[2] != width {
            let message = format!("expected (batch, steps, {width}), got {}", x.shape());
            return Err(Error::shape("position_embedding", message));
        }
        let positions = self.place.next(&x, mask.as_ref(), self.stateful, ctx)?;
        self.check(positions.end())?;
        let values = x.add(&self.vectors(weight, &positions, &x, ctx)?)?;
        Ok(Sequence { values, mask })
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let &[steps, width] = input.dims() else {
            let message = format!("samples of shape (steps, width) are expected, got {input}");
            return Err(Error::shape("build", message));
        };
        if self.positions == 0 || width == 0 {
            let message = format!("{} positions of width {width}: both must be above 0", self.positions);
            return Err(Error::value("build", message));
        }
        self.check(steps)?;
        if self.weight.is_none() {
            let fans = Fans { input: self.positions, output: width };
            self.weight = Some(init.param("weight", &[self.positions, width], fans, self.initializer)?);
        }
        Ok(*input)
    }

    fn reset_states(&self) {
        self.place.reset();
    }
}
