//! A right-hand side packed once, for the many products that share it: the weights of a recurrent network, which every
//! step multiplies by.

use super::Element;
use super::epilogue::Epilogue;
use super::kernels::{Kernels, Number};
use super::output::{Cut, Output, Sweep};
use super::sum::Sum;
use super::tile::{Span, Tile};
use crate::isa::Isa;
use std::marker::PhantomData;
use std::ops::Range;

/// Rows of a panel that are multiplied before the next ones: the panel's part then stays in the first-level caches while
/// the rows of A pass.
const KC: usize = 512;

/// B (k × cols) in panels, in memory of its caller's. Written by [`Packed::pack`] and only read by
/// [`Packed::multiply`], each by any thread on columns of its own.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a, T: 'static> {
    kernels: &'static Kernels<T>,
    data: *mut T,
    k: usize,
    cols: usize,
    room: PhantomData<&'a mut [T]>,
}

// SAFETY: an address and sizes; whoever packs or multiplies vouches for what is there.
unsafe impl<T: Send> Send for Packed<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Packed<'_, T> {}

/// What a packed B is multiplied by, and where the product goes: rows of A (rows × k, columns adjacent) from `a` on.
#[derive(Clone, Copy)]
pub(crate) struct Factor<T> {
    pub(crate) rows: usize,
    pub(crate) a: *const T,
    /// From a row of A to the next.
    pub(crate) a_row: usize,
    /// C's element in the first row and in B's column 0.
    pub(crate) c: *mut T,
    /// From a row of C to the next.
    pub(crate) c_row: usize,
}

impl<'a, T: Number + Element<Number = T>> Packed<'a, T> {
    /// The columns of a panel: threads that share a product cut it at multiples of this.
    pub(crate) fn panel(isa: Isa) -> usize {
        T::kernels(isa).0.panel()
    }

    /// The numbers that k × cols of B take.
    pub(crate) fn elements(isa: Isa, k: usize, cols: usize) -> usize {
        k * cols.next_multiple_of(T::kernels(isa).0.lanes)
    }

    /// Takes room for k × cols of B from the front of `room`.
    pub(crate) fn take(isa: Isa, room: &mut &'a mut [T], k: usize, cols: usize) -> Self {
        let (own, rest) = std::mem::take(room).split_at_mut(Self::elements(isa, k, cols));
        *room = rest;
        Packed { kernels: T::kernels(isa).0, data: own.as_mut_ptr(), k, cols, room: PhantomData }
    }

    /// Packs columns of B, whose element (0, 0) is at `b` with strides from row to row and from column to column.
    ///
    /// # Safety
    /// B is readable, and nobody else packs or reads these columns meanwhile. They begin where a panel does and end
    /// where one does, or with the last.
    pub(crate) unsafe fn pack(&self, cols: Range<usize>, b: *const T, strides: (isize, isize)) {
        let spans = [Span { a: std::ptr::null(), b, k: self.k }];
        let sum = Sum { spans: &spans, k: self.k, a_strides: (0, 0), b_strides: strides };
        // SAFETY: as the caller promises; the panel of column j lies at j·k, and there is room for all of them.
        unsafe { sum.pack_b_to(self.kernels, cols.clone(), self.data.add(cols.start * self.k)) };
    }

    /// `C [+]= A · B[ks, cols]` on this thread: A's columns are B's rows `ks`, and each chain of multiply-adds starts from
    /// what C holds where `accumulate`, else from 0.
    ///
    /// # Safety
    /// These columns are packed. A is readable and apart from C, whose columns `cols` are this call's alone. `cols` begin
    /// and end as in [`Packed::pack`].
    pub(crate) unsafe fn multiply(&self, cols: Range<usize>, ks: Range<usize>, factor: &Factor<T>, accumulate: bool) {
        let epilogue = Epilogue::overwrite();
        let mut j = cols.start;
        while j < cols.end {
            let width = self.kernels.width(self.cols - j);
            let panel = width.vectors * self.kernels.lanes;
            for k in (0..ks.len()).step_by(KC) {
                let count = KC.min(ks.len() - k);
                // SAFETY: within the packed panels and A's columns.
                unsafe {
                    let b = self.data.add(j * self.k + (ks.start + k) * panel).cast_const();
                    let spans = [Span { a: factor.a.add(k), b, k: count }];
                    let accumulate = accumulate || k > 0;
                    let output: Output<'_, T> = Output {
                        kernels: self.kernels,
                        c: factor.c,
                        strides: (factor.c_row as isize, 1),
                        epilogue: &epilogue,
                        accumulate,
                        finish: false,
                    };
                    let columns = panel.min(self.cols - j);
                    let sweep = Sweep { tiles: width.tiles, rows: 0..factor.rows, cut: Cut::Equal, j, columns, panel };
                    let tile = Tile {
                        spans: &spans,
                        a_offset: 0,
                        a_row: factor.a_row as isize,
                        a_col: 1,
                        b_row: panel as isize,
                        c: std::ptr::null_mut(),
                        c_row: 0,
                        accumulate,
                    };
                    output.sweep(&sweep, tile);
                }
            }
            j += panel;
        }
    }
}
