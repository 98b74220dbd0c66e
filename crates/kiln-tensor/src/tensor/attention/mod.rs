//! Scaled dot-product attention.

mod check;
mod composed;
mod options;
mod order;
mod reach;

pub use composed::composed;
pub use options::{AttentionOptions, PackedSequences};
pub use order::HeadOrder;
pub use reach::{AttentionReach, QueryPlace};

use super::{Tensor, check_pair};
use crate::{Call, Error, Out, Ran, Result, Shape, View};
use check::Sizes;
use order::adjacent;
use std::sync::Arc;

/// What attention is computed from, as a backend takes it: softmax(scale · q·kᵀ − slope · |j − place| + mask) · v over the keys that
/// a query sees; 0 where it sees none.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// (batch, heads, queries, width), at strides; elements of the last axis are adjacent, as in key and value.
    pub query: View<'a>,
    /// (batch, key heads, keys, width). Query head h meets key head h / (heads / key heads).
    pub key: View<'a>,
    /// (batch, key heads, keys, value width).
    pub value: View<'a>,
    /// (batch, heads, queries, keys), any layout, mostly broadcast: bool, true where a key is seen, or numbers that are added, of the
    /// type that the query's dtype is computed in; −∞ hides the key.
    pub mask: Option<View<'a>>,
    /// What the products are multiplied by.
    pub scale: f64,
    /// By places: which keys a query can see.
    pub reach: AttentionReach<'a>,
    /// Of each query head, for ALiBi.
    pub slopes: Option<&'a [f64]>,
    /// The rate, from 0 to 1, and the stream, i64 (2,). A probability is divided by 1 − rate where the stream's draw at its place of
    /// (batch, heads, queries, keys), uniform in [0, 1), is at least the rate; else it is 0.
    pub dropout: Option<(f64, View<'a>)>,
}

/// Attention.
#[derive(Clone, Copy, Debug)]
pub struct AttentionCall<'a> {
    /// What from.
    pub operands: Attention<'a>,
    /// (batch, heads, queries, value width), in this order.
    pub out: Out<'a>,
    /// How the output lies.
    pub order: HeadOrder,
    /// (batch, heads, queries), of the type that the dtype is computed in: becomes ln Σ exp of each query's scores; −∞ where it sees
    /// no key.
    pub log_sum: Out<'a>,
}

/// The gradients of [`AttentionCall`], but for the mask's.
#[derive(Clone, Copy, Debug)]
pub struct AttentionGradCall<'a> {
    /// What from.
    pub operands: Attention<'a>,
    /// (batch, heads, queries, value width): the output, at strides; elements of the last axis are adjacent.
    pub out: View<'a>,
    /// (batch, heads, queries): [`AttentionCall::log_sum`]; row-major.
    pub log_sum: View<'a>,
    /// (batch, heads, queries, value width): the gradient of the output, as the output.
    pub dy: View<'a>,
    /// Of the query's shape, in its order.
    pub dquery: Out<'a>,
    /// Of the key's shape, in its order.
    pub dkey: Out<'a>,
    /// Of the value's shape, in its order.
    pub dvalue: Out<'a>,
    /// How the gradients of query, key and value lie.
    pub orders: [HeadOrder; 3],
}

/// What attention has left.
#[derive(Clone, Debug)]
pub struct Attended {
    /// (batch, heads, queries, value width).
    pub out: Tensor,
    /// (batch, heads, queries): ln Σ exp of each query's scores; none where the device has no kernel and the operation was composed.
    pub log_sum: Option<Tensor>,
}

/// Gradients of attention.
#[derive(Clone, Debug)]
pub struct AttentionGradients {
    /// Of the query's shape.
    pub query: Tensor,
    /// Of the key's shape.
    pub key: Tensor,
    /// Of the value's shape.
    pub value: Tensor,
}

impl Sizes {
    fn reach<'a>(&self, options: &'a AttentionOptions) -> AttentionReach<'a> {
        let &Sizes { queries, keys, .. } = self;
        let &AttentionOptions { causal, window, .. } = options;
        AttentionReach { queries, keys, causal, window, packed: options.packed.as_ref() }
    }

    fn scale(&self, options: &AttentionOptions) -> f64 {
        options.scale.unwrap_or_else(|| 1.0 / (self.width as f64).sqrt())
    }
}

/// The operands, checked.
struct Operands<'a> {
    sizes: Sizes,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Option<Tensor>,
    options: &'a AttentionOptions,
    slopes: Option<Arc<[f64]>>,
}

impl<'a> Operands<'a> {
    fn new([query, key, value]: [&'a Tensor; 3], mask: Option<&Tensor>, options: &'a AttentionOptions) -> Result<Self> {
        let sizes = Sizes::of(query, key, value)?;
        sizes.check_options(query, options)?;
        let mask = mask.map(|mask| sizes.mask(query, mask)).transpose()?;
        let slopes = options.slopes(sizes.heads)?;
        let (query, key, value) = (adjacent(query)?, adjacent(key)?, adjacent(value)?);
        Ok(Operands { sizes, query, key, value, mask, options, slopes })
    }

    fn views(&self) -> Attention<'_> {
        Attention {
            query: self.query.view(),
            key: self.key.view(),
            value: self.value.view(),
            mask: self.mask.as_ref().map(Tensor::view),
            scale: self.sizes.scale(self.options),
            reach: self.sizes.reach(self.options),
            slopes: self.slopes.as_deref(),
            dropout: self.options.dropout.as_ref().map(|(rate, stream)| (*rate, stream.view())),
        }
    }
}

impl Tensor {
    /// Scaled dot-product attention: softmax(scale · q·kᵀ + bias) · v, of this as the query.
    ///
    /// query (batch, heads, queries, width), key (batch, key heads, keys, width), value (batch, key heads, keys, value width) give
    /// (batch, heads, queries, value width). Query head h meets key head h / (heads / key heads). The mask broadcasts to (batch,
    /// heads, queries, keys): bool or u8, true where a key is seen (Keras's and PyTorch's meaning), or numbers of the query's dtype
    /// that are added to the scores, where −∞ hides the key. A mask of three axes is (heads, queries, keys), not (batch, queries, keys).
    /// A query that sees no key gives 0. Keys and values that a query does not see must be finite all the same: they count with a
    /// probability of 0, and 0 · NaN is NaN. Half types are computed in f32 and rounded once.
    ///
    /// A kernel's output lies in memory as the query does: where that is (batch, queries, heads, width) seen as (batch, heads, queries,
    /// width), the heads of the output are joined by `transpose(1, 2)` and `reshape` without a copy.
    ///
    /// Sources: Vaswani et al., Attention Is All You Need, 2017; Dao et al., FlashAttention, 2022, whose way the kernels go, with memory
    /// linear in the number of keys.
    ///
    /// # Errors
    /// Shapes that do not fit, key heads that do not divide the heads, a mask that does not broadcast, options that make no sense;
    /// dtypes that are not floats, or that differ; devices that differ.
    pub fn attention(
        &self,
        key: &Tensor,
        value: &Tensor,
        mask: Option<&Tensor>,
        options: &AttentionOptions,
    ) -> Result<Tensor> {
        Ok(self.attend(key, value, mask, options)?.out)
    }

    /// [`Tensor::attention`] with what its gradient needs.
    ///
    /// # Errors
    /// As there.
    pub fn attend(
        &self,
        key: &Tensor,
        value: &Tensor,
        mask: Option<&Tensor>,
        options: &AttentionOptions,
    ) -> Result<Attended> {
        let operands = Operands::new([self, key, value], mask, options)?;
        let (shape, order) = (operands.sizes.output()?, HeadOrder::of(self));
        let out = order.output(&shape, self)?;
        let log_sum = Tensor::output(&shape.without_axis(3), self.dtype.computed_in(), self.device())?;
        let call = AttentionCall { operands: operands.views(), out: out.out(), order, log_sum: log_sum.out() };
        match self.device().run(&Call::Attention(call))? {
            Ran::Done => Ok(Attended { out: order.view(out)?, log_sum: Some(log_sum) }),
            Ran::NotHere => Ok(Attended { out: composed(self, key, value, mask, options)?, log_sum: None }),
        }
    }
}

impl Attended {
    /// The gradients of query, key and value, given the output's. The operands are those of [`Tensor::attend`], which has left this.
    /// `None` where the device has no kernel for them: then they are derivatives of [`crate::composed::attention`].
    ///
    /// # Errors
    /// As [`Tensor::attention`], and a gradient or results of another shape.
    pub fn grad(
        &self,
        [query, key, value]: [&Tensor; 3],
        mask: Option<&Tensor>,
        options: &AttentionOptions,
        dy: &Tensor,
    ) -> Result<Option<AttentionGradients>> {
        let Some(log_sum) = &self.log_sum else { return Ok(None) };
        let operands = Operands::new([query, key, value], mask, options)?;
        check_pair("attention_grad", query, dy)?;
        let expected = operands.sizes.output()?;
        for (what, found, expected) in [
            ("the output", self.out.shape(), expected),
            ("its gradient", dy.shape(), expected),
            ("the sums", log_sum.shape(), expected.without_axis(3)),
        ] {
            expect_shape(what, found, &expected)?;
        }
        let (out, dy, log_sum) = (adjacent(&self.out)?, adjacent(dy)?, log_sum.contiguous()?);
        let orders = [query, key, value].map(HeadOrder::of);
        let like = |at: usize, x: &Tensor| orders[at].output(x.shape(), x);
        let (dquery, dkey, dvalue) = (like(0, query)?, like(1, key)?, like(2, value)?);
        let call = AttentionGradCall {
            operands: operands.views(),
            out: out.view(),
            log_sum: log_sum.view(),
            dy: dy.view(),
            dquery: dquery.out(),
            dkey: dkey.out(),
            dvalue: dvalue.out(),
            orders,
        };
        if query.device().run(&Call::AttentionGrad(call))? == Ran::NotHere {
            return Ok(None);
        }
        let (query, key, value) = (orders[0].view(dquery)?, orders[1].view(dkey)?, orders[2].view(dvalue)?);
        Ok(Some(AttentionGradients { query, key, value }))
    }
}

fn expect_shape(what: &str, found: &Shape, expected: &Shape) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::shape("attention_grad", format!("{what} has shape {found}, expected {expected}")))
}
