//! The gradients of attention. Probabilities are computed again, from the sums that the forward pass has left.

use super::scores::{At, SIDE, Scores, THREADS, Tiles, dot, lane, row};
use super::{GRAD_KEY, GRAD_QUERY, KEY, MOST_SHARED, QUERY, VALUE};
use crate::lanes::{LANES, of_row};
use crate::number::GpuFloat;
use crate::place;
use cuda_std::*;
use kiln_math::Real;

parameters! {
    /// What the forward pass has left, and the gradient of the output.
    pub struct Incoming<T: DeviceCopy> {
        /// The gradient of the output.
        dy: Global<T>,
        /// ln Σ exp(scores) of each query.
        log_sum: Global<T>,
        /// Σ y·dy of each query.
        delta: Global<T>,
    }
}

impl<T: GpuFloat> Incoming<T> {
    /// Of a query and a key with this score, where the probability's gradient is `dp` but for dropout: what is kept of the probability,
    /// and the gradient of the score.
    #[inline(always)]
    fn pair(&self, scores: &Scores<T>, at: &At, key: usize, [product, dp]: [T; 2]) -> [T; 2] {
        let score = scores.score(at, key, product);
        if score == T::NEG_INFINITY {
            return [T::ZERO; 2];
        }
        let query = scores.row_of(at);
        let (p, kept) = (Real::exp(score - self.log_sum.get(query)), scores.kept(at, key));
        [p * kept, p * (kept * dp - self.delta.get(query))]
    }
}

kernels! {
    /// Σ y·dy of each row of `width`. Sixteen threads a row.
    #[max_threads = place::THREADS]
    pub fn attention_delta<T: GpuFloat>(delta: GlobalMut<T>, y: Global<T>, dy: Global<T>, width: u32) for [f32, f64] {
        let (row, width) = (place::element() / LANES, width as usize);
        let present = row < delta.len();
        let first = row * width;
        let sum = of_row!(T::ZERO, present, width, |i| y.get(first + i) * dy.get(first + i), |a: T, b: T| a + b);
        if present && lane().is_multiple_of(LANES) {
            delta.set(row, sum);
        }
    }

    /// The query's gradient, 16 queries of a head a block: the sum of the score's gradient · k over the keys.
    #[max_threads = THREADS]
    #[max_shared = MOST_SHARED]
    pub fn attention_grad_query<T: GpuFloat>(
        dquery: GlobalMut<T>, query: Global<T>, key: Global<T>, value: Global<T>, incoming: Incoming<T>, scores: Scores<T>
    ) for [f32, f64] {
        let (head, first) = scores.query_block(block_idx_x() as usize);
        let (width, value_width) = (scores.width as usize, scores.value_width as usize);
        let tiles = Tiles::<T>::new(width, value_width, GRAD_QUERY);
        let (queries, keys, sums) = (tiles.of_width(0), tiles.of_width(1), tiles.of_width(2));
        let (values, slopes, pair) = (tiles.of_value(0), tiles.of_value(1), tiles.pairs(0));
        let (query_rows, query_count) = (head * scores.queries as usize, scores.queries as usize);
        let at = scores.query_at(head, first + row());
        queries.bring(query, query_rows, [first, query_count], width);
        slopes.bring(incoming.dy, query_rows, [first, query_count], value_width);
        sums.clear(width);
        let (mut tile, end) = scores.keys_of(first);
        let key_rows = scores.key_head(head) * scores.keys as usize;
        while tile < end {
            // Others may still read the tiles before.
            sync_threads();
            keys.bring(key, key_rows, [tile, scores.keys as usize], width);
            values.bring(value, key_rows, [tile, scores.keys as usize], value_width);
            sync_threads();
            let product = dot(&queries, row(), &keys, lane(), width);
            let dp = dot(&slopes, row(), &values, lane(), value_width);
            let [_, ds] = incoming.pair(&scores, &at, tile + lane(), [product, dp]);
            pair.set(row(), lane(), ds);
            sync_warp();
            sums.add(width, |c, sum| {
                let mut total = sum;
                for j in 0..SIDE {
                    total = Real::mul_add(pair.get(row(), j), keys.get(j, c), total);
                }
                total
            });
            tile += SIDE;
        }
        if at.present {
            let to = scores.output(QUERY, head, first + row()) * width;
            sums.put(width, |c, sum| dquery.set(to + c, sum * T::constant(scores.scale)));
        }
    }

    /// The gradients of key and value, 16 keys of a key head a block: sums over the query heads that share it, and their queries.
    #[max_threads = THREADS]
    #[max_shared = MOST_SHARED]
    pub fn attention_grad_key<T: GpuFloat>(
        dkey: GlobalMut<T>, dvalue: GlobalMut<T>, query: Global<T>, key: Global<T>, value: Global<T>,
        incoming: Incoming<T>, scores: Scores<T>
    ) for [f32, f64] {
        let (key_head, first) = scores.key_block(block_idx_x() as usize);
        let (width, value_width) = (scores.width as usize, scores.value_width as usize);
        let tiles = Tiles::<T>::new(width, value_width, GRAD_KEY);
        let (queries, keys, dkeys) = (tiles.of_width(0), tiles.of_width(1), tiles.of_width(2));
        let (slopes, values, dvalues) = (tiles.of_value(0), tiles.of_value(1), tiles.of_value(2));
        let (kept, gradients) = (tiles.pairs(0), tiles.pairs(1));
        let (key_rows, key_count) = (key_head * scores.keys as usize, scores.keys as usize);
        let (group, query_count) = (scores.group as usize, scores.queries as usize);
        keys.bring(key, key_rows, [first, key_count], width);
        values.bring(value, key_rows, [first, key_count], value_width);
        dkeys.clear(width);
        dvalues.clear(value_width);
        for head in key_head * group..(key_head + 1) * group {
            let mut tile = 0;
            while tile < query_count {
                let (from, end) = scores.keys_of(tile);
                // The same for all threads of the block.
                if from < first + SIDE && first < end {
                    // Others may still read the tiles before.
                    sync_threads();
                    queries.bring(query, head * query_count, [tile, query_count], width);
                    slopes.bring(incoming.dy, head * query_count, [tile, query_count], value_width);
                    sync_threads();
                    let at = scores.query_at(head, tile + row());
                    let product = dot(&queries, row(), &keys, lane(), width);
                    let dp = dot(&slopes, row(), &values, lane(), value_width);
                    let [p, ds] = incoming.pair(&scores, &at, first + lane(), [product, dp]);
                    kept.set(row(), lane(), p);
                    gradients.set(row(), lane(), ds);
                    sync_threads();
                    // Now the thread's row is a key.
                    dkeys.add(width, |c, sum| {
                        let mut total = sum;
                        for i in 0..SIDE {
                            total = Real::mul_add(gradients.get(i, row()), queries.get(i, c), total);
                        }
                        total
                    });
                    dvalues.add(value_width, |c, sum| {
                        let mut total = sum;
                        for i in 0..SIDE {
                            total = Real::mul_add(kept.get(i, row()), slopes.get(i, c), total);
                        }
                        total
                    });
                }
                tile += SIDE;
            }
        }
        if first + row() < key_count {
            let to = scores.output(KEY, key_head, first + row()) * width;
            dkeys.put(width, |c, sum| dkey.set(to + c, sum * T::constant(scores.scale)));
            let to = scores.output(VALUE, key_head, first + row()) * value_width;
            dvalues.put(value_width, |c, sum| dvalue.set(to + c, sum));
        }
    }
}
