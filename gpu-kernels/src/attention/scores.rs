//! Which keys a query sees, and the scores of those.

use super::tiles::SIDE;
use crate::number::GpuFloat;
use crate::random::Draw;
use cuda_std::*;

/// A window of all keys.
pub const NO_WINDOW: u32 = u32::MAX;

/// The output, or the query's gradient.
pub const QUERY: u32 = 1;
/// The key's gradient.
pub const KEY: u32 = 2;
/// The value's gradient.
pub const VALUE: u32 = 4;

parameters! {
    /// Sizes, and what a score is made of beside the product of a query and a key.
    pub struct Scores<T: DeviceCopy> {
        /// Where a key is seen: the mask's memory, or none.
        seen: Global<u8>,
        /// What is added: the mask's memory, or none.
        added: Global<T>,
        /// ALiBi's, of each head, or none.
        slopes: Global<T>,
        /// Of packed sequences (queries, 3): a query's place among the keys, the first key that it can see, and where these end.
        places: Global<i64>,
        /// Dropout's stream, or none.
        stream: Global<i64>,
        /// The mask's first element.
        mask_start: i64,
        /// From one batch, head, query and key of the mask to the next.
        mask_strides: [i64; 4],
        /// What products are multiplied by.
        scale: f64,
        /// What kept probabilities are multiplied by.
        kept_scale: f64,
        /// Dropout's.
        rate: f32,
        /// Query heads.
        heads: u32,
        /// Query heads that share a key head.
        group: u32,
        /// Number of queries.
        queries: u32,
        /// Number of keys.
        keys: u32,
        /// Of queries and keys.
        width: u32,
        /// Of values and the output.
        value_width: u32,
        /// Keys of the sliding window.
        window: u32,
        /// 1 where a query sees no key after its place.
        causal: u32,
        /// Which outputs lie as (batch, rows, heads, width): [`QUERY`], [`KEY`], [`VALUE`].
        rows_first: u32,
    }
}

/// A query, and the keys that it can see by its place.
#[derive(Clone, Copy)]
pub(super) struct At {
    batch: usize,
    head: usize,
    query: usize,
    place: i64,
    keys: [i64; 2],
    /// Whether there is one.
    pub(super) present: bool,
}

impl<T: GpuFloat> Scores<T> {
    /// The head, counted through the batch, and the first query of a block.
    #[inline(always)]
    pub(super) fn query_block(&self, block: usize) -> (usize, usize) {
        let blocks = (self.queries as usize).div_ceil(SIDE);
        (block / blocks, block % blocks * SIDE)
    }

    /// The key head, counted through the batch, and the first key of a block.
    #[inline(always)]
    pub(super) fn key_block(&self, block: usize) -> (usize, usize) {
        let blocks = (self.keys as usize).div_ceil(SIDE);
        (block / blocks, block % blocks * SIDE)
    }

    /// The key head of a head; both are counted through the batch.
    #[inline(always)]
    pub(super) fn key_head(&self, head: usize) -> usize {
        head / self.group as usize
    }

    /// A query's place among the keys, and from where to where it can see them.
    #[inline(always)]
    fn reach(&self, query: usize) -> (i64, [i64; 2]) {
        if !self.places.is_empty() {
            return (self.places.get(3 * query), [self.places.get(3 * query + 1), self.places.get(3 * query + 2)]);
        }
        let (keys, window) = (i64::from(self.keys), i64::from(self.window));
        let place = query as i64 + keys - i64::from(self.queries);
        let all = self.window == NO_WINDOW;
        let causal = self.causal != 0;
        let first = if all { 0 } else { place - window + i64::from(causal) };
        let end = if causal { place + 1 } else if all { keys } else { place + window + 1 };
        (place, [first.clamp(0, keys), end.clamp(0, keys)])
    }

    /// The query of this number of a head.
    #[inline(always)]
    pub(super) fn query_at(&self, head: usize, query: usize) -> At {
        let present = query < self.queries as usize;
        let (place, keys) = if present { self.reach(query) } else { (0, [0, 0]) };
        let heads = self.heads as usize;
        At { batch: head / heads, head: head % heads, query, place, keys, present }
    }

    /// From which tile on, and up to where, the 16 queries from `first` on can see keys. Their reaches begin and end in order.
    #[inline(always)]
    pub(super) fn keys_of(&self, first: usize) -> (usize, usize) {
        let last = (first + SIDE).min(self.queries as usize) - 1;
        let (from, end) = (self.reach(first).1[0] as usize, self.reach(last).1[1] as usize);
        (from / SIDE * SIDE, end)
    }

    /// The score of a query and a key, from their product; −∞ where the key is not seen.
    #[inline(always)]
    pub(super) fn score(&self, at: &At, key: usize, product: T) -> T {
        if (key as i64) < at.keys[0] || key as i64 >= at.keys[1] {
            return T::NEG_INFINITY;
        }
        let mut score = product * T::constant(self.scale);
        if !self.slopes.is_empty() {
            let distance = (key as i64 - at.place).unsigned_abs() as f64;
            score = score - self.slopes.get(at.head) * T::constant(distance);
        }
        let [batch, head, query, step] = self.mask_strides;
        let of_query = at.batch as i64 * batch + at.head as i64 * head + at.query as i64 * query;
        let mask = (self.mask_start + of_query + key as i64 * step) as usize;
        if !self.added.is_empty() {
            let added = self.added.get(mask);
            score = if added == T::NEG_INFINITY { added } else { score + added };
        }
        if !self.seen.is_empty() && self.seen.get(mask) == 0 {
            return T::NEG_INFINITY;
        }
        score
    }

    /// Where a row of an output begins, of a head counted through the batch.
    #[inline(always)]
    pub(super) fn output(&self, which: u32, head: usize, row: usize) -> usize {
        let heads = if which == QUERY { self.heads } else { self.heads / self.group } as usize;
        let rows = if which == QUERY { self.queries } else { self.keys } as usize;
        if self.rows_first & which == 0 {
            return head * rows + row;
        }
        (head / heads * rows + row) * heads + head % heads
    }

    /// The query's number among those of all heads.
    #[inline(always)]
    pub(super) fn row_of(&self, at: &At) -> usize {
        (at.batch * self.heads as usize + at.head) * self.queries as usize + at.query
    }

    /// What a probability is multiplied by: dropout's 1 / (1 − rate) or 0.
    #[inline(always)]
    pub(super) fn kept(&self, at: &At, key: usize) -> T {
        if self.stream.is_empty() {
            return T::ONE;
        }
        let drawn = <f32 as Draw>::uniform(self.stream, self.row_of(at) * self.keys as usize + key, 0.0, 1.0);
        if drawn >= self.rate { T::constant(self.kept_scale) } else { T::ZERO }
    }
}
