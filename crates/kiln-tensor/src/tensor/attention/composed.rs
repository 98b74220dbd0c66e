//! Attention made of matrix products and a softmax. Its memory grows with queries · keys.

use super::check::Sizes;
use super::{AttentionOptions, AttentionReach};
use crate::tensor::dropout;
use crate::{Arithmetic, DType, Result, Shape, Tensor};
use kiln_math::UnaryOp;

/// The composed form.
///
/// # Errors
/// Operands and options that do not fit; those of the operations.
pub fn composed<T: Arithmetic>(
    query: &T,
    key: &T,
    value: &T,
    mask: Option<&T>,
    options: &AttentionOptions,
) -> Result<T> {
    let sizes = Sizes::of(query.value(), key.value(), value.value())?;
    sizes.check_options(query.value(), options)?;
    let dtype = query.value().dtype();
    let wide = |x: &T| if x.value().dtype() == dtype { x.to_dtype(dtype.computed_in()) } else { Ok(x.clone()) };
    let mask = mask.map(wide).transpose()?;
    let attention = Composed { sizes, options, mask: mask.as_ref() };
    attention.run(&wide(query)?, &wide(key)?, &wide(value)?)?.to_dtype(dtype)
}

struct Composed<'a, T> {
    sizes: Sizes,
    options: &'a AttentionOptions,
    mask: Option<&'a T>,
}

impl<T: Arithmetic> Composed<'_, T> {
    fn run(&self, query: &T, key: &T, value: &T) -> Result<T> {
        let Sizes { batch, heads, key_heads, queries, keys, width, .. } = self.sizes;
        // The query heads of a group are rows of one product.
        let rows = heads / key_heads * queries;
        let grouped = |columns: usize| Shape::new(&[batch, key_heads, rows, columns]);
        let scores = query.reshape(grouped(width)?)?.matmul(&key.transpose(2, 3)?)?;
        let scores = self.biased(scores.reshape(self.sizes.scores()?)?)?;
        let probabilities = match (&self.options.dropout, probabilities(self.seen(&scores)?)?) {
            (Some((rate, stream)), all) => dropout::composed(*rate, &all, stream)?,
            (None, all) => all,
        };
        probabilities.reshape(grouped(keys)?)?.matmul(value)?.reshape(self.sizes.output()?)
    }

    fn reach(&self) -> AttentionReach<'_> {
        self.sizes.reach(self.options)
    }

    /// Scaled, and what is added to the scores.
    fn biased(&self, products: T) -> Result<T> {
        let mut scores = products.affine(self.sizes.scale(self.options), 0.0)?;
        if let Some(slopes) = self.options.slopes(self.sizes.heads)? {
            let slopes: Vec<f64> = slopes.iter().map(|slope| -slope).collect();
            let like = scores.value();
            let slopes = Tensor::from_slice(&slopes, [slopes.len(), 1, 1], like.device())?.to_dtype(like.dtype())?;
            let distances = self.distances(like)?.mul(&slopes)?;
            scores = scores.add(&T::constant(distances))?;
        }
        match self.mask {
            Some(mask) if mask.value().dtype().is_float() => scores.add(mask),
            _ => Ok(scores),
        }
    }

    /// (queries, keys): how far a key is from the query's place.
    fn distances(&self, like: &Tensor) -> Result<Tensor> {
        let places: Vec<i64> = self.reach().places().iter().map(|query| query.place).collect();
        let places = Tensor::from_vec(places, [self.sizes.queries, 1], like.device())?;
        Tensor::arange(self.sizes.keys, like.device())?.sub(&places)?.to_dtype(like.dtype())?.abs()
    }

    /// The scores, −∞ where the query does not see the key.
    fn seen(&self, scores: &T) -> Result<T> {
        let like = scores.value();
        let nothing = T::constant(Tensor::full((), f64::NEG_INFINITY, like.dtype(), like.device())?);
        let mut scores = scores.clone();
        if let Some(mask) = self.mask.map(Arithmetic::value) {
            let seen = if mask.dtype().is_float() { mask.ne(nothing.value())? } else { mask.to_dtype(DType::Bool)? };
            scores = T::select(&seen, &scores, &nothing)?;
        }
        if self.reach().is_whole() {
            return Ok(scores);
        }
        let places = self.reach().places();
        let ends = |end: &dyn Fn(usize) -> usize| {
            let ends = (0..places.len()).map(|query| end(query) as i64).collect();
            Tensor::from_vec(ends, [places.len(), 1], like.device())
        };
        let (first, end) = (ends(&|query| places[query].keys.start)?, ends(&|query| places[query].keys.end)?);
        let keys = Tensor::arange(self.sizes.keys, like.device())?;
        T::select(&keys.ge(&first)?.logical_and(&keys.lt(&end)?)?, &scores, &nothing)
    }
}

/// The softmax along the last axis; 0 where all scores are −∞.
fn probabilities<T: Arithmetic>(scores: T) -> Result<T> {
    if scores.value().elements() == 0 {
        return Ok(scores);
    }
    let like = scores.value();
    let number = |value: f64| Tensor::full((), value, like.dtype(), like.device());
    let max = like.max_keepdim(-1)?;
    // An infinite maximum less itself is no number.
    let nothing = max.eq(&number(f64::NEG_INFINITY)?)?;
    let max = T::constant(Tensor::select(&nothing, &number(0.0)?, &max)?);
    let exp = scores.sub(&max)?.map(UnaryOp::Exp)?;
    let sum = exp.sum_keepdim(&[scores.value().rank() - 1])?;
    exp.div(&T::select(&nothing, &T::constant(number(1.0)?), &sum)?)
}
