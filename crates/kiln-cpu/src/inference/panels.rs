//! Panels of output channels, their packed weights, and the micro-kernels that end with an epilogue.

use super::epilogue::Fused;
use super::int8::quantize::{QuantizedTo, Words};
use super::int8::registers::{Integers, Pairs};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::int8::registers::{Quads, has_quads};
use super::slots::Place;
use crate::gemm::row::{RowByPanels, beside, by_panels};
use crate::gemm::tile::{Held, Span, Tile, tile};
use crate::gemm::vector::{Lanes, Sums};
use crate::{Isa, team};
#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::float32x4_t;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512};
use std::ops::Range;

/// The most rows of a tile.
pub(super) const MOST_ROWS: usize = 8;
/// The most floats of a panel.
pub(super) const WIDEST: usize = 64;

/// What is done with a tile's sums before they are stored, at their first column and the float where the first pixel begins.
#[derive(Clone, Copy)]
pub(super) struct Finish {
    pub(super) fused: Fused,
    /// Whether these are the whole sums.
    pub(super) complete: bool,
    pub(super) column: usize,
    pub(super) at: usize,
    /// Where they go as integers, and the first pixel.
    pub(super) quantized: Option<(QuantizedTo, usize)>,
}

impl Finish {
    /// The sums are stored as they are.
    pub(super) const NOTHING: Finish =
        Finish { fused: Fused::NOTHING, complete: false, column: 0, at: 0, quantized: None };
}

/// Sums that become floats when they are complete.
pub(super) trait Completed: Sums<Lane = f32> {
    /// A register of as many floats.
    type Floats: Integers;
    /// What the sums are as floats.
    ///
    /// # Safety
    /// The instruction set of the register is available.
    unsafe fn floats(self) -> Self::Floats;
    /// Floats that are stored as the sums are.
    fn of(floats: Self::Floats) -> Self;
}

impl<V: Integers> Completed for V {
    type Floats = V;
    #[inline(always)]
    unsafe fn floats(self) -> V {
        self
    }
    #[inline(always)]
    fn of(floats: V) -> V {
        floats
    }
}

/// Makes floats of complete sums and applies the steps to them, at a column of pixels as [`Fused::apply`] takes them.
///
/// # Safety
/// The contracts of [`Fused::apply`] and of [`QuantizedTo::store_row`].
#[inline(always)]
unsafe fn complete<V: Completed, const MR: usize, const NV: usize>(
    sums: &mut [[V; NV]; MR],
    finish: &Finish,
    column: usize,
    pitch: usize,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut floats = [[V::Floats::zero(); NV]; MR];
        for (floats, sums) in floats.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
            *floats = sums.floats();
        }
        finish.fused.apply(&mut floats, column, (finish.at, pitch));
        if let Some((quantized, first)) = &finish.quantized {
            for (i, row) in floats.iter().enumerate() {
                quantized.store_row(row, first + i, column);
            }
        }
        for (sums, floats) in sums.as_flattened_mut().iter_mut().zip(floats.as_flattened()) {
            *sums = V::of(*floats);
        }
    }
}

/// A micro-kernel: its contracts are those of [`tile`], for the shape at its place in the table, of [`Fused::apply`], and of
/// [`QuantizedTo::store_row`].
type FinishedFn = unsafe fn(&Tile<'_, f32>, &Finish);

/// One row by several panels. Its contracts are those of [`by_panels`], of [`Fused::apply`], and of [`QuantizedTo::store_row`].
type RowFn = unsafe fn(&RowByPanels<f32>, &Finish);

/// Micro-kernels of one width: `tiles[mr - 1]` computes `mr` rows of `vectors` registers.
pub(super) struct Width {
    vectors: usize,
    tiles: &'static [FinishedFn],
    /// One row by [`Panel::beside`] panels.
    row: RowFn,
}

/// What one instruction set offers.
pub(super) struct Table {
    /// Floats of a register.
    pub(super) lanes: usize,
    /// Widest first; the last is one register.
    widths: &'static [Width],
}

macro_rules! tables {
    ($($(#[$gate:meta])* $name:ident: $vector:ty, $(#[$feature:meta])? { $($vectors:literal: $($rows:literal)*;)* })*) => { $(
        $(#[$gate])*
        mod $name {
            use super::*;

            // Safety: the caller keeps both contracts, and the features are available.
            $(#[$feature])?
            unsafe fn run<const MR: usize, const NV: usize>(t: &Tile<'_, f32>, finish: &Finish) {
                // SAFETY: the caller keeps the contracts; the features are enabled here.
                unsafe {
                    tile::<$vector, MR, NV>(t, |sums| {
                        if finish.complete {
                            complete(sums, finish, finish.column, t.c_row as usize);
                        }
                    });
                }
            }

            // Safety: the caller keeps the contract, and the features are available.
            $(#[$feature])?
            unsafe fn one_row<const NV: usize, const P: usize>(row: &RowByPanels<f32>, finish: &Finish) {
                let width = NV * <$vector as Sums>::LANES;
                // SAFETY: the caller keeps the contracts; the features are enabled here.
                unsafe {
                    by_panels::<$vector, NV, P>(row, |panel, sums| {
                        complete(sums, finish, finish.column + panel * width, 0);
                    });
                }
            }

            pub(super) static TABLE: Table = Table {
                lanes: <$vector as Sums>::LANES,
                widths: &[$(Width {
                    vectors: $vectors,
                    tiles: &[$(run::<$rows, $vectors>),*],
                    row: one_row::<$vectors, { beside($vectors) }>,
                }),*],
            };
        }
    )* };
}

// Accumulators, one panel row and one element of A must fit the registers.
tables! {
    #[cfg(target_arch = "x86_64")]
    avx512: __m512, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")] {
        4: 1 2 3 4 5 6;
        2: 1 2 3 4 5 6 7 8;
        1: 1 2 3 4 5 6 7 8;
    }
    #[cfg(target_arch = "x86_64")]
    avx2: __m256, #[target_feature(enable = "avx2,fma")] {
        2: 1 2 3 4 5 6;
        1: 1 2 3 4 5 6 7 8;
    }
    #[cfg(target_arch = "aarch64")]
    neon: float32x4_t, #[target_feature(enable = "neon")] {
        4: 1 2 3 4 5 6;
        2: 1 2 3 4 5 6 7 8;
        1: 1 2 3 4 5 6 7 8;
    }
    portable: Lanes<f32, 4>, {
        2: 1 2 3 4;
        1: 1 2 3 4;
    }
    #[cfg(target_arch = "x86_64")]
    avx512_pairs: Pairs<__m512>, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")] {
        4: 1 2 3 4 5 6;
        2: 1 2 3 4 5 6 7 8;
        1: 1 2 3 4 5 6 7 8;
    }
    #[cfg(target_arch = "x86_64")]
    avx512_quads: Quads<__m512>, #[target_feature(enable = "avx512vnni,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")] {
        4: 1 2 3 4 5 6;
        2: 1 2 3 4 5 6 7 8;
        1: 1 2 3 4 5 6 7 8;
    }
    #[cfg(target_arch = "x86_64")]
    avx2_pairs: Pairs<__m256>, #[target_feature(enable = "avx2,fma")] {
        2: 1 2 3 4 5 6;
        1: 1 2 3 4 5 6 7 8;
    }
    #[cfg(target_arch = "aarch64")]
    neon_pairs: Pairs<float32x4_t>, #[target_feature(enable = "neon")] {
        4: 1 2 3 4 5 6;
        2: 1 2 3 4 5 6 7 8;
        1: 1 2 3 4 5 6 7 8;
    }
    #[cfg(target_arch = "aarch64")]
    neon_quads: Quads<float32x4_t>, #[target_feature(enable = "neon,dotprod")] {
        4: 1 2 3 4 5 6;
        2: 1 2 3 4 5 6 7 8;
        1: 1 2 3 4 5 6 7 8;
    }
    portable_pairs: Pairs<Lanes<f32, 4>>, {
        2: 1 2 3 4;
        1: 1 2 3 4;
    }
}

impl Table {
    /// The table of an instruction set, or of [`Isa::Portable`] where it is not available.
    pub(super) fn of(isa: Isa) -> &'static Table {
        match if isa.is_available() { isa } else { Isa::Portable } {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &avx512::TABLE,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &avx2::TABLE,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => &neon::TABLE,
            _ => &portable::TABLE,
        }
    }

    /// The same for words of integers, and how these lie in them.
    pub(super) fn of_words(isa: Isa) -> (&'static Table, Words) {
        match if isa.is_available() { isa } else { Isa::Portable } {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if has_quads() => (&avx512_quads::TABLE, Words::Quads),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => (&avx512_pairs::TABLE, Words::Pairs),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => (&avx2_pairs::TABLE, Words::Pairs),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon if has_quads() => (&neon_quads::TABLE, Words::Quads),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => (&neon_pairs::TABLE, Words::Pairs),
            _ => (&portable_pairs::TABLE, Words::Pairs),
        }
    }

    /// The panels of so many output channels, each as wide as it is filled.
    pub(super) fn panels(&'static self, channels: usize) -> Vec<Panel> {
        let (mut panels, mut from) = (Vec::new(), 0);
        while from < channels {
            let left = channels - from;
            let fits = |width: &&Width| width.vectors * self.lanes <= left;
            let Some(width) = self.widths.iter().find(fits).or(self.widths.last()) else { break };
            let count = width.vectors * self.lanes;
            panels.push(Panel {
                first: from,
                columns: count.min(left),
                width: count,
                tiles: width.tiles,
                row: width.row,
                beside: beside(width.vectors),
            });
            from += count;
        }
        panels
    }
}

/// Adjacent output channels that a micro-kernel computes at once.
#[derive(Clone, Copy)]
pub(super) struct Panel {
    pub(super) first: usize,
    /// How many there are.
    pub(super) columns: usize,
    /// How many the micro-kernels compute.
    pub(super) width: usize,
    /// By rows.
    tiles: &'static [FinishedFn],
    row: RowFn,
    beside: usize,
}

impl Panel {
    /// How many panels of this width [`Panel::row`] computes.
    pub(super) fn beside(&self) -> usize {
        self.beside
    }

    /// One row by this panel and those after it, [`Panel::beside`] of the same width.
    ///
    /// # Safety
    /// The contracts of [`by_panels`], of [`Fused::apply`], and of [`QuantizedTo::store_row`].
    pub(super) unsafe fn row(&self, row: &RowByPanels<f32>, finish: &Finish) {
        // SAFETY: as the caller promises; the table is that of an available instruction set.
        unsafe { (self.row)(row, finish) }
    }

    /// The most rows of a tile.
    pub(super) fn rows(&self) -> usize {
        self.tiles.len()
    }

    /// Computes a tile of so many rows.
    ///
    /// # Safety
    /// The contracts of [`tile`], of [`Fused::apply`], and of [`QuantizedTo::store_row`].
    #[inline]
    pub(super) unsafe fn tile(&self, rows: usize, tile: &Tile<'_, f32>, finish: &Finish) {
        // SAFETY: as the caller promises; the table is that of an available instruction set.
        unsafe { self.tiles[rows - 1](tile, finish) }
    }

    /// c (rows × width) = a (rows × k) · b, where b has `k` rows of the panel.
    ///
    /// # Safety
    /// The operands are readable, `a_row` floats from row to row of a; `width` columns of each row of c, `c_row` floats apart, are this
    /// call's alone.
    pub(super) unsafe fn multiply(
        &self,
        (rows, k): (usize, usize),
        (a, a_row): (*const f32, usize),
        b: *const f32,
        (c, c_row): (*mut f32, usize),
    ) {
        let spans = [Span::new(a, b, k)];
        for (row, count) in crate::gemm::equal_parts(rows, self.rows()) {
            let tile = Tile {
                spans: &spans,
                a_offset: (row * a_row) as isize,
                a_row: a_row as isize,
                a_col: 1,
                b_row: self.width as isize,
                c: c.wrapping_add(row * c_row),
                c_row: c_row as isize,
                held: Held::Nothing,
            };
            // SAFETY: as the caller promises.
            unsafe { self.tile(count, &tile, &Finish::NOTHING) };
        }
    }
}

/// The floats that panels of `terms` weights a channel take.
pub(super) fn room(panels: &[Panel], terms: usize) -> usize {
    panels.last().map_or(0, |last| last.first + last.width) * terms
}

/// Packs weights: `weight(channel, row)` gives the weights of an output channel, one for each of the `terms` of its sum. The panel
/// that begins with channel j lies at `j·terms`, the weights of its columns adjacent term by term, zeros where it has fewer.
pub(super) fn pack(
    panels: &[Panel],
    terms: usize,
    to: &mut [f32],
    weight: impl Fn(usize, &mut dyn FnMut(usize, f32)) + Sync,
) {
    let place = Place(to.as_mut_ptr());
    let one = |number: usize| {
        let panel = panels[number];
        // SAFETY: the room of this panel, which no other task has.
        let to = unsafe { std::slice::from_raw_parts_mut(place.at(panel.first * terms), panel.width * terms) };
        if panel.columns < panel.width {
            to.fill(0.0);
        }
        for column in 0..panel.columns {
            weight(panel.first + column, &mut |term, weight| to[term * panel.width + column] = weight);
        }
    };
    assert!(to.len() >= room(panels, terms), "room for fewer weights");
    team::parallel(panels.len(), one);
}

/// Part `number` of `parts` of a range.
pub(super) fn part(of: usize, number: usize, parts: usize) -> Range<usize> {
    number * of / parts..(number + 1) * of / parts
}
