//! Matrix products of tiles in shared memory: what the kernels of products and convolutions have in common.
//!
//! A block of 16 × 16 threads makes a square tile of sums, R × R for each thread. In steps it brings a piece of each factor to
//! shared memory, the next one while it multiplies the last. A sum is cut into blocks of steps: each is a chain of fused
//! multiply-adds from 0, and the blocks' results are added in order, in the output's memory.

use crate::number::GpuFloat;
use cuda_std::*;
use kiln_math::{K_BLOCK, Real};

/// Threads along each side of a block.
const SIDE: usize = 16;
/// Threads of a block.
pub(crate) const THREADS: u32 = (SIDE * SIDE) as u32;
/// Rows and columns of a tile with so many of each for a thread.
#[must_use]
pub const fn side(each: usize) -> usize {
    SIDE * each
}

/// Elements from one k to the next in shared memory: not a multiple of the banks, and of four where four are read at once.
const fn row(each: usize) -> usize {
    SIDE * each + if each < 4 { 1 } else { 4 }
}

/// Elements of a factor's piece in shared memory, where each thread brings so many of them.
const fn piece(each: usize, brought: usize) -> usize {
    SIDE * brought / each * row(each)
}

/// Blocks of 16 × 16 threads in a grid, with shared memory for two pieces of each factor.
#[cfg(not(target_arch = "nvptx64"))]
pub(crate) fn geometry(each: usize, brought: usize, grid: [usize; 3], element_bytes: usize) -> Geometry {
    let shared_bytes = (4 * piece(each, brought) * element_bytes) as u32;
    // A grid that is too large stays too large, so that the launch refuses it.
    let grid = grid.map(|blocks| u32::try_from(blocks).unwrap_or(u32::MAX));
    Geometry { grid, block: [SIDE as u32, SIDE as u32, 1], shared_bytes }
}

/// The body for each `i` below `R`, which is 8 at most, written out: the compiler leaves a loop over so much a loop, and then an
/// array that it goes through lies in memory.
macro_rules! each {
    ($i:ident < $R:expr, $body:block) => { $crate::tile::each!(@ $i, $R, $body, 0 1 2 3 4 5 6 7) };
    (@ $i:ident, $R:expr, $body:block, $($number:literal)*) => {
        $(if $number < $R {
            let $i: usize = $number;
            $body
        })*
    };
}
pub(crate) use each;

/// The thread's number in its block.
#[inline(always)]
fn thread() -> u32 {
    thread_idx_y() * SIDE as u32 + thread_idx_x()
}

/// What a product's last block leaves.
pub(crate) struct Sums<T, const R: usize> {
    /// The block's sums.
    pub(crate) sums: [[T; R]; R],
    /// Whether there was none before it.
    pub(crate) first: bool,
}

/// The elements of a factor that a thread brings in each step, by their number: how far along k, and which row or column of the
/// tile.
#[derive(Clone, Copy)]
pub(crate) struct Share {
    k: u32,
    k_step: u32,
    outer: u32,
    outer_step: u32,
}

impl Share {
    /// How far along k element `i` is.
    #[inline(always)]
    pub(crate) fn k(&self, i: usize) -> u32 {
        self.k + i as u32 * self.k_step
    }

    /// The row or column of element `i`.
    #[inline(always)]
    pub(crate) fn outer(&self, i: usize) -> u32 {
        self.outer + i as u32 * self.outer_step
    }

    /// How far an element of a matrix with these strides is from the one before it.
    #[inline(always)]
    pub(crate) fn distance(&self, outer_stride: i64, k_stride: i64) -> i64 {
        i64::from(self.outer_step) * outer_stride + i64::from(self.k_step) * k_stride
    }
}

/// Tiles of 16·R rows and columns; in each step a thread brings P elements of each factor.

#[derive(Clone, Copy)]
pub(crate) struct Tile<const R: usize, const P: usize>;

impl<const R: usize, const P: usize> Tile<R, P> {
    /// Rows and columns.
    pub(crate) const SIDE: u32 = (SIDE * R) as u32;
    /// How far a step goes along k.
    pub(crate) const DEPTH: u32 = (SIDE * P / R) as u32;
    /// Elements from one k to the next in shared memory.
    const ROW: usize = row(R);
    /// Elements of a factor's piece.
    const PIECE: usize = piece(R, P);

    /// Steps of a block of [`K_BLOCK`] terms, where each step is whole.
    pub(crate) const BLOCK: u32 = K_BLOCK as u32 / Self::DEPTH;

    /// Neighboring threads bring neighbors along k.
    #[inline(always)]
    pub(crate) fn along_k() -> Share {
        let thread = thread();
        Share { k: thread % Self::DEPTH, k_step: 0, outer: thread / Self::DEPTH, outer_step: THREADS / Self::DEPTH }
    }

    /// Neighboring threads bring neighboring rows or columns.
    #[inline(always)]
    pub(crate) fn across_k() -> Share {
        let thread = thread();
        Share { k: thread / Self::SIDE, k_step: THREADS / Self::SIDE, outer: thread % Self::SIDE, outer_step: 0 }
    }

    /// The row of the tile that a thread's row `i` is.
    #[inline(always)]
    pub(crate) fn row(i: usize) -> u32 {
        Self::place(thread_idx_y(), i)
    }

    /// The column of the tile that a thread's column `i` is.
    #[inline(always)]
    pub(crate) fn column(i: usize) -> u32 {
        Self::place(thread_idx_x(), i)
    }

    /// Threads have neighbors in fours, so that a warp reads all banks at once.
    #[inline(always)]
    fn place(thread: u32, i: usize) -> u32 {
        if R < 4 { thread * R as u32 + i as u32 } else { (i / 4 * (4 * SIDE)) as u32 + thread * 4 + i as u32 % 4 }
    }

    /// Gives `take` each of a thread's sums, with its row and its column, that lies before the ends of both. The tile begins at the first
    /// of each.
    #[inline(always)]
    pub(crate) fn within<T: GpuFloat>(
        sums: &[[T; R]; R],
        [first_row, rows]: [u32; 2],
        [first_column, columns]: [u32; 2],
        mut take: impl FnMut(u32, u32, T),
    ) {
        each!(j < R, {
            each!(i < R, {
                let (row, column) = (first_row + Self::row(i), first_column + Self::column(j));
                if row < rows && column < columns {
                    take(row, column, sums[i][j]);
                }
            });
        });
    }

    /// The numbers of these places, from element `first` on.
    #[inline(always)]
    fn fragment<T: GpuFloat>(from: &Shared<T>, first: usize, thread: u32) -> [T; R] {
        let mut fragment = [T::default(); R];
        if R < 4 {
            for (i, number) in fragment.iter_mut().enumerate() {
                *number = from.get(first + Self::place(thread, i) as usize);
            }
        } else {
            for (i, four) in fragment.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&T::four(from, first + Self::place(thread, 4 * i) as usize));
            }
        }
        fragment
    }

    /// sums += the products of the thread's rows and columns at one k.
    #[inline(always)]
    fn add<T: GpuFloat>(sums: &mut [[T; R]; R], shared: &Shared<T>, a: usize, b: usize) {
        let rows = Self::fragment(shared, a, thread_idx_y());
        let columns = Self::fragment(shared, b, thread_idx_x());
        for i in 0..R {
            for j in 0..R {
                sums[i][j] = Real::mul_add(rows[i], columns[j], sums[i][j]);
            }
        }
    }

    /// a · b over all steps: the sums of the last block. Those of each block before it are given to `put`, with whether it is the
    /// first; a block ends with a step that `ends`. `a` and `b` bring a thread's elements of a step, by their shares; of a step they
    /// are multiplied as far as `depth` says, and those beyond may be anything. All threads of the block come here.
    #[inline(always)]
    pub(crate) fn multiply<T: GpuFloat>(
        steps: u32,
        depth: impl Fn(u32) -> u32,
        ends: impl Fn(u32) -> bool,
        mut put: impl FnMut(&[[T; R]; R], bool),
        (a_share, a): (Share, impl Fn(u32) -> [T; P]),
        (b_share, b): (Share, impl Fn(u32) -> [T; P]),
    ) -> Sums<T, R> {
        let mut sums = [[T::default(); R]; R];
        let mut first = true;
        if steps == 0 {
            return Sums { sums, first };
        }
        let shared = Shared::<T>::at(0, 4 * Self::PIECE);
        let (mut a_next, mut b_next) = (a(0), b(0));
        for step in 0..steps {
            let a_piece = (step % 2) as usize * (2 * Self::PIECE);
            let b_piece = a_piece + Self::PIECE;
            for i in 0..P {
                shared.set(a_piece + a_share.k(i) as usize * Self::ROW + a_share.outer(i) as usize, a_next[i]);
                shared.set(b_piece + b_share.k(i) as usize * Self::ROW + b_share.outer(i) as usize, b_next[i]);
            }
            // One barrier a step: who writes these pieces again has passed the next, and so has everybody read them.
            sync_threads();
            if step + 1 < steps {
                (a_next, b_next) = (a(step + 1), b(step + 1));
            }
            let depth = depth(step);
            if depth == Self::DEPTH {
                // A constant, for the compiler to unroll.
                for k in 0..Self::DEPTH as usize {
                    Self::add(&mut sums, &shared, a_piece + k * Self::ROW, b_piece + k * Self::ROW);
                }
            } else {
                for k in 0..depth as usize {
                    Self::add(&mut sums, &shared, a_piece + k * Self::ROW, b_piece + k * Self::ROW);
                }
            }
            if step + 1 < steps && ends(step) {
                put(&sums, first);
                (sums, first) = ([[T::default(); R]; R], false);
            }
        }
        Sums { sums, first }
    }
}
