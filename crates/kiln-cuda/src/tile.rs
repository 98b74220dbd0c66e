//! How large the tiles of a product are.

use crate::machine::Properties;
use cuda_std::Kernel;
use gpu_kernels::tile::side;

/// What bringing an element of a factor to shared memory costs, in instructions: of a matrix its address and its bounds.
pub(crate) const OF_MATRIX: usize = 12;
/// Of a convolution also what the tap meets.
pub(crate) const OF_WINDOW: usize = 40;

/// Shares of an instruction that costs are counted in.
const SHARES: usize = 64;

/// What a multiplication costs in a tile of so many rows and columns for a thread: itself, its share of reading shared memory (one by
/// one, or four numbers at once) and of bringing elements there. The smaller the tile, the fewer multiplications share a read.
const fn cost(each: usize, bring: usize) -> usize {
    let read = if each < 4 { 8 * SHARES / each } else { 4 * SHARES / each };
    SHARES + read + bring * SHARES / (8 * each)
}

/// The best of a kernel's tiles for products of so many rows and columns: that which the busiest multiprocessor is done with first.
/// Results have the same bits with every tile.
pub(crate) fn tile<K: Kernel>([rows, columns, products]: [usize; 3], bring: usize, device: Properties) -> usize {
    let time = |&each: &usize| {
        let blocks = rows.div_ceil(side(each)).saturating_mul(columns.div_ceil(side(each))).saturating_mul(products);
        let rounds = blocks.div_ceil(device.multiprocessors.max(1));
        rounds.saturating_mul(side(each) * side(each) * cost(each, bring))
    };
    K::ENTRIES.iter().filter_map(|entry| entry.constant()).min_by_key(time).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::{OF_MATRIX, OF_WINDOW, tile};
    use crate::machine::Properties;
    use gpu_kernels::conv::conv;
    use gpu_kernels::matmul::matmul;

    const H200: Properties = Properties { multiprocessors: 132 };
    const LAPTOP: Properties = Properties { multiprocessors: 16 };

    fn single(m: usize, n: usize, products: usize, device: Properties) -> usize {
        tile::<matmul<f32>>([m, n, products], OF_MATRIX, device)
    }

    #[test]
    fn large_products_have_large_tiles() {
        for size in [4096, 8192, 1 << 20] {
            assert_eq!(single(size, size, 1, H200), 8, "{size}");
        }
        assert_eq!([64, 256, 512, 1024, 2048].map(|size| single(size, size, 1, H200)), [1, 1, 4, 4, 8]);
    }

    #[test]
    fn a_small_device_is_busy_with_fewer_blocks() {
        assert_eq!([64, 256, 512, 1024, 2048].map(|size| single(size, size, 1, LAPTOP)), [1, 4, 8, 8, 8]);
    }

    #[test]
    fn the_matrices_of_a_batch_count_together() {
        assert_eq!((single(256, 256, 1, H200), single(256, 256, 8, H200), single(256, 256, 96, H200)), (1, 4, 8));
    }

    #[test]
    fn few_rows_have_small_tiles() {
        assert_eq!((single(1, 4096, 1, H200), single(16, 4096, 1, H200), single(64, 65536, 1, H200)), (1, 1, 4));
        assert_eq!(tile::<conv<f32>>([16, 3136, 1], OF_WINDOW, H200), 1);
        assert_eq!(tile::<conv<f32>>([64, 3136 * 32, 1], OF_WINDOW, H200), 4);
    }

    #[test]
    fn only_declared_tiles_are_chosen() {
        assert_eq!((tile::<matmul<f64>>([8192, 8192, 1], OF_MATRIX, H200), single(0, 0, 0, H200)), (1, 1));
    }
}
