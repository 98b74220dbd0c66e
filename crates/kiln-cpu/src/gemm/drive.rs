//! The loops around the micro-kernel.

use super::operands::{Form, Operands};
use super::output::{Output, Sweep};
use super::plan::{Facts, Plan};
use super::row::{RowByColumns, RowProduct};
use super::scratch::{self, Scratch};
use super::sum::Sum;
use super::tile::{Held, Tile};
use super::{MatrixElement, Product, Segment};
use crate::team;
use std::ops::Range;

/// A product as the loops see it: C's columns adjacent where it can be had, the kernels chosen.
struct Drive<'a, T: MatrixElement, U: MatrixElement<Accumulator = T::Accumulator>> {
    p: Product<'a, T, U>,
    plan: Plan,
    /// How A and B come to the kernels that were chosen.
    operands: Operands<T::Accumulator>,
    /// The sum of the segments' k.
    k: usize,
}

/// [`super::gemm`] by given kernels.
///
/// # Safety
/// As there; the kernels' instruction set is available.
pub(crate) unsafe fn gemm<T: MatrixElement, U: MatrixElement<Accumulator = T::Accumulator>>(
    operands: Operands<T::Accumulator>,
    product: &Product<'_, T, U>,
) {
    let kernels = operands.kernels;
    if product.rows == 0 || product.cols == 0 {
        return;
    }
    let flipped: Vec<Segment<T>>;
    let mut p = *product;
    if better_transposed(&p) {
        flipped = p.segments.iter().map(|s| Segment { a: s.b, b: s.a, k: s.k }).collect();
        let swap = |(row, col): (isize, isize)| (col, row);
        p = Product {
            rows: p.cols,
            cols: p.rows,
            segments: &flipped,
            a_strides: swap(p.b_strides),
            b_strides: swap(p.a_strides),
            c: p.c,
            c_strides: swap(p.c_strides),
            epilogue: p.epilogue.transposed(),
        };
    }
    let k: usize = p.segments.iter().map(|s| s.k).sum();
    let native = (T::NATIVE, U::NATIVE);
    // Elements that the kernels take as one number.
    let (pairs, each) = if let Form::Pairs(_) = operands.form { (true, 2) } else { (false, 1) };
    let facts = Facts {
        m: p.rows,
        n: p.cols,
        k: k.div_ceil(each),
        pairs,
        a_strides: p.a_strides,
        b_strides: p.b_strides,
        c_column: p.c_strides.1,
        native,
    };
    let plan = Plan::new(kernels, &facts);
    let plan = Plan { kc: plan.kc.saturating_mul(each), ..plan };
    let drive = Drive { p, plan, operands, k };
    let (by_rows, by_cols) = plan.grid;
    if by_rows * by_cols == 1 {
        // SAFETY: the whole of C, by this thread alone.
        return scratch::with(|s| unsafe { drive.block(0..p.rows, 0..p.cols, s) });
    }
    let panel = kernels.panel();
    let panels = p.cols.div_ceil(panel);
    team::parallel(by_rows * by_cols, |task| {
        let (i, j) = (task % by_rows, task / by_rows);
        let rows = i * p.rows / by_rows..(i + 1) * p.rows / by_rows;
        let cols = j * panels / by_cols * panel..((j + 1) * panels / by_cols * panel).min(p.cols);
        // SAFETY: the grid's blocks are disjoint.
        scratch::with(|s| unsafe { drive.block(rows, cols, s) });
    });
}

impl<T: MatrixElement, U: MatrixElement<Accumulator = T::Accumulator>> Drive<'_, T, U> {
    /// One block of C, a thread's part.
    ///
    /// # Safety
    /// Nobody else touches this block of C.
    unsafe fn block(&self, rows: Range<usize>, cols: Range<usize>, scratch: &mut Scratch) {
        let cols = if self.plan.by_columns && rows.len() == 1 && self.p.segments.len() == 1 {
            let whole = cols.start..cols.end - cols.len() % self.operands.kernels.lanes;
            // SAFETY: as the caller promises.
            unsafe { self.row_by_columns(rows.start, whole.clone()) };
            whole.end..cols.end
        } else {
            cols
        };
        // One row meets each packed panel once: it stays near.
        let step = if rows.len() == 1 && self.plan.pack_b { self.operands.kernels.panel() } else { cols.len() };
        for start in cols.clone().step_by(step.max(1)) {
            // SAFETY: as the caller promises.
            unsafe { self.columns(rows.clone(), start..cols.end.min(start + step), scratch) };
        }
    }

    /// Some columns of a block of C, over all of k.
    ///
    /// # Safety
    /// As [`Drive::block`].
    unsafe fn columns(&self, rows: Range<usize>, cols: Range<usize>, scratch: &mut Scratch) {
        let mut done = 0_usize;
        loop {
            let ks = done..self.k.min(done.saturating_add(self.plan.kc));
            done = ks.end;
            let output = Output {
                kernels: self.operands.kernels,
                c: self.p.c,
                strides: self.p.c_strides,
                epilogue: &self.p.epilogue,
                held: Held::sum_if(self.p.epilogue.accumulate || ks.start > 0),
                finish: done == self.k && !self.p.epilogue.is_plain(),
            };
            // SAFETY: as the caller promises.
            unsafe {
                match self.plan.streamed {
                    Some(step) if U::NATIVE => self.streamed(rows.clone(), cols.clone(), ks, step, &output, scratch),
                    _ => {
                        for j in cols.clone().step_by(self.plan.nc) {
                            let end = j.saturating_add(self.plan.nc).min(cols.end);
                            self.group(rows.clone(), j..end, ks.clone(), &output, scratch);
                        }
                    }
                }
            }
            if done == self.k {
                break;
            }
        }
    }

    /// A block of k, `step` rows of B at a time. Its chains are kept in C where that holds nothing yet, else apart until they are
    /// complete.
    ///
    /// # Safety
    /// As [`Drive::block`]; C's elements are numbers.
    unsafe fn streamed(
        &self,
        rows: Range<usize>,
        cols: Range<usize>,
        ks: Range<usize>,
        step: usize,
        output: &Output<'_, U>,
        scratch: &mut Scratch,
    ) {
        let apart = output.held == Held::Sum;
        let cols = if rows.len() == 1 && T::NATIVE && self.p.c_strides.1 == 1 {
            let whole = cols.start..cols.end - cols.len() % self.operands.kernels.lanes;
            // SAFETY: as the caller promises.
            unsafe { self.row(rows.start, whole.clone(), ks.clone(), output, scratch) };
            whole.end..cols.end
        } else {
            cols
        };
        if cols.is_empty() {
            return;
        }
        let row = cols.len() as isize;
        let mut chains = Output { finish: false, ..*output };
        if apart {
            let room: *mut U = scratch.chains.room(rows.len() * cols.len());
            (chains.c, chains.strides) =
                (room.wrapping_offset(-(rows.start as isize * row + cols.start as isize)), (row, 1));
        }
        for start in ks.clone().step_by(step) {
            let part = start..ks.end.min(start + step);
            chains.held = if start == ks.start { Held::Nothing } else { Held::Chain };
            chains.finish = output.finish && !apart && part.end == ks.end;
            // SAFETY: as the caller promises; the chains' room is this thread's.
            unsafe { self.group(rows.clone(), cols.clone(), part, &chains, scratch) };
        }
        if apart {
            for i in rows {
                let chain = chains.c.wrapping_offset(i as isize * row + cols.start as isize).cast::<U::Accumulator>();
                // SAFETY: a row of complete chains, this thread's own.
                unsafe { output.add(i, cols.start, std::slice::from_raw_parts_mut(chain, cols.len())) };
            }
        }
    }

    /// A block of k for one row and whole registers of columns.
    ///
    /// # Safety
    /// As [`Drive::streamed`]; columns of B and of C are adjacent.
    unsafe fn row(
        &self,
        i: usize,
        cols: Range<usize>,
        ks: Range<usize>,
        output: &Output<'_, U>,
        scratch: &mut Scratch,
    ) {
        let apart = output.held == Held::Sum;
        let there = output.c.wrapping_offset(i as isize * output.strides.0 + cols.start as isize).cast();
        let chains: *mut U::Accumulator = if apart { scratch.chains.room(cols.len()) } else { there };
        // SAFETY: as the caller promises; the chains' room is this thread's.
        unsafe {
            let row = std::slice::from_raw_parts_mut(chains, cols.len());
            row.fill(U::Accumulator::default());
            let sum = Sum::cut(&self.p, i, cols.start, ks, &mut scratch.spans);
            for span in sum.spans {
                (self.operands.kernels.row)(&RowProduct {
                    a: span.a,
                    a_col: sum.a_strides.1,
                    b: span.b,
                    b_row: sum.b_strides.0,
                    k: span.k,
                    c: chains,
                    columns: cols.len(),
                });
            }
            if apart {
                output.add(i, cols.start, row);
            } else if output.finish {
                output.epilogue.finish(self.operands.kernels, row, i, cols.start);
            }
        }
    }

    /// All of k for one row and whole registers of columns.
    ///
    /// # Safety
    /// As [`Drive::block`]; A and B are numbers, the only ones of the sum; numbers of B's columns are adjacent, and so are C's columns,
    /// which are numbers.
    unsafe fn row_by_columns(&self, i: usize, cols: Range<usize>) {
        let p = &self.p;
        let Segment { a, b, k } = p.segments[0];
        for start in cols.clone().step_by(FINISHED) {
            let columns = FINISHED.min(cols.end - start);
            let c = p.c.wrapping_offset(i as isize * p.c_strides.0 + start as isize).cast();
            // SAFETY: as the caller promises.
            unsafe {
                (self.operands.kernels.row_by_columns)(&RowByColumns {
                    a: a.wrapping_offset(i as isize * p.a_strides.0).cast(),
                    a_col: p.a_strides.1,
                    b: b.wrapping_offset(start as isize * p.b_strides.1).cast(),
                    b_col: p.b_strides.1,
                    k,
                    c,
                    columns,
                    accumulate: p.epilogue.accumulate,
                });
                p.epilogue.finish(self.operands.kernels, std::slice::from_raw_parts_mut(c, columns), i, start);
            }
        }
    }

    /// The products of `rows` with a group of panels, `cols`, over the range `ks` of k.
    ///
    /// # Safety
    /// Nobody else touches this block of the output.
    unsafe fn group(
        &self,
        rows: Range<usize>,
        cols: Range<usize>,
        ks: Range<usize>,
        output: &Output<'_, U>,
        scratch: &mut Scratch,
    ) {
        let Scratch { packed, packed_a, copied_a, copied_b, spans, right_spans, left_spans, strip_spans, .. } = scratch;
        let kernels = self.operands.kernels;
        // SAFETY: all of it within A, B and this block of C.
        unsafe {
            let cut = Sum::cut(&self.p, rows.start, cols.start, ks, spans);
            // A panel that is not filled is packed in any case, for the zeros. Only the last one can be.
            let from = if self.plan.pack_b { 0 } else { cols.len() - cols.len() % kernels.lanes };
            let (right, b_packed) = self.operands.right::<T>(&cut, (from, cols.len()), (packed, copied_b), right_spans);
            // Whole tiles, but for the last.
            let step = balanced_part(rows.len(), self.plan.mc).next_multiple_of(kernels.rows());
            for top in (0..rows.len()).step_by(step) {
                let height = step.min(rows.len() - top);
                let (sum, first) = self.operands.left::<T>((&cut, &right), (top, height), copied_a, left_spans);
                let slivers = self.plan.pack_a.then(|| sum.pack_a(kernels, first, height, packed_a));
                let mut j = 0;
                while j < cols.len() {
                    let width = kernels.width(cols.len() - j);
                    let panel = width.vectors * kernels.lanes;
                    let b_panel = (j >= from).then(|| b_packed.add((j - from) * sum.k).cast_const());
                    let strip = sum.strip((first, j), panel, (slivers.as_ref(), b_panel), strip_spans);
                    let sweep = Sweep {
                        tiles: width.tiles,
                        rows: rows.start + top..rows.start + top + height,
                        cut: strip.cut,
                        j: cols.start + j,
                        columns: panel.min(cols.len() - j),
                        panel,
                    };
                    let tile = Tile {
                        spans: strip.spans,
                        a_offset: strip.a_offset,
                        a_row: strip.a_strides.0,
                        a_col: strip.a_strides.1,
                        b_row: strip.b_row,
                        c: std::ptr::null_mut(),
                        c_row: 0,
                        held: output.held,
                    };
                    output.sweep(&sweep, tile);
                    j += panel;
                }
            }
        }
    }
}

/// Columns of a row that are finished while they are near.
const FINISHED: usize = 1024;

/// Whether Cᵀ = Bᵀ·Aᵀ, the same chains, is the quicker way.
fn better_transposed<T, U: MatrixElement>(p: &Product<'_, T, U>) -> bool {
    // The columns of what is B there lie along k here, and would have to be transposed while they are packed. What is A
    // there is read where it lies: so the smaller one had better be B.
    let along_k = p.b_strides.1 != 1 && p.b_strides.0 == 1;
    match p.c_strides {
        (_, 1) => along_k && p.rows < p.cols && p.rows > 1,
        (1, _) => true,
        _ => false,
    }
}

/// The length of equal parts of at most `most`.
fn balanced_part(len: usize, most: usize) -> usize {
    len.div_ceil(len.div_ceil(most.min(len).max(1)).max(1)).max(1)
}
