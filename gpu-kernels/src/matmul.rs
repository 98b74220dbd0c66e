//! The matrix product, by tiles of three sizes: the larger, the fewer loads for each multiplication; the smaller, the more blocks.
//!
//! The sum of an element is cut into blocks of `K_BLOCK` terms, as on the CPU: the bits are the same with each of them.

use crate::tile::{Number, Share, Sums, THREADS, Tile, each};
use cuda_std::*;
use kiln_math::ops::{Relu, Unary};

/// Add the sums to what the output holds.
pub const ACCUMULATE: u32 = 1;
/// Add the bias.
pub const BIAS: u32 = 2;
/// max(x, 0) at last.
pub const RELU: u32 = 4;

/// Of 16 × 16; factors are read 64 long, as small products wait for memory most of the time.
type Small = Tile<1, 4>;
/// Of 64 × 64.
type Medium = Tile<4, 4>;
/// Of 128 × 128.
type Large = Tile<8, 4>;

/// A size of tiles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg(not(target_arch = "nvptx64"))]
pub enum Size {
    /// 16 × 16.
    Small,
    /// 64 × 64.
    Medium,
    /// 128 × 128.
    Large,
}

#[cfg(not(target_arch = "nvptx64"))]
impl Size {
    /// The largest with enough blocks to keep a card busy.
    pub fn of(m: usize, n: usize) -> Size {
        let blocks = |side: u32| m.div_ceil(side as usize).saturating_mul(n.div_ceil(side as usize));
        match (blocks(Large::SIDE), blocks(Medium::SIDE)) {
            (96.., _) => Size::Large,
            (_, 64..) => Size::Medium,
            _ => Size::Small,
        }
    }

    /// The blocks of a product of m rows and n columns.
    pub fn geometry(self, m: usize, n: usize, element_bytes: usize) -> Geometry {
        let (side, shared_bytes) = match self {
            Size::Small => (Small::SIDE, Small::shared_bytes(element_bytes)),
            Size::Medium => (Medium::SIDE, Medium::shared_bytes(element_bytes)),
            Size::Large => (Large::SIDE, Large::shared_bytes(element_bytes)),
        };
        let blocks = |size: usize| u32::try_from(size.div_ceil(side as usize)).unwrap_or(u32::MAX);
        // Rows, of which there may be more, go along x.
        Geometry { grid: [blocks(m), blocks(n), 1], block: crate::tile::BLOCK, shared_bytes }
    }
}

/// What a thread reads of a factor that lies at strides.
struct Factor<T> {
    elements: Global<T>,
    share: Share,
    /// Where the thread's first element lies, and how far the next ones are: within a step, and from step to step.
    first: i64,
    next: i64,
    k_stride: i64,
    /// Rows or columns that there are from the tile's first on.
    outers: u32,
    k: u32,
}

impl<T: Number> Factor<T> {
    #[inline(always)]
    fn new<const R: usize, const P: usize>(
        _: Tile<R, P>,
        elements: Global<T>,
        start: i64,
        (outer_stride, k_stride): (i64, i64),
        (first, end): (u32, u32),
        k: u32,
    ) -> Self {
        // Neighbouring threads read neighbours in memory, whichever way the factor lies.
        let share = if k_stride == 1 { Tile::<R, P>::along_k() } else { Tile::<R, P>::across_k() };
        Factor {
            elements,
            share,
            first: start + i64::from(first + share.outer(0)) * outer_stride + i64::from(share.k(0)) * k_stride,
            next: share.distance(outer_stride, k_stride),
            k_stride,
            outers: end.saturating_sub(first),
            k,
        }
    }

    /// The elements of the step that begins at `done`; 0 beyond the edges, where none is used.
    #[inline(always)]
    fn bring<const P: usize>(&self, done: u32) -> [T; P] {
        let mut at = self.first + i64::from(done) * self.k_stride;
        core::array::from_fn(|i| {
            let inside = self.share.outer(i) < self.outers && done + self.share.k(i) < self.k;
            let element = if inside { self.elements.get(at as usize) } else { T::default() };
            at += self.next;
            element
        })
    }
}

macro_rules! products {
    ($($T:ident $Tile:ident $name:ident;)+) => { $(
        kernel! {
            /// y (m, n) = epilogue(a (m, k) · b (k, n)): y from `y_start` on, rows `y_row` apart; a and b at strides (of any sign; 0
            /// repeats) from their starts; the bias (n,) at a stride; `flags` say what else is done.
            #[name = stringify!($name)]
            #[max_threads = THREADS]
            pub fn $name(
                y: GlobalMut<$T>, y_start: u64, y_row: u32,
                a: Global<$T>, a_start: i64, a_row: i64, a_col: i64,
                b: Global<$T>, b_start: i64, b_row: i64, b_col: i64,
                bias: Global<$T>, bias_start: i64, bias_step: i64,
                m: u32, n: u32, k: u32, flags: u32
            ) {
                let first_row = block_idx_x() * $Tile::SIDE;
                let first_column = block_idx_y() * $Tile::SIDE;
                let a = Factor::new($Tile::default(), a, a_start, (a_row, a_col), (first_row, m), k);
                let b = Factor::new($Tile::default(), b, b_start, (b_col, b_row), (first_column, n), k);
                let place = |row: u32, column: u32| y_start as usize + row as usize * y_row as usize + column as usize;
                let accumulate = flags & ACCUMULATE != 0;
                let put = |sums: &[[$T; $Tile::EACH]; $Tile::EACH], first: bool| {
                    each!(i < $Tile::EACH, {
                        each!(j < $Tile::EACH, {
                            let (row, column) = (first_row + $Tile::row(i), first_column + $Tile::column(j));
                            if row < m && column < n {
                                let at = place(row, column);
                                y.set(at, if first && !accumulate { sums[i][j] } else { y.get(at) + sums[i][j] });
                            }
                        });
                    });
                };
                let Sums { sums, first } = $Tile::multiply(
                    k.div_ceil($Tile::DEPTH),
                    |step| (k - step * $Tile::DEPTH).min($Tile::DEPTH),
                    |step| (step + 1) % $Tile::BLOCK == 0,
                    put,
                    (a.share, |step| a.bring(step * $Tile::DEPTH)),
                    (b.share, |step| b.bring(step * $Tile::DEPTH)),
                );
                each!(j < $Tile::EACH, {
                    let column = first_column + $Tile::column(j);
                    // Changes no number, −0 included.
                    let mut shift = -0.0;
                    if flags & BIAS != 0 && column < n {
                        shift = bias.get((bias_start + i64::from(column) * bias_step) as usize);
                    }
                    each!(i < $Tile::EACH, {
                        let row = first_row + $Tile::row(i);
                        if row < m && column < n {
                            let at = place(row, column);
                            let sum = if first && !accumulate { sums[i][j] } else { y.get(at) + sums[i][j] };
                            let value = sum + shift;
                            let value = if flags & RELU != 0 { Relu::f(value, [0.0; 2]) } else { value };
                            y.set(at, value);
                        }
                    });
                });
            }
        }
    )+ };
}
products! {
    f32 Small matmul_f32;
    f32 Medium matmul_64_f32;
    f32 Large matmul_128_f32;
    f64 Small matmul_f64;
}
