//! Copies of operands whose last axis does not lie along memory, while another one does: transposes and permutations.
//!
//! Going along the last axis, each element would be in another cache line. So tiles of 16² elements are read along memory into a
//! block on the stack, and written along memory from there.

use crate::check;
use crate::operand::{Output, Strided};
use crate::team;

/// Elements along each side of a tile: a cache line of 4-byte elements.
const TILE: usize = 16;

/// Below this many elements a second thread costs more than it saves.
const PARALLEL: usize = 1 << 16;

/// Where the tiles of a copy lie.
struct Tiles<'a> {
    shape: &'a [usize],
    strides: &'a [isize],
    /// The axis that lies along memory.
    axis: usize,
    /// Elements of the output from one index of that axis to the next.
    step: usize,
}

impl<'a> Tiles<'a> {
    /// The tiles of such a copy; none where the plain way is as good.
    fn of<T: Copy>(x: &Strided<'a, T>) -> Option<Self> {
        let (shape, strides) = (x.shape(), x.strides());
        let last = shape.len().checked_sub(1)?;
        if strides[last] == 1 || shape[last] < TILE {
            return None;
        }
        let axis = (0..last).find(|&axis| strides[axis] == 1 && shape[axis] >= TILE)?;
        Some(Tiles { shape, strides, axis, step: shape[axis + 1..].iter().product() })
    }

    fn along(&self) -> usize {
        self.shape[self.axis].div_ceil(TILE)
    }

    /// Rows of tiles: one for each index of the axes beside the two, and for each tile along the axis.
    fn rows(&self) -> usize {
        let others = |&axis: &usize| axis != self.axis && axis + 1 != self.shape.len();
        self.along() * (0..self.shape.len()).filter(others).map(|axis| self.shape[axis]).product::<usize>()
    }

    /// The first element of a row of tiles, in the operand and in the output, and the first index along the axis.
    fn begin(&self, row: usize) -> (isize, usize, usize) {
        let (mut rest, tile) = (row / self.along(), row % self.along());
        let (mut from, mut to, mut step) = (0, 0, 1);
        for axis in (0..self.shape.len()).rev() {
            if axis != self.axis && axis + 1 != self.shape.len() {
                let index = rest % self.shape[axis];
                rest /= self.shape[axis];
                from += index as isize * self.strides[axis];
                to += index * step;
            }
            step *= self.shape[axis];
        }
        let first = tile * TILE;
        (from + first as isize, to + first * self.step, first)
    }
}

/// out = x, into row-major elements apart from x, where x lies along memory by another axis than its last; else nothing is written and
/// the answer is false.
///
/// # Panics
/// Where `out` has another number of elements than `x`.
pub fn copy<T: Copy + Default + Send + Sync>(out: &mut Output<'_, T>, x: Strided<'_, T>) -> bool {
    check::length("copy", "x", x.elements(), out.len());
    let Some(tiles) = Tiles::of(&x).filter(|_| !out.is_empty()) else { return false };
    let (out, rows) = (&*out, tiles.rows());
    let groups = if out.len() < PARALLEL { 1 } else { (4 * team::threads()).min(rows) };
    let group = |g: usize| {
        for row in g * rows / groups..(g + 1) * rows / groups {
            // SAFETY: a row of tiles lies within the operand and, as both have as many elements, within the output; no other group has it.
            unsafe { copy_row(out.first(), &x, &tiles, row) };
        }
    };
    if groups == 1 {
        group(0);
    } else {
        team::parallel(groups, group);
    }
    true
}

/// Copies a row of tiles.
///
/// # Safety
/// Row `row` of the tiles can be read from x and written at `out`.
unsafe fn copy_row<T: Copy + Default>(out: *mut T, x: &Strided<'_, T>, tiles: &Tiles<'_>, row: usize) {
    let last = tiles.shape.len() - 1;
    let (from, to, first) = tiles.begin(row);
    let (width, stride) = (TILE.min(tiles.shape[tiles.axis] - first), tiles.strides[last]);
    let mut block = [[T::default(); TILE]; TILE];
    for begin in (0..tiles.shape[last]).step_by(TILE) {
        let count = TILE.min(tiles.shape[last] - begin);
        for (j, line) in block.iter_mut().enumerate().take(count) {
            // SAFETY: `width` neighbors along the axis, at an index of the last axis that is there.
            let source = unsafe { x.first_element().offset(from + (begin + j) as isize * stride) };
            // SAFETY: as above; the elements are initialized.
            line[..width].copy_from_slice(unsafe { std::slice::from_raw_parts(source, width) });
        }
        for i in 0..width {
            // SAFETY: `count` elements of the output's row, which nobody else writes.
            let target = unsafe { std::slice::from_raw_parts_mut(out.add(to + i * tiles.step + begin), count) };
            target.iter_mut().zip(&block).for_each(|(to, line)| *to = line[i]);
        }
    }
}
