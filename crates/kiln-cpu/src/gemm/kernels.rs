//! The compiled kernels of each instruction set, as tables of function pointers.

use super::operands::{Form, Operands};
use super::row::{RowByColumns, RowByPanels, RowProduct};
use super::tile::{Tile, tile};
use super::{pack, pairs, row};
use crate::isa::Isa;

/// A micro-kernel. Its contract is that of [`tile`], for the shape at its place in the table.
pub(crate) type TileFn<T> = unsafe fn(&Tile<'_, T>);

/// Micro-kernels of one width: `tiles[mr - 1]` computes `mr` rows of `vectors` registers.
pub(crate) struct Width<T: 'static> {
    pub(crate) vectors: usize,
    pub(crate) tiles: &'static [TileFn<T>],
    /// One row of A by several packed panels; see [`row::by_panels`].
    pub(crate) row: unsafe fn(&RowByPanels<T>),
}

/// What one instruction set offers for one number type.
pub(crate) struct Kernels<T: 'static> {
    /// Numbers in a register.
    pub(crate) lanes: usize,
    /// The widths that a panel of B can have, widest first; the last is one register.
    pub(crate) widths: &'static [Width<T>],
    /// Packs rows of B whose columns are adjacent; see [`pack::rows`].
    pub(crate) pack_rows: unsafe fn(*const T, isize, usize, usize, usize, *mut T, usize),
    /// Packs columns of A whose rows are adjacent; see [`pack::slivers`].
    pub(crate) pack_slivers: unsafe fn(*const T, isize, usize, usize, usize, *mut T, usize),
    /// Transposes a block: columns of B into a panel, or a tile into C; see [`pack::columns`].
    pub(crate) transpose: unsafe fn(*const T, isize, usize, (usize, usize), *mut T, isize),
    /// One row of A by rows of B; see [`row::row`].
    pub(crate) row: unsafe fn(&RowProduct<T>),
    /// One row of A by columns of B; see [`row::by_columns`].
    pub(crate) row_by_columns: unsafe fn(&RowByColumns<T>),
    /// `row += bias` or `row += constant`, then max(row, 0): see [`super::epilogue`].
    pub(crate) add_row: unsafe fn(&mut [T], &[T]),
    pub(crate) add_scalar: unsafe fn(&mut [T], T),
    pub(crate) relu: unsafe fn(&mut [T]),
}

impl<T> Kernels<T> {
    /// The widest panel, in numbers.
    pub(crate) fn panel(&self) -> usize {
        self.widths.first().map_or(1, |w| w.vectors) * self.lanes
    }

    /// The most rows that a tile of the widest panel has.
    pub(crate) fn rows(&self) -> usize {
        self.widths.first().map_or(1, |w| w.tiles.len())
    }

    /// The kernels for the next panel where `left` columns remain: the widest that is filled, or one register.
    pub(crate) fn width(&self, left: usize) -> &Width<T> {
        let last = self.widths.len() - 1;
        self.widths[..last].iter().find(|w| w.vectors * self.lanes <= left).unwrap_or(&self.widths[last])
    }
}

/// The widest panel of any table, in bytes.
pub(crate) const MAX_WIDTH_BYTES: usize = 256;

macro_rules! kernels {
    ($($(#[$gate:meta])* $name:ident: $number:ty, $sums:ty, $vector:ty, $(#[$feature:meta])? {
        $($vectors:literal: $($rows:literal)*;)*
    } transpose $transpose:path, $block:path;)*) => { $(
        $(#[$gate])*
        mod $name {
            use super::*;

            // Safety of each function here: its features are available, and the contract of what it calls is kept; those
            // that take slices ask for nothing else.
            $(#[$feature])?
            unsafe fn run<const MR: usize, const NV: usize>(t: &Tile<'_, $number>) {
                // SAFETY: the caller keeps the contract of `tile`; the features are enabled here.
                unsafe { tile::<$sums, MR, NV>(t, |_| {}) }
            }

            $(#[$feature])?
            unsafe fn pack_rows(
                src: *const $number, stride: isize, k: usize, width: usize, panel: usize, dst: *mut $number, step: usize,
            ) {
                // SAFETY: the caller keeps the contract of `pack::rows`; the features are enabled here.
                unsafe { pack::rows::<$vector>(src, stride, k, width, panel, dst, step) }
            }

            $(#[$feature])?
            unsafe fn pack_slivers(
                src: *const $number, stride: isize, k: usize, rows: usize, sliver: usize, dst: *mut $number, step: usize,
            ) {
                // SAFETY: the caller keeps the contract of `pack::slivers`; the features are enabled here.
                unsafe { pack::slivers(src, stride, k, rows, sliver, dst, step) }
            }

            $(#[$feature])?
            unsafe fn transpose(
                src: *const $number, stride: isize, k: usize, widths: (usize, usize), dst: *mut $number, dst_stride: isize,
            ) {
                // SAFETY: the caller keeps the contract of `pack::columns`; the features are enabled here.
                unsafe { pack::columns(src, stride, k, widths, dst, dst_stride, |s, ls, d, ld| $transpose(s, ls, d, ld)) }
            }

            $(#[$feature])?
            unsafe fn row_by_panels<const NV: usize, const P: usize>(product: &RowByPanels<$number>) {
                // SAFETY: the caller keeps the contract of `row::by_panels`; the features are enabled here.
                unsafe { row::by_panels::<$sums, NV, P>(product, |_, _| {}) }
            }

            $(#[$feature])?
            unsafe fn row(product: &RowProduct<$number>) {
                // SAFETY: the caller keeps the contract of `row::row`; the features are enabled here.
                unsafe { row::row::<$sums>(product) }
            }

            $(#[$feature])?
            unsafe fn row_by_columns(product: &RowByColumns<$number>) {
                // SAFETY: the caller keeps the contract of `row::by_columns`; the features are enabled here.
                unsafe { row::by_columns::<$sums>(product, |p, stride| $block(p, stride)) }
            }

            $(#[$feature])?
            unsafe fn add_row(row: &mut [$number], bias: &[$number]) {
                for (x, b) in row.iter_mut().zip(bias) {
                    *x += b;
                }
            }

            $(#[$feature])?
            unsafe fn add_scalar(row: &mut [$number], bias: $number) {
                for x in row {
                    *x += bias;
                }
            }

            $(#[$feature])?
            unsafe fn relu(row: &mut [$number]) {
                for x in row {
                    // As `Real::maximum` with 0: NaN stays NaN, -0 becomes 0.
                    *x = if *x > 0.0 || x.is_nan() { *x } else { 0.0 };
                }
            }

            pub(crate) static KERNELS: Kernels<$number> = Kernels {
                lanes: <$sums as super::super::vector::Sums>::LANES,
                widths: &[$(Width {
                    vectors: $vectors,
                    tiles: &[$(run::<$rows, $vectors>),*],
                    row: row_by_panels::<$vectors, { row::beside($vectors) }>,
                }),*],
                pack_rows,
                pack_slivers,
                transpose,
                row,
                row_by_columns,
                add_row,
                add_scalar,
                relu,
            };
        }
    )* };
}

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::{float32x4_t, float64x2_t};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};

use super::vector::Lanes;

// Accumulators, one panel row and one element of A must fit the registers: 32 of them, or 16 with AVX2 and SSE2.
kernels! {
    #[cfg(target_arch = "x86_64")]
    avx512_f32: f32, __m512, __m512, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")] {
        4: 1 2 3 4 5 6;
        2: 1 2 3 4 5 6 7 8;
        1: 1 2 3 4 5 6 7 8;
    } transpose pack::transpose_f32_avx2, row::block_of_16;
    #[cfg(target_arch = "x86_64")]
    avx512_pairs: f32, super::super::vector::Pairs, __m512,
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")] {
        4: 1 2 3 4 5 6;
        2: 1 2 3 4 5 6 7 8;
        1: 1 2 3 4 5 6 7 8;
    } transpose pack::transpose_f32_avx2, row::block_of_pairs;
    #[cfg(target_arch = "x86_64")]
    avx512_f64: f64, __m512d, __m512d, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")] {
        4: 1 2 3 4 5 6;
        2: 1 2 3 4 5 6 7 8;
        1: 1 2 3 4 5 6 7 8;
    } transpose pack::transpose_scalar, row::block_of_any;
    #[cfg(target_arch = "x86_64")]
    avx2_f32: f32, __m256, __m256, #[target_feature(enable = "avx2,fma")] {
        2: 1 2 3 4 5 6;
        1: 1 2 3 4 5 6 7 8;
    } transpose pack::transpose_f32_avx2, row::block_of_8;
    #[cfg(target_arch = "x86_64")]
    avx2_f64: f64, __m256d, __m256d, #[target_feature(enable = "avx2,fma")] {
        2: 1 2 3 4 5 6;
        1: 1 2 3 4 5 6 7 8;
    } transpose pack::transpose_scalar, row::block_of_any;
    #[cfg(target_arch = "aarch64")]
    neon_f32: f32, float32x4_t, float32x4_t, #[target_feature(enable = "neon")] {
        4: 1 2 3 4 5 6;
        2: 1 2 3 4 5 6 7 8;
        1: 1 2 3 4 5 6 7 8;
    } transpose pack::transpose_scalar, row::block_of_any;
    #[cfg(target_arch = "aarch64")]
    neon_f64: f64, float64x2_t, float64x2_t, #[target_feature(enable = "neon")] {
        4: 1 2 3 4 5 6;
        2: 1 2 3 4 5 6 7 8;
        1: 1 2 3 4 5 6 7 8;
    } transpose pack::transpose_scalar, row::block_of_any;
    portable_f32: f32, Lanes<f32, 4>, Lanes<f32, 4>, {
        2: 1 2 3 4;
        1: 1 2 3 4;
    } transpose pack::transpose_scalar, row::block_of_any;
    portable_f64: f64, Lanes<f64, 2>, Lanes<f64, 2>, {
        2: 1 2 3 4;
        1: 1 2 3 4;
    } transpose pack::transpose_scalar, row::block_of_any;
}

/// Products of bf16 by the processor's dot products, where it has them.
pub(crate) fn bf16_operands(isa: Isa) -> Option<Operands<f32>> {
    #[cfg(target_arch = "x86_64")]
    if pairs::has_bf16_dots(isa) {
        /// # Safety
        /// As [`pairs::rows`]; AVX-512 is available.
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2")]
        unsafe fn pack_rows(
            src: *const u16,
            stride: isize,
            k: usize,
            width: usize,
            panel: usize,
            dst: *mut f32,
            step: usize,
        ) {
            // SAFETY: the caller keeps the contract of `pairs::rows`.
            unsafe { pairs::rows::<16>(src, stride, k, width, panel, dst, step) }
        }
        return Some(Operands { kernels: &avx512_pairs::KERNELS, form: Form::Pairs(pack_rows) });
    }
    let _ = isa;
    None
}

/// A number that products are accumulated in.
pub trait GemmFloat:
    super::MatrixElement<Accumulator = Self> + Copy + Default + Send + Sync + std::ops::Add<Output = Self> + 'static
{
    #[doc(hidden)]
    fn kernels(isa: Isa) -> KernelsOf<Self>;
}

/// A table of kernels: opaque outside this module.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct KernelsOf<T: 'static>(pub(crate) &'static Kernels<T>);

macro_rules! number {
    ($($number:ty: $avx512:ident $avx2:ident $neon:ident $portable:ident;)*) => { $(
        impl GemmFloat for $number {
            fn kernels(isa: Isa) -> KernelsOf<Self> {
                // The tables' functions need their instruction set: only one that is available is handed out.
                let isa = if isa.is_available() { isa } else { Isa::Portable };
                KernelsOf(match isa {
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx512 => &$avx512::KERNELS,
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 => &$avx2::KERNELS,
                    #[cfg(target_arch = "aarch64")]
                    Isa::Neon => &$neon::KERNELS,
                    _ => &$portable::KERNELS,
                })
            }
        }
    )* };
}

number! {
    f32: avx512_f32 avx2_f32 neon_f32 portable_f32;
    f64: avx512_f64 avx2_f64 neon_f64 portable_f64;
}
