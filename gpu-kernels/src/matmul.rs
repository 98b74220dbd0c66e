//! The matrix product, by tiles of 16, 64 or 128 rows and columns: the larger, the fewer loads for each multiplication; the smaller,
//! the more blocks. The matrices of a batch are the grid's third axis.
//!
//! The sum of an element is cut into blocks of `K_BLOCK` terms, as on the CPU: the bits are the same with each of them.

use crate::number::GpuFloat;
use crate::tile::{Share, Sums, THREADS, Tile, each};
use cuda_std::*;
use kiln_math::ops::{Relu, Unary};

/// Add the sums to what the output holds.
pub const ACCUMULATE: u32 = 1;
/// Add the bias.
pub const BIAS: u32 = 2;
/// max(x, 0) at last.
pub const RELU: u32 = 4;

/// Elements of each factor that a thread brings in a step: of small tiles 64 along k, as small products wait for memory most of the
/// time.
const BROUGHT: usize = 4;

/// Axes that the matrices of a batch are counted by.
pub const BATCH_AXES: usize = 4;

/// The blocks of `matrices` products of m rows and n columns, with tiles of so many rows and columns for a thread.
#[cfg(not(target_arch = "nvptx64"))]
pub fn geometry(each: usize, [m, n, matrices]: [usize; 3], element_bytes: usize) -> Geometry {
    let [rows, columns] = [m, n].map(|size| size.div_ceil(crate::tile::side(each)));
    // Rows, of which there may be more, go along x.
    crate::tile::geometry(each, BROUGHT, [rows, columns, matrices], element_bytes)
}

parameters! {
    /// A matrix at strides of any sign; 0 repeats.
    pub struct Matrix<T: DeviceCopy> {
        /// All elements of its memory.
        elements: Global<T>,
        /// The first element.
        start: i64,
        /// From one row to the next.
        row: i64,
        /// From one column to the next.
        column: i64,
        /// From one matrix to the next along each axis of the batch.
        batch: [i64; BATCH_AXES],
    }
}

parameters! {
    /// What products write: matrices one after the other, whose columns are neighbors.
    pub struct Product<T: DeviceCopy> {
        /// All elements of their memory.
        elements: GlobalMut<T>,
        /// The first element.
        start: u64,
        /// From one row to the next.
        row: u64,
        /// From one matrix to the next.
        batch: u64,
    }
}

parameters! {
    /// A number for each column, at a stride.
    pub struct Bias<T: DeviceCopy> {
        /// All elements of its memory.
        elements: Global<T>,
        /// The first element.
        start: i64,
        /// From one element to the next.
        step: i64,
    }
}

/// What a thread reads of a factor that lies at strides.
struct StridedFactor<T> {
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

impl<T: GpuFloat> StridedFactor<T> {
    #[inline(always)]
    fn new<const R: usize, const P: usize>(
        _: Tile<R, P>,
        elements: Global<T>,
        start: i64,
        (outer_stride, k_stride): (i64, i64),
        (first, end): (u32, u32),
        k: u32,
    ) -> Self {
        // Neighboring threads read neighbors in memory, whichever way the factor lies.
        let share = if k_stride == 1 { Tile::<R, P>::along_k() } else { Tile::<R, P>::across_k() };
        StridedFactor {
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

/// Where the matrix of this number begins in each factor.
#[inline(always)]
fn starts<T: GpuFloat>(a: &Matrix<T>, b: &Matrix<T>, batch: [u32; BATCH_AXES], matrix: u32) -> (i64, i64) {
    let (mut rest, mut starts) = (matrix, (a.start, b.start));
    // Of the first there is nothing to divide.
    if matrix != 0 {
        for axis in (0..BATCH_AXES).rev() {
            let at = i64::from(rest % batch[axis]);
            rest /= batch[axis];
            starts.0 += at * a.batch[axis];
            starts.1 += at * b.batch[axis];
        }
    }
    starts
}

kernels! {
    /// y (m, n) = epilogue(a (m, k) · b (k, n)) of each matrix of a batch, from number `first` on; `flags` say what the epilogue does.
    #[max_threads = THREADS]
    pub fn matmul<T: GpuFloat, const R: usize>(
        y: Product<T>, a: Matrix<T>, b: Matrix<T>, bias: Bias<T>, batch: [u32; BATCH_AXES],
        first: u32, m: u32, n: u32, k: u32, flags: u32
    ) for [f32: 1 4 8, f64: 1] {
        let first_row = block_idx_x() * Tile::<R, BROUGHT>::SIDE;
        let first_column = block_idx_y() * Tile::<R, BROUGHT>::SIDE;
        let matrix = first + block_idx_z();
        let (a_start, b_start) = starts(&a, &b, batch, matrix);
        let a = StridedFactor::<T>::new(Tile::<R, BROUGHT>, a.elements, a_start, (a.row, a.column), (first_row, m), k);
        let b = StridedFactor::<T>::new(Tile::<R, BROUGHT>, b.elements, b_start, (b.column, b.row), (first_column, n), k);
        let y_start = y.start as usize + matrix as usize * y.batch as usize;
        let place = |row: u32, column: u32| y_start + row as usize * y.row as usize + column as usize;
        let (accumulate, y) = (flags & ACCUMULATE != 0, y.elements);
        let put = |sums: &[[T; R]; R], first: bool| {
            Tile::<R, BROUGHT>::within(sums, [first_row, m], [first_column, n], |row, column, sum| {
                let at = place(row, column);
                y.set(at, if first && !accumulate { sum } else { y.get(at) + sum });
            });
        };
        let Sums { sums, first } = Tile::<R, BROUGHT>::multiply(
            k.div_ceil(Tile::<R, BROUGHT>::DEPTH),
            |step| (k - step * Tile::<R, BROUGHT>::DEPTH).min(Tile::<R, BROUGHT>::DEPTH),
            |step| (step + 1).is_multiple_of(Tile::<R, BROUGHT>::BLOCK),
            put,
            (a.share, |step| a.bring(step * Tile::<R, BROUGHT>::DEPTH)),
            (b.share, |step| b.bring(step * Tile::<R, BROUGHT>::DEPTH)),
        );
        each!(j < R, {
            let column = first_column + Tile::<R, BROUGHT>::column(j);
            // Changes no number, −0 included.
            let mut shift = -T::ZERO;
            if flags & BIAS != 0 && column < n {
                shift = bias.elements.get((bias.start + i64::from(column) * bias.step) as usize);
            }
            each!(i < R, {
                let row = first_row + Tile::<R, BROUGHT>::row(i);
                if row < m && column < n {
                    let at = place(row, column);
                    let sum = if first && !accumulate { sums[i][j] } else { y.get(at) + sums[i][j] };
                    let value = sum + shift;
                    let value = if flags & RELU != 0 { Relu::f(value, [T::ZERO; 2]) } else { value };
                    y.set(at, value);
                }
            });
        });
    }
}
