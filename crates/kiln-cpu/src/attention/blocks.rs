//! Operands as the products take them: rows as f32, keys and values in panels.

use super::form::{Form, Mask, Operand, Operands};
use super::lanes::ScaleRows;
use super::sequence::{Padding, Sequence};
use crate::Isa;
use crate::gemm::scratch::ScratchBuffer;
use crate::gemm::{Packed, StridedLeft};
use crate::operand::Stored;
use std::ops::Range;

/// Rows of f32, adjacent numbers in each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) first: *const f32,
    /// From a row to the next.
    pub(super) stride: isize,
}

impl Block {
    /// The rows of an operand from `index` on, which must be f32.
    fn lent<T>(operand: &Operand<T>, index: [usize; 3]) -> Self {
        Block { first: operand.row(index).cast(), stride: operand.strides[2] }
    }

    /// Rows of an operand from `index` on: where they lie, or converted to `room`.
    ///
    /// # Safety
    /// The rows can be read.
    pub(super) unsafe fn of<T: Stored<Compute = f32>>(
        operand: &Operand<T>,
        index: [usize; 3],
        (rows, width): (usize, usize),
        room: &mut ScratchBuffer,
    ) -> Self {
        if T::IN_PLACE {
            return Self::lent(operand, index);
        }
        let to: *mut f32 = room.room(rows * width);
        for row in 0..rows {
            // SAFETY: the caller's promise; the room is large enough.
            unsafe {
                let from = operand.first_of(index, row);
                T::load_all(
                    std::slice::from_raw_parts(from, width),
                    std::slice::from_raw_parts_mut(to.add(row * width), width),
                );
            }
        }
        Block { first: to, stride: width as isize }
    }

    /// A row.
    ///
    /// # Safety
    /// It is there, and nobody writes it.
    pub(super) unsafe fn row<'a>(&self, row: usize, width: usize) -> &'a [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(self.first.offset(row as isize * self.stride), width) }
    }

    /// The rows from `row` on as the left side of a product.
    pub(super) fn left(&self, row: usize) -> StridedLeft<f32> {
        StridedLeft { a: self.first.wrapping_offset(row as isize * self.stride), row: self.stride, column: 1 }
    }
}

/// Keys or values of one head of a sequence.
pub(super) struct Source<'a, T> {
    pub(super) operand: &'a Operand<T>,
    pub(super) batch: usize,
    pub(super) head: usize,
    /// The first of the sequence.
    pub(super) first: usize,
    pub(super) width: usize,
    /// What the numbers are multiplied by.
    pub(super) scale: f32,
    /// Rows that are hidden from all queries are 0: they may hold anything.
    pub(super) padding: Option<Padding>,
}

impl<'a, T: Stored<Compute = f32>> Source<'a, T> {
    /// Keys, multiplied by the scale, and values of a sequence.
    pub(super) fn both(
        form: &Form<'_>,
        operands: &'a Operands<T>,
        sequence: &Sequence,
        (batch, head): (usize, usize),
    ) -> [Self; 2] {
        let group = form.group();
        let by_head = match operands.mask {
            Mask::None => false,
            Mask::Seen(_, strides) | Mask::Added(_, strides) => strides[1] != 0,
        };
        // Heads of a group that differ in what they hide share their keys.
        let padding = if by_head && group > 1 { None } else { Padding::of(operands.mask, batch, head * group) };
        let first = sequence.keys.start;
        let source = |operand, width, scale| Source { operand, batch, head, first, width, scale, padding };
        [source(&operands.key, form.width, form.scale), source(&operands.value, form.value_width, 1.0)]
    }

    /// Rows `rows` of the sequence as f32: where they lie, if nothing has to be done to them, or in `room`.
    ///
    /// # Safety
    /// The rows and the mask can be read.
    pub(super) unsafe fn load(&self, isa: Isa, rows: &Range<usize>, room: &mut ScratchBuffer) -> Block {
        let index = [self.batch, self.head, self.first + rows.start];
        if T::IN_PLACE && self.scale == 1.0 && self.padding.is_none() {
            return Block::lent(self.operand, index);
        }
        let to: *mut f32 = room.room(rows.len() * self.width);
        for row in 0..rows.len() {
            // SAFETY: the caller's promise; the room is large enough.
            unsafe {
                let to = std::slice::from_raw_parts_mut(to.add(row * self.width), self.width);
                if self.padding.is_some_and(|padding| padding.hides(index[2] + row)) {
                    to.fill(0.0);
                    continue;
                }
                T::load_all(std::slice::from_raw_parts(self.operand.first_of(index, row), self.width), to);
            }
        }
        if self.scale != 1.0 {
            // SAFETY: all of it was written.
            let all = unsafe { std::slice::from_raw_parts_mut(to, rows.len() * self.width) };
            isa.run(ScaleRows { width: all.len().max(1), rows: all, factors: &[self.scale] });
        }
        Block { first: to, stride: self.width as isize }
    }
}

impl<T> Operand<T> {
    /// Where row `row` after `index` begins.
    fn first_of(&self, [batch, head, first]: [usize; 3], row: usize) -> *const T {
        self.row([batch, head, first + row])
    }
}

/// Packs rows of a block as they are: they are what a product sums over.
///
/// # Safety
/// The rows can be read, `room` has room for [`Packed::elements`] of them, and nobody else uses it.
pub(super) unsafe fn pack_rows<'a>(
    isa: Isa,
    block: Block,
    (rows, width): (usize, usize),
    room: *mut f32,
) -> Packed<'a, f32> {
    let packed = Packed::at(isa, room, rows, width);
    // SAFETY: the caller's promise.
    unsafe { packed.pack(0..width, block.first, (block.stride, 1)) };
    packed
}

/// Packs rows of a block as the columns of a product.
///
/// # Safety
/// As [`pack_rows`].
pub(super) unsafe fn pack_columns<'a>(
    isa: Isa,
    block: Block,
    (rows, width): (usize, usize),
    room: *mut f32,
) -> Packed<'a, f32> {
    let packed = Packed::at(isa, room, width, rows);
    // SAFETY: the caller's promise.
    unsafe { packed.pack(0..rows, block.first, (1, block.stride)) };
    packed
}
