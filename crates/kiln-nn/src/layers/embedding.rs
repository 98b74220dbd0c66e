//! Embedding.

use super::linear::{affine, projection};
use super::setters::setters;
use crate::per_sample::Use;
use crate::{
    Activation, Constraint, Ctx, Describe, Fans, Init, Initializer, L1L2, Layer, Mask, Method, Module, Param, Sequence, Shapes,
    Value,
};
use kiln_autograd::Var;
use kiln_tensor::{DType, Error, ErrorKind, Result, Shape, Tensor};
use serde::{Deserialize, Serialize};

/// A vector for each token: (…) of i64 from 0 to `vocabulary` − 1 becomes (…, size).
///
/// The path is PyTorch's, `weight` (vocabulary, size), which is also Keras's `embeddings`. First values are Keras's, uniform
/// in ±0.05. The gradient adds rows up at the tokens that came; it never sees one-hot rows.
///
/// ```
/// use kiln_nn::{Activation, Dense, Embedding, Lstm, Sequential};
/// use kiln_tensor::Device;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new()
///     .push(Embedding::new(10_000, 32).padding(0).mask_padding(true)) // 0 is no word: it is neither learned nor counted
///     .push(Lstm::new(64))
///     .push(Dense::new(1).activation(Activation::Sigmoid))
///     .build([200], &Device::cpu(), 1)?; // 200 tokens
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings, elementwise)]
pub struct Embedding {
    #[serde(skip)]
    weight: Option<Param>,
    vocabulary: usize,
    size: usize,
    #[module(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    padding: Option<usize>,
    mask_padding: bool,
    #[module(skip)]
    initializer: Initializer,
    #[module(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    regularizer: Option<L1L2>,
    #[module(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    constraint: Option<Constraint>,
}

impl Embedding {
    /// Vectors of `size` for `vocabulary` tokens, to be built.
    pub fn new(vocabulary: usize, size: usize) -> Self {
        Embedding {
            weight: None,
            vocabulary,
            size,
            padding: None,
            mask_padding: false,
            initializer: Initializer::Uniform { low: -0.05, high: 0.05 },
            regularizer: None,
            constraint: None,
        }
    }

    setters! {
        /// The token that fills sequences up: its vector begins at 0 and gets no gradient (PyTorch's `padding_idx`).
        fn padding(self, token: usize) { self.padding = Some(token) }

        /// Whether steps of the padding token count for nothing in the recurrent layers that follow (Keras's `mask_zero`).
        fn mask_padding(self, mask: bool) { self.mask_padding = mask }

        /// First values of the vectors.
        fn embeddings_initializer(self, initializer: Initializer) { self.initializer = initializer }

        /// A penalty on the vectors, added to the loss.
        fn embeddings_regularizer(self, regularizer: impl Into<L1L2>) { self.regularizer = Some(regularizer.into()) }

        /// What the vectors are brought back to after each step: `UnitNorm::new()` keeps each at norm 1.
        fn embeddings_constraint(self, constraint: impl Into<Constraint>) { self.constraint = Some(constraint.into()) }
    }

    /// The vectors (vocabulary, size), once built.
    pub fn weight(&self) -> Option<&Param> {
        self.weight.as_ref()
    }

    /// [`Embedding::logits`] as a method, for [`Graph::call_with`](crate::Graph::call_with).
    ///
    /// Of a large vocabulary they are computed where they are asked for: [`Projection`](crate::Projection).
    pub const LOGITS: Method<Embedding> = Method::new("logits", |embedding: &Embedding, x, ctx| {
        let (x, weight) = (x.var()?, embedding.weight.as_ref().ok_or_else(unbuilt)?);
        match projection(&x, weight, None, Activation::Linear, ctx)? {
            Some(logits) => Ok(logits),
            None => embedding.logits(&x, ctx).map(Value::from),
        }
    })
    .with_shape(|embedding, x| embedding.logits_shape(x.one()?).map(Shapes::One));

    /// x · Wᵀ, of x (…, size) and the vectors W (vocabulary, size): one number for each token. The output layer of a language
    /// model whose input is embedded by this layer (tied weights, Press and Wolf 2017).
    ///
    /// # Errors
    /// A layer that is not built; x of another size.
    pub fn logits(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let weight = self.weight.as_ref().ok_or_else(unbuilt)?;
        affine(x, weight, None, Activation::Linear, ctx)
    }

    /// The shape of a sample's logits.
    fn logits_shape(&self, x: &Shape) -> Result<Shape> {
        match x.split_last() {
            Some((&size, leading)) if size == self.size => Shape::new(&[leading, &[self.vocabulary]].concat()),
            _ => Err(Error::shape("build", format!("samples (…, {}) are expected, got {x}", self.size))),
        }
    }

    /// An error where a token is outside the vocabulary, as far as the host can see.
    fn check_tokens(&self, tokens: &Tensor) -> Result<()> {
        let Ok(values) = tokens.as_slice::<i64>() else { return Ok(()) };
        let outside = |&&token: &&i64| token < 0 || token as u64 >= self.vocabulary as u64;
        let Some(at) = values.iter().position(|token| outside(&token)) else { return Ok(()) };
        let mut rest = at;
        let mut place: Vec<String> = Vec::new();
        for &size in tokens.dims().iter().rev() {
            place.insert(0, (rest % size).to_string());
            rest /= size;
        }
        Err(Error::new(
            ErrorKind::Index,
            "embedding",
            format!(
                "token {} at position ({}) is outside the vocabulary, whose {} tokens are 0 to {}",
                values[at],
                place.join(", "),
                self.vocabulary,
                self.vocabulary as i64 - 1
            ),
        ))
    }
}

#[cold]
fn unbuilt() -> Error {
    Error::new(ErrorKind::Build, "forward", "this layer has no vectors yet: build the model first")
}

impl Layer for Embedding {
    type Input = Sequence;
    type Output = Sequence;

    fn forward(&self, Sequence { values: x, mut mask }: Sequence, ctx: &Ctx) -> Result<Sequence> {
        let weight = self.weight.as_ref().ok_or_else(unbuilt)?;
        if !x.dtype().is_integer() {
            return Err(Error::new(
                ErrorKind::DType,
                "embedding",
                format!("tokens of integers are expected, got {} {}: convert with `to_dtype`", x.dtype(), x.shape()),
            ));
        }
        let tokens = x.tensor().to_dtype(DType::I64)?.contiguous()?;
        self.check_tokens(&tokens)?;
        if let Some(regularizer) = self.regularizer {
            ctx.penalize(weight, regularizer);
        }
        if let Some(constraint) = &self.constraint {
            ctx.constrain(weight, constraint);
        }
        let flat = tokens.reshape([tokens.elements()])?;
        let mut dims = x.dims().to_vec();
        dims.push(self.size);
        let shape = Shape::new(&dims)?;
        // Converting all of the table would cost more.
        let mut y = ctx.chosen(weight.factor(ctx).index_select(0, &flat)?)?;
        if let Some(recorder) = ctx.recorder() {
            let by_sample = y.reshape(shape)?;
            recorder.add(Use::Rows(tokens.clone(), self.vocabulary), Some(weight), None, &by_sample);
            y = by_sample.reshape(*y.shape())?;
        }
        if let Some(padding) = self.padding {
            let padding = Tensor::scalar(padding as i64, tokens.device())?;
            let filler = flat.eq(&padding)?;
            if y.requires_grad() {
                // The same values, without a way for their gradient.
                let over = filler.unsqueeze(1)?.broadcast_to(*y.shape())?;
                y = Var::select(&over, &y.detach(), &y)?;
            }
            if self.mask_padding {
                mask = Some(Mask::within(tokens.ne(&padding)?, mask.as_ref()));
            }
        }
        Ok(Sequence { values: y.reshape(shape)?, mask })
    }

    fn methods() -> Vec<Method<Self>> {
        vec![Embedding::LOGITS]
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        if self.vocabulary == 0 || self.size == 0 {
            let message = format!("{} vectors of size {}: both must be above 0", self.vocabulary, self.size);
            return Err(Error::value("build", message));
        }
        if let Some(padding) = self.padding.filter(|&padding| padding >= self.vocabulary) {
            let message = format!("the padding token {padding} is outside the vocabulary of {}", self.vocabulary);
            return Err(Error::value("build", message));
        }
        if self.mask_padding && self.padding.is_none() {
            return Err(Error::value("build", "`mask_padding` needs to know the token: `.padding(0)`"));
        }
        self.regularizer.map_or(Ok(()), |regularizer| regularizer.check("embeddings_regularizer"))?;
        self.constraint.as_ref().map_or(Ok(()), |constraint| constraint.check("embeddings_constraint", 2))?;
        if self.weight.is_none() {
            let fans = Fans { input: self.vocabulary, output: self.size };
            let mut weight = init.param("weight", &[self.vocabulary, self.size], fans, self.initializer)?;
            if let Some(padding) = self.padding.filter(|_| !init.makes_placeholders()) {
                let zeros = Tensor::zeros([1, self.size], weight.value().dtype(), weight.value().device())?;
                weight.value_mut().slice_assign(0, padding..padding + 1, &zeros)?;
            }
            self.weight = Some(weight);
        }
        let mut dims = input.to_vec();
        dims.push(self.size);
        Shape::new(&dims)
    }
}
