//! Scaled dot-product attention, a block of threads for each 16 queries of a head; its gradients are in grad.rs.
//!
//! A block goes through the keys in tiles of 16, with a running maximum and sum of each query (online softmax), so that no scores are
//! kept. Sixteen threads have a query: each has a key of the tile, and then its share of the output's columns.

mod grad;
mod scores;

pub use grad::{Incoming, attention_delta, attention_grad_key, attention_grad_query};
pub use scores::{KEY, NO_WINDOW, QUERY, Scores, VALUE};

use crate::lanes::{combine, shared};
use crate::number::GpuFloat;
use cuda_std::*;
use kiln_math::Real;
use scores::{SIDE, THREADS, Tiles, dot, lane, row};

#[cfg(not(target_arch = "nvptx64"))]
pub use scores::{geometry, shared_bytes};

/// The entries of the gradients' kernels.
#[cfg(not(target_arch = "nvptx64"))]
pub const GRADIENTS: &[cuda_std::Families] = &[grad::KERNELS];

/// Tiles of the forward pass in shared memory: of widths, and of value widths.
pub const FORWARD: [usize; 2] = [2, 2];
/// Those of the query's gradient.
pub const GRAD_QUERY: [usize; 2] = [3, 2];
/// Those of the gradients of key and value.
pub const GRAD_KEY: [usize; 2] = [3, 3];
/// The most shared memory of these kernels: what every device from 8.0 on gives a block that asks for it.
pub const MOST_SHARED: u32 = 96 << 10;

kernels! {
    /// y = softmax(scores) · v and ln Σ exp(scores) of each query; 0 and −∞ where it sees no key.
    #[max_threads = THREADS]
    #[max_shared = MOST_SHARED]
    pub fn attention<T: GpuFloat>(
        y: GlobalMut<T>, log_sum: GlobalMut<T>, query: Global<T>, key: Global<T>, value: Global<T>, scores: Scores<T>
    ) for [f32, f64] {
        let (head, first) = scores.query_block(block_idx_x() as usize);
        let (width, value_width) = (scores.width as usize, scores.value_width as usize);
        let tiles = Tiles::<T>::new(width, value_width, FORWARD);
        let (queries, keys) = (tiles.of_width(0), tiles.of_width(1));
        let (values, sums) = (tiles.of_value(0), tiles.of_value(1));
        let pair = tiles.pairs(0);
        let at = scores.query_at(head, first + row());
        queries.bring(query, head * scores.queries as usize, [first, scores.queries as usize], width);
        sums.clear(value_width);
        let (mut max, mut sum) = (T::NEG_INFINITY, T::ZERO);
        let (mut tile, end) = scores.keys_of(first);
        let key_rows = scores.key_head(head) * scores.keys as usize;
        while tile < end {
            // Others may still read the tiles before.
            sync_threads();
            keys.bring(key, key_rows, [tile, scores.keys as usize], width);
            values.bring(value, key_rows, [tile, scores.keys as usize], value_width);
            sync_threads();
            let score = scores.score(&at, tile + lane(), dot(&queries, row(), &keys, lane(), width));
            let most = max.maximum(shared(combine!(score, |a: T, b: T| a.maximum(b))));
            let shift = if most == T::NEG_INFINITY { T::ZERO } else { most };
            let (p, before) = (Real::exp(score - shift), Real::exp(max - shift));
            sum = sum * before + shared(combine!(p, |a: T, b: T| a + b));
            max = most;
            pair.set(row(), lane(), p * scores.kept(&at, tile + lane()));
            sync_warp();
            sums.add(value_width, |c, sum| {
                let mut total = sum * before;
                for j in 0..SIDE {
                    total = Real::mul_add(pair.get(row(), j), values.get(j, c), total);
                }
                total
            });
            tile += SIDE;
        }
        if !at.present {
            return;
        }
        let to = scores.output(QUERY, head, first + row());
        sums.put(value_width, |c, total| y.set(to * value_width + c, if sum == T::ZERO { T::ZERO } else { total / sum }));
        if lane() == 0 {
            log_sum.set(scores.row_of(&at), max + Real::ln(sum));
        }
    }
}
