//! What the kernels of attention have in common: which keys a query sees, scores, and tiles in shared memory.

use crate::number::GpuFloat;
use crate::random::Draw;
use cuda_std::*;
use kiln_math::Real;

/// Queries and keys of a tile, and threads along each side of a block.
pub(super) const SIDE: usize = 16;
/// Threads of a block.
pub(super) const THREADS: u32 = (SIDE * SIDE) as u32;
/// A window of all keys.
pub const NO_WINDOW: u32 = u32::MAX;

/// The output, or the query's gradient.
pub const QUERY: u32 = 1;
/// The key's gradient.
pub const KEY: u32 = 2;
/// The value's gradient.
pub const VALUE: u32 = 4;

/// Places of (batch, heads) and blocks of 16 rows each, with tiles in shared memory.
#[cfg(not(target_arch = "nvptx64"))]
pub fn geometry(heads: usize, rows: usize, shared_bytes: u32) -> Geometry {
    let blocks = u32::try_from(heads.saturating_mul(rows.div_ceil(SIDE))).unwrap_or(u32::MAX);
    Geometry { grid: [blocks, 1, 1], block: [SIDE as u32, SIDE as u32, 1], shared_bytes }
}

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

/// The thread's query or key along y.
#[inline(always)]
pub(super) fn row() -> usize {
    thread_idx_y() as usize
}

/// The thread's key or column along x.
#[inline(always)]
pub(super) fn lane() -> usize {
    thread_idx_x() as usize
}

/// Sixteen rows in shared memory.
#[derive(Clone, Copy)]
pub(super) struct Tile<T> {
    elements: Shared<T>,
    step: usize,
}

impl<T: GpuFloat> Tile<T> {
    #[inline(always)]
    pub(super) fn get(&self, row: usize, column: usize) -> T {
        self.elements.get(row * self.step + column)
    }
    #[inline(always)]
    pub(super) fn set(&self, row: usize, column: usize, value: T) {
        self.elements.set(row * self.step + column, value);
    }

    /// 0 in the thread's columns of its row.
    #[inline(always)]
    pub(super) fn clear(&self, width: usize) {
        let mut c = lane();
        while c < width {
            self.set(row(), c, T::ZERO);
            c += SIDE;
        }
    }

    /// Makes each of the thread's columns of its row what `next` makes of it.
    #[inline(always)]
    pub(super) fn add(&self, width: usize, next: impl Fn(usize, T) -> T) {
        let mut c = lane();
        while c < width {
            self.set(row(), c, next(c, self.get(row(), c)));
            c += SIDE;
        }
    }

    /// Gives `take` each of the thread's columns of its row.
    #[inline(always)]
    pub(super) fn put(&self, width: usize, mut take: impl FnMut(usize, T)) {
        let mut c = lane();
        while c < width {
            take(c, self.get(row(), c));
            c += SIDE;
        }
    }

    /// Copies 16 rows here, a row for 16 threads: of rows that begin at row `base` of the memory, those from `first` on, with zeros beyond `end`.
    #[inline(always)]
    pub(super) fn bring(&self, from: Global<T>, base: usize, [first, end]: [usize; 2], width: usize) {
        let (mut c, row) = (lane(), row());
        while c < width {
            let inside = first + row < end;
            self.set(row, c, if inside { from.get((base + first + row) * width + c) } else { T::ZERO });
            c += SIDE;
        }
    }
}

/// From one row of a tile to the next: odd, so that rows begin in different banks.
const fn step(width: usize) -> usize {
    width | 1
}

/// The tiles of a block, one after the other: those of widths, of value widths, and two of pairs.
#[derive(Clone, Copy)]
pub(super) struct Tiles<T> {
    steps: [usize; 2],
    counts: [usize; 2],
    element: core::marker::PhantomData<T>,
}

impl<T: GpuFloat> Tiles<T> {
    #[inline(always)]
    pub(super) fn new(width: usize, value_width: usize, counts: [usize; 2]) -> Self {
        Tiles { steps: [step(width), step(value_width)], counts, element: core::marker::PhantomData }
    }

    #[inline(always)]
    fn tile(first: usize, step: usize) -> Tile<T> {
        Tile { elements: Shared::at(first * size_of::<T>(), SIDE * step), step }
    }

    #[inline(always)]
    pub(super) fn of_width(&self, number: usize) -> Tile<T> {
        Self::tile(number * SIDE * self.steps[0], self.steps[0])
    }

    #[inline(always)]
    pub(super) fn of_value(&self, number: usize) -> Tile<T> {
        Self::tile(SIDE * (self.counts[0] * self.steps[0] + number * self.steps[1]), self.steps[1])
    }

    /// Numbers of 16 × 16 pairs.
    #[inline(always)]
    pub(super) fn pairs(&self, number: usize) -> Tile<T> {
        let before = self.counts[0] * self.steps[0] + self.counts[1] * self.steps[1];
        Self::tile(SIDE * (before + number * step(SIDE)), step(SIDE))
    }
}

/// Bytes of shared memory that a block with these tiles takes.
#[cfg(not(target_arch = "nvptx64"))]
pub fn shared_bytes<T>([width, value_width]: [usize; 2], counts: [usize; 2]) -> usize {
    let columns = counts[0] * step(width) + counts[1] * step(value_width) + 2 * step(SIDE);
    SIDE * columns * size_of::<T>()
}

/// The product of a row of one tile and a row of another.
#[inline(always)]
pub(super) fn dot<T: GpuFloat>(a: &Tile<T>, i: usize, b: &Tile<T>, j: usize, width: usize) -> T {
    let mut sum = T::ZERO;
    for c in 0..width {
        sum = Real::mul_add(a.get(i, c), b.get(j, c), sum);
    }
    sum
}
