//! Sorting, order statistics and binary search.

use super::CpuBackend;
use super::calls::OnCpu;
use super::memory::{slice, slice_mut};
use super::scratch::Scratch;
use crate::{DType, KthCall, Order, Ran, Result, SearchCall, Shape, SortCall, unsupported_dtype};
use half::{bf16, f16};
use kiln_cpu::sort::{self, Pair, Side, Sortable};

/// The keys, alone or with positions, that a sort of some rows needs room for.
struct Room<'b>(Scratch<'b>);

impl<'b> Room<'b> {
    /// Room for so many items of type I.
    fn new<I>(cpu: &'b CpuBackend, items: usize) -> Result<Self> {
        Ok(Room(Scratch::new(cpu, Shape::new(&[items.saturating_mul(size_of::<I>())])?, DType::U8)?))
    }

    /// The room as items.
    ///
    /// # Safety
    /// I is an integer or a pair of them, and the room was made for it.
    unsafe fn items<I>(&mut self) -> &mut [I] {
        // SAFETY: this alone owns the memory, which is initialized and aligned to 64 bytes; any bytes are integers.
        unsafe {
            let bytes = slice_mut::<u8>(&self.0.out());
            std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len() / size_of::<I>())
        }
    }
}

impl OnCpu for SortCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let Some(out) = self.values.or(self.positions) else { return Ok(Ran::Done) };
        let shape = self.x.layout.shape();
        let (width, k) = (shape.last().copied().unwrap_or(1), out.shape.last().copied().unwrap_or(1));
        if out.elements() == 0 {
            return Ok(Ran::Done);
        }
        let (rows, descending) = (shape.elements() / width, self.order == Order::Descending);
        any!(self.x.dtype, "sort", T => {
            type Key = <T as Sortable>::Key;
            // SAFETY: operand and outputs are contiguous, of the dtypes dispatched on, and apart: the caller's promise.
            let (x, values, positions) = unsafe {
                (slice::<T>(&self.x), self.values.map(|out| slice_mut::<T>(&out)), self.positions.map(|out| slice_mut::<i64>(&out)))
            };
            match (values, positions) {
                (values, positions) if k < width => sort::top(cpu.isa, values, positions, x, width, k, descending),
                (Some(values), None) => {
                    let mut room = Room::new::<Key>(cpu, sort::room(rows, width))?;
                    // SAFETY: made for keys, which are integers.
                    sort::sort_values(cpu.isa, values, x, width, descending, unsafe { room.items::<Key>() });
                }
                (values, positions) => {
                    let mut room = Room::new::<Pair<Key>>(cpu, sort::room(rows, width))?;
                    // SAFETY: made for pairs of integers.
                    sort::sort(values, positions, x, width, descending, unsafe { room.items::<Pair<Key>>() });
                }
            }
        });
        Ok(Ran::Done)
    }
}

impl OnCpu for KthCall<'_> {
    unsafe fn run(&self, _: &CpuBackend) -> Result<Ran> {
        let width = self.x.layout.shape().last().copied().unwrap_or(1);
        any!(self.x.dtype, "kthvalue", T => {
            // SAFETY: operand and outputs are contiguous, of the dtypes dispatched on, and apart: the caller's promise.
            unsafe { sort::kth::<T>(slice_mut(&self.values), slice_mut(&self.positions), slice(&self.x), width, self.rank) }
        });
        Ok(Ran::Done)
    }
}

impl OnCpu for SearchCall<'_> {
    unsafe fn run(&self, _: &CpuBackend) -> Result<Ran> {
        let width = self.sorted.layout.shape().last().copied().unwrap_or(1);
        let count = self.x.layout.shape().last().copied().unwrap_or(1);
        let side = if self.right { Side::Right } else { Side::Left };
        any!(self.x.dtype, "searchsorted", T => {
            // SAFETY: operands and output are contiguous, of the dtypes dispatched on, and apart: the caller's promise.
            unsafe { sort::search::<T>(slice_mut(&self.out), slice(&self.sorted), width, slice(&self.x), count, side) }
        });
        Ok(Ran::Done)
    }
}
