//! Tiles in shared memory, of 16 queries or keys.

use crate::number::GpuFloat;
use cuda_std::*;
use kiln_math::Real;

/// Queries and keys of a tile, and threads along each side of a block.
pub(super) const SIDE: usize = 16;
/// Threads of a block.
pub(super) const THREADS: u32 = (SIDE * SIDE) as u32;
/// A block for each 16 rows of each head, with tiles in shared memory.
#[cfg(not(target_arch = "nvptx64"))]
pub fn geometry(heads: usize, rows: usize, shared_bytes: u32) -> Geometry {
    let blocks = u32::try_from(heads.saturating_mul(rows.div_ceil(SIDE))).unwrap_or(u32::MAX);
    Geometry { grid: [blocks, 1, 1], block: [SIDE as u32, SIDE as u32, 1], shared_bytes }
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
