//! The sums that become gradients.

use super::{Backward, KEYS, QUERIES};
use crate::Isa;
use crate::attention::form::Form;
use crate::attention::scratch::Head;
use crate::attention::sequence::Sequence;
use crate::attention::share::Part;
use crate::gemm::Packed;
use crate::operand::Stored;
use std::ops::Range;

/// The sums of the gradients of a part, and what is known of each of its queries.
pub(super) struct Sums {
    pub(super) part: Part,
    pub(super) sequence: Sequence,
    /// Blocks of queries of a head, and of keys.
    pub(super) query_blocks: usize,
    pub(super) key_blocks: usize,
    /// From a row of the sums to the next.
    pub(super) row: usize,
    pub(super) value_row: usize,
    /// The heads' queries, one head after the other.
    pub(super) query: *mut f32,
    pub(super) key: *mut f32,
    pub(super) value: *mut f32,
    pub(super) lse: *mut f32,
    pub(super) delta: *mut f32,
}

// SAFETY: addresses; tasks that run at the same time write other blocks.
unsafe impl Sync for Sums {}

impl Sums {
    pub(super) fn new(isa: Isa, form: &Form<'_>, part: Part, head: &mut Head) -> Self {
        let sequence = Sequence::new(form, part.sequence);
        let queries = form.group() * sequence.queries.len();
        let [row, value_row] = [form.width, form.value_width].map(|width| Packed::<f32>::elements(isa, 1, width));
        Sums {
            query_blocks: sequence.queries.len().div_ceil(QUERIES),
            key_blocks: sequence.keys.len().div_ceil(KEYS),
            row,
            value_row,
            query: head.query_grad.filled(queries * row, 0.0).as_mut_ptr(),
            key: head.key_grad.filled(sequence.keys.len() * row, 0.0).as_mut_ptr(),
            value: head.value_grad.filled(sequence.keys.len() * value_row, 0.0).as_mut_ptr(),
            lse: head.lse.room(queries),
            delta: head.delta.room(queries),
            part,
            sequence,
        }
    }

    /// The query head, and the queries, of block `x` of all.
    pub(super) fn queries(&self, form: &Form<'_>, x: usize) -> (usize, Range<usize>) {
        let (head, block) = (x / self.query_blocks, x % self.query_blocks);
        let end = self.sequence.queries.len().min((block + 1) * QUERIES);
        (self.part.key_head * form.group() + head, block * QUERIES..end)
    }

    pub(super) fn keys(&self, n: usize) -> Range<usize> {
        n * KEYS..self.sequence.keys.len().min((n + 1) * KEYS)
    }

    /// The place of a query of block `x` among the heads' queries.
    pub(super) fn place(&self, x: usize, query: usize) -> usize {
        x / self.query_blocks * self.sequence.queries.len() + query
    }
}

impl<T: Stored<Compute = f32>> Backward<'_, T> {
    /// Writes the sums: the first `blocks` of queries, then those of keys.
    ///
    /// # Safety
    /// As [`Backward::part`]; nobody else has this block.
    pub(super) unsafe fn store(&self, sums: &Sums, i: usize, blocks: usize) {
        let (form, gradients, part) = (self.form, self.gradients, &sums.part);
        // SAFETY: the caller's promise.
        unsafe {
            if i < blocks {
                let (head, queries) = sums.queries(form, i);
                for query in queries {
                    let row = [part.batch, head, sums.sequence.queries.start + query];
                    put(sums.query.add(sums.place(i, query) * sums.row), form.width, 1.0, gradients.query.row(row));
                }
                return;
            }
            for key in sums.keys(i - blocks) {
                let row = [part.batch, part.key_head, sums.sequence.keys.start + key];
                put(sums.key.add(key * sums.row), form.width, form.scale, gradients.key.row(row));
                put(sums.value.add(key * sums.value_row), form.value_width, 1.0, gradients.value.row(row));
            }
        }
    }
}

/// Writes `width` sums, times a number.
///
/// # Safety
/// They can be read and written by nobody else, and be written at `to`.
unsafe fn put<T: Stored<Compute = f32>>(sums: *mut f32, width: usize, scale: f32, to: *mut T) {
    // SAFETY: the caller's promise.
    let sums = unsafe { std::slice::from_raw_parts_mut(sums, width) };
    // SAFETY: the caller's promise.
    let to = unsafe { std::slice::from_raw_parts_mut(to, width) };
    if scale != 1.0 {
        sums.iter_mut().for_each(|x| *x *= scale);
    }
    T::store_all(sums, to);
}
