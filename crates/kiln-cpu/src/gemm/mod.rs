//! The matrix product: `C = activation([C +] Σₛ Aₛ·Bₛ + bias)`.
//!
//! The sum of an element of C is cut into blocks of [`K_BLOCK`] terms, in the order of k and of the segments. Each block is a
//! chain of fused multiply-adds that starts from 0; the blocks' results are added in order, to what C held where that is asked
//! for. Bias and activation come last. So the bits of an `f32` product do not depend on the plan, packing, instruction set
//! (with FMA) or the number of threads, and its error does not grow with k as that of one chain does.
//!
//! [`K_BLOCK`]: kiln_math::K_BLOCK

mod drive;
mod element;
mod epilogue;
pub(crate) mod kernels;
mod matrix;
mod operands;
mod output;
mod pack;
mod packed;
pub(crate) mod pairs;
mod plan;
pub(crate) mod row;
pub(crate) mod scratch;
mod sum;
pub(crate) mod tile;
pub(crate) mod vector;

pub(crate) use drive::gemm as gemm_by;
pub use element::MatrixElement;
pub use epilogue::{Bias, GemmActivation, GemmEpilogue};
pub use kernels::GemmFloat;
pub use matrix::{Matrix, MatrixMut, ShapeError, matmul};
pub use operands::Operands;
pub(crate) use output::equal_parts;
pub(crate) use packed::{LeftFactor, Packed, StridedLeft, Target};
pub use pairs::{bf16_dots, has_bf16_dots, use_bf16_dots};
pub(crate) use plan::worth_a_region;

use crate::isa::Isa;
use crate::team;

/// A term of a product: `k` columns of A times `k` rows of B, by the addresses of their elements (0, 0).
#[derive(Clone, Copy, Debug)]
pub struct Segment<T> {
    /// A's element (0, 0).
    pub a: *const T,
    /// B's element (0, 0).
    pub b: *const T,
    /// The columns of A, and rows of B, in this term.
    pub k: usize,
}

/// A product: `C (rows × cols) = activation([C +] Σₛ Aₛ (rows × kₛ) · Bₛ (kₛ × cols) + bias)`.
///
/// Strides are (from row to row, from column to column), in elements, of any sign; 0 repeats a row or column of A or B.
/// The segments share them. A single segment is the plain product; several are what a convolution sums over the taps
/// of its window.
pub struct Product<'a, T, U: MatrixElement> {
    /// Rows of A and C.
    pub rows: usize,
    /// Columns of B and C.
    pub cols: usize,
    /// The terms of the sum, in order.
    pub segments: &'a [Segment<T>],
    /// Strides of each A.
    pub a_strides: (isize, isize),
    /// Strides of each B.
    pub b_strides: (isize, isize),
    /// C's element (0, 0).
    pub c: *mut U,
    /// Strides of C.
    pub c_strides: (isize, isize),
    /// What becomes of the sum.
    pub epilogue: GemmEpilogue<'a, U::Accumulator>,
}

impl<T, U: MatrixElement> Clone for Product<'_, T, U> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, U: MatrixElement> Copy for Product<'_, T, U> {}

// SAFETY: these only describe a product; whoever computes it, on whichever thread, vouches for the addresses there.
unsafe impl<T> Send for Segment<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Segment<T> {}
// SAFETY: as above; what an epilogue borrows is Sync.
unsafe impl<T, U: MatrixElement> Send for Product<'_, T, U> {}
// SAFETY: as above.
unsafe impl<T, U: MatrixElement> Sync for Product<'_, T, U> {}

/// Computes a product, in parallel where it is large enough and the caller is not in a region already.
///
/// # Safety
/// For every segment, all elements of A and B that the sizes and strides reach are readable and not written meanwhile;
/// the elements of C are readable and writable by this call alone, distinct for distinct (i, j), and not among A's or
/// B's. A row bias has `cols` numbers, a column bias `rows` (this is checked: a bias too short panics).
pub unsafe fn gemm<T: MatrixElement, U: MatrixElement<Accumulator = T::Accumulator>>(
    isa: Isa,
    product: &Product<'_, T, U>,
) {
    // SAFETY: as the caller promises; the table handed out is that of an available instruction set.
    unsafe { drive::gemm(T::operands(isa), product) }
}

/// Computes `count` products of one form, the `i`-th displaced by `displace(i)` = elements to add to the addresses of
/// (A, B, C). Batches larger than the team are dealt out over the threads; in smaller ones each product is parallel.
///
/// # Safety
/// As [`gemm`], for each displaced product; and no product reads or writes what another writes.
pub unsafe fn gemm_batched<T: MatrixElement, U: MatrixElement<Accumulator = T::Accumulator>>(
    isa: Isa,
    count: usize,
    product: &Product<'_, T, U>,
    displace: impl Fn(usize) -> (isize, isize, isize) + Sync,
) {
    // SAFETY: as the caller promises; the table handed out is that of an available instruction set.
    unsafe { gemm_batched_by(T::operands(isa), count, product, displace) }
}

/// [`gemm_batched`] by given kernels.
///
/// # Safety
/// As there; the kernels' instruction set is available.
pub(crate) unsafe fn gemm_batched_by<T: MatrixElement, U: MatrixElement<Accumulator = T::Accumulator>>(
    operands: Operands<T::Accumulator>,
    count: usize,
    product: &Product<'_, T, U>,
    displace: impl Fn(usize) -> (isize, isize, isize) + Sync,
) {
    let one = |i: usize| {
        let (a, b, c) = displace(i);
        let moved = |s: &Segment<T>| Segment { a: s.a.wrapping_offset(a), b: s.b.wrapping_offset(b), k: s.k };
        let c = product.c.wrapping_offset(c);
        let (one, several): ([Segment<T>; 1], Vec<Segment<T>>);
        let segments: &[Segment<T>] = match product.segments {
            [only] => {
                one = [moved(only)];
                &one
            }
            list => {
                several = list.iter().map(moved).collect();
                &several
            }
        };
        // SAFETY: as the caller promises.
        unsafe { drive::gemm(operands, &Product { segments, c, ..*product }) };
    };
    let k: usize = product.segments.iter().map(|s| s.k).sum();
    let threads = team::threads();
    if threads > 1
        && count >= threads
        && plan::worth_a_region(count.saturating_mul(product.rows * product.cols).saturating_mul(k))
    {
        let tasks = count.min(threads * 4);
        team::parallel(tasks, |t| (t * count / tasks..(t + 1) * count / tasks).for_each(one));
    } else {
        (0..count).for_each(one);
    }
}
