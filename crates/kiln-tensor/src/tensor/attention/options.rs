//! How attention is asked for.

use crate::{Error, Result, Tensor};
use std::sync::Arc;

/// Which keys a query sees, and what is added to the scores. By default each query sees every key, and the scale is 1/√width.
///
/// ```
/// use kiln_tensor::{AttentionOptions, DType, Device, Tensor};
/// let cpu = Device::cpu();
/// let query = Tensor::ones([2, 8, 10, 64], DType::F32, &cpu)?; // (batch, heads, queries, width)
/// let key = Tensor::ones([2, 4, 10, 64], DType::F32, &cpu)?; // two query heads share a key head
/// let options = AttentionOptions::new().causal(true).window(4);
/// assert_eq!(query.attention(&key, &key, None, &options)?.dims(), [2, 8, 10, 64]);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct AttentionOptions {
    pub(crate) scale: Option<f64>,
    pub(crate) causal: bool,
    pub(crate) window: Option<usize>,
    alibi: Alibi,
    pub(crate) dropout: Option<(f64, Tensor)>,
    pub(crate) packed: Option<PackedSequences>,
}

/// The slopes of ALiBi.
#[derive(Clone, Debug, Default)]
enum Alibi {
    #[default]
    None,
    /// Those of the paper.
    Paper,
    Given(Arc<[f64]>),
}

/// Where packed sequences begin and end along the axes of queries and of keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PackedSequences {
    /// sequences + 1 numbers: sequence s has queries offsets\[s\] to below offsets\[s + 1\].
    pub(crate) queries: Arc<[i64]>,
    /// The same of the keys.
    pub(crate) keys: Arc<[i64]>,
}

impl AttentionOptions {
    /// Every query sees every key.
    pub fn new() -> Self {
        AttentionOptions::default()
    }

    /// What the products of queries and keys are multiplied by; 1/√width where it is not set.
    #[must_use]
    pub fn scale(mut self, scale: f64) -> Self {
        self.scale = Some(scale);
        self
    }

    /// Whether query i sees key j only where j − i ≤ keys − queries: the last query sees all keys, as with a cache of keys that
    /// came before the queries. PyTorch's `is_causal` lets the first query see the first key alone; with as many queries as keys
    /// the two are the same.
    #[must_use]
    pub fn causal(mut self, causal: bool) -> Self {
        self.causal = causal;
        self
    }

    /// A sliding window. The place of query i among the keys is p = i + keys − queries. With [`AttentionOptions::causal`] it sees
    /// the last `keys` keys up to its place, p − keys < j ≤ p; without it `keys` keys on both sides, |j − p| ≤ keys. (FlashAttention's
    /// `window_size` is (keys − 1, 0) and (keys, keys).)
    #[must_use]
    pub fn window(mut self, keys: usize) -> Self {
        self.window = Some(keys);
        self
    }

    /// Whether −slope(head) · |j − p| is added to the scores, where p is the query's place among the keys. Source: Press, Smith and
    /// Lewis, Train Short, Test Long, 2022, with its slopes: 2^(−8(h + 1)/heads) for head h where the number of heads is a power of
    /// two. For other numbers of heads they are those of the next lower power of two, then every other one of the next higher power.
    #[must_use]
    pub fn alibi(mut self, alibi: bool) -> Self {
        self.alibi = if alibi { Alibi::Paper } else { Alibi::None };
        self
    }

    /// [`AttentionOptions::alibi`] with these slopes, one for each query head.
    #[must_use]
    pub fn alibi_slopes(mut self, slopes: &[f64]) -> Self {
        self.alibi = Alibi::Given(slopes.into());
        self
    }

    /// Dropout of the probabilities, drawn as [`Tensor::dropout`] draws for a tensor (batch, heads, queries, keys), from a stream
    /// (i64 (2,), by [`Tensor::random_stream`]).
    #[must_use]
    pub fn dropout(mut self, rate: f64, stream: &Tensor) -> Self {
        self.dropout = Some((rate, stream.clone()));
        self
    }

    /// Sequences without padding, one after the other along the axes of queries and of keys of a batch of 1. The offsets are
    /// sequences + 1 numbers that begin with 0 and end with the axis's size (`cu_seqlens` of FlashAttention). The queries of a
    /// sequence see the keys of the same sequence; all that is said of places holds within it.
    #[must_use]
    pub fn packed(mut self, query_offsets: &[usize], key_offsets: &[usize]) -> Self {
        // An offset that does not fit is beyond every axis.
        let offsets = |given: &[usize]| given.iter().map(|&at| i64::try_from(at).unwrap_or(i64::MAX)).collect();
        self.packed = Some(PackedSequences { queries: offsets(query_offsets), keys: offsets(key_offsets) });
        self
    }

    /// The slope of each of so many heads.
    pub(crate) fn slopes(&self, heads: usize) -> Result<Option<Arc<[f64]>>> {
        match &self.alibi {
            Alibi::None => Ok(None),
            Alibi::Paper => Ok(Some(paper_slopes(heads).into())),
            Alibi::Given(slopes) if slopes.len() == heads => Ok(Some(slopes.clone())),
            Alibi::Given(slopes) => Err(Error::shape(
                "attention",
                format!("{} slopes are given for {heads} heads: one for each query head is expected", slopes.len()),
            )),
        }
    }
}

/// 2^(−8/n), 2^(−16/n), … of n heads where n is a power of two. Of another number first the slopes of the next lower power, then
/// every other one of the next higher power, as the paper's authors do it.
fn paper_slopes(heads: usize) -> Vec<f64> {
    let geometric = |n: usize| move |i: usize| (-8.0 * (i + 1) as f64 / n as f64).exp2();
    let lower = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    let between = (0..heads - lower).map(|i| 2 * i).map(geometric(2 * lower));
    (0..lower).map(geometric(lower)).chain(between).collect()
}
