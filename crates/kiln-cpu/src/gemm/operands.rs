//! Operands as the kernels take them: numbers where they lie, numbers converted from a half type, or words of two bf16.
//!
//! The copies of B are made for a group of columns, those of A for a block of rows.

use super::kernels::{GemmFloat, Kernels};
use super::scratch::ScratchBuffer;
use super::sum::{Sum, panel_runs};
use super::tile::Span;
use super::{MatrixElement, pairs};

/// How the elements of a product come to its kernels.
pub(crate) enum Form<T> {
    /// They are numbers, multiplied where they lie.
    Numbers,
    /// They are converted to numbers first, block by block.
    Converted,
    /// They are bf16. Two of adjacent k are a word, whose 32 bits go as one number to the kernels, which add the dot products of
    /// words.
    Pairs(pairs::PackRows<T>),
    /// They are such words already.
    Words,
}

impl<T> Clone for Form<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Form<T> {}

/// How products of an element type are computed: opaque outside this crate.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Operands<T: 'static> {
    pub(crate) kernels: &'static Kernels<T>,
    pub(crate) form: Form<T>,
}

impl<T: GemmFloat> Operands<T> {
    /// The same kernels for operands that are words already.
    pub(crate) fn of_words(self) -> Self {
        Operands { form: Form::Words, ..self }
    }

    /// Whether the elements are words, which only these kernels can compute with.
    pub(crate) fn are_words(&self) -> bool {
        matches!(self.form, Form::Words)
    }

    /// The same sum with B as the kernels take it, and where the packed columns from `from` on are.
    ///
    /// # Safety
    /// The spans' addresses are those of `E`s, of which the form is; the columns lie within B.
    pub(super) unsafe fn right<'s, E: MatrixElement<Accumulator = T>>(
        &self,
        sum: &Sum<'s, T>,
        (from, cols): (usize, usize),
        (packed, wide): (&mut ScratchBuffer, &mut ScratchBuffer),
        list: &'s mut ScratchBuffer,
    ) -> (Sum<'s, T>, *mut T) {
        let (whole, strides) = (Sum { ..*sum }, sum.b_strides);
        // SAFETY: as the caller promises; within the room made for the copies.
        unsafe {
            match self.form {
                Form::Numbers | Form::Words => (whole, sum.pack_b(self.kernels, from..cols, packed)),
                Form::Converted => {
                    let to: *mut T = wide.room(sum.k * cols);
                    // What was adjacent stays so.
                    let b_strides = if strides.0 == 1 && strides.1 != 1 { (1, sum.k) } else { (cols, 1) };
                    let spans = sum.spans_from(list, |s, done| {
                        let b = to.add(done * b_strides.0);
                        convert::<E>(s.b.cast(), strides, b, b_strides, (s.k, cols));
                        Span { b, ..*s }
                    });
                    let sum = Sum { spans, b_strides: signed(b_strides), ..whole };
                    let b = sum.pack_b(self.kernels, from..cols, packed);
                    (sum, b)
                }
                Form::Pairs(pack_rows) => {
                    let k = sum.spans.iter().map(|s| pairs::words(s.k)).sum();
                    let in_place = pairs::are_words(sum.spans.iter().map(|s| (s.b, s.k)), (strides.1, strides.0));
                    let spans = sum.spans_from(list, |s, _| Span { k: pairs::words(s.k), ..*s });
                    let words = Sum { spans, k, b_strides: (1, strides.1 / 2), ..whole };
                    if in_place {
                        let b = words.pack_b(self.kernels, 0..cols, packed);
                        return (words, b);
                    }
                    let to: *mut T = packed.room(cols.next_multiple_of(self.kernels.lanes) * k);
                    for (columns, panel) in panel_runs(self.kernels, 0..cols) {
                        let mut place = to.add(columns.start * k);
                        for span in sum.spans {
                            let from = span.b.cast::<u16>().wrapping_offset(columns.start as isize * strides.1);
                            let sizes = (span.k, columns.len());
                            pairs::panels(pack_rows, (from, strides), sizes, (place, panel, panel * k));
                            place = place.add(pairs::words(span.k) * panel);
                        }
                    }
                    (words, to)
                }
            }
        }
    }

    /// The same sum, B as [`Operands::right`] left it in `sum`, with `rows` rows of A from `top` on as the kernels take them; and where
    /// the first of these rows is now.
    ///
    /// # Safety
    /// As there; `cut` is the sum before, and the rows lie within A.
    pub(super) unsafe fn left<'s, E: MatrixElement<Accumulator = T>>(
        &self,
        (cut, sum): (&Sum<'_, T>, &Sum<'s, T>),
        (top, rows): (usize, usize),
        wide: &mut ScratchBuffer,
        list: &'s mut ScratchBuffer,
    ) -> (Sum<'s, T>, usize) {
        let (whole, strides) = (Sum { ..*sum }, cut.a_strides);
        let down = |a: *const T| a.cast::<E>().wrapping_offset(top as isize * strides.0);
        let mut before = cut.spans.iter();
        let mut before = || before.next().map_or((std::ptr::null(), 0), |s| (down(s.a), s.k));
        // SAFETY: as the caller promises; within the room made for the copies.
        unsafe {
            match self.form {
                Form::Numbers | Form::Words => (whole, top),
                Form::Converted => {
                    let to: *mut T = wide.room(rows * sum.k);
                    let a_strides = if strides.0 == 1 { (1, rows) } else { (sum.k, 1) };
                    let spans = sum.spans_from(list, |s, done| {
                        let ((from, k), a) = (before(), to.add(done * a_strides.1));
                        convert::<E>(from, strides, a, a_strides, (rows, k));
                        Span { a, ..*s }
                    });
                    (Sum { spans, a_strides: signed(a_strides), ..whole }, 0)
                }
                Form::Pairs(pack_rows) => {
                    if pairs::are_words(cut.spans.iter().map(|s| (s.a, s.k)), strides) {
                        return (Sum { a_strides: (strides.0 / 2, 1), ..whole }, top);
                    }
                    let pitch = pairs::pitch(rows);
                    let to: *mut T = wide.room(if strides.1 == 1 { rows } else { pitch } * sum.k);
                    let a_strides = if strides.1 == 1 { (sum.k, 1) } else { (1, pitch) };
                    let spans = sum.spans_from(list, |s, done| {
                        let ((from, k), a) = (before(), to.add(done * a_strides.1));
                        if strides.1 == 1 {
                            pairs::along(from.cast(), strides.0, (rows, k), a, sum.k);
                        } else {
                            // Its columns are rows of its memory.
                            pairs::panels(pack_rows, (from.cast(), (strides.1, strides.0)), (k, rows), (a, pitch, 0));
                        }
                        Span { a, ..*s }
                    });
                    (Sum { spans, a_strides: signed(a_strides), ..whole }, 0)
                }
            }
        }
    }
}

fn signed((row, col): (usize, usize)) -> (isize, isize) {
    (row as isize, col as isize)
}

/// Converts one block, a run at a time where both sides have the same adjacent elements.
///
/// # Safety
/// The block lies within both matrices.
unsafe fn convert<T: MatrixElement>(
    src: *const T,
    from: (isize, isize),
    dst: *mut T::Accumulator,
    to: (usize, usize),
    (rows, cols): (usize, usize),
) {
    // SAFETY: as the caller promises.
    unsafe {
        if from.1 != 1 && to.1 != 1 {
            // By columns: the transposed matrices by rows.
            return convert(src, (from.1, from.0), dst, (to.1, to.0), (cols, rows));
        }
        for i in 0..rows {
            let (src, dst) = (src.offset(i as isize * from.0), dst.add(i * to.0));
            if from.1 == 1 && to.1 == 1 {
                T::widen(std::slice::from_raw_parts(src, cols), std::slice::from_raw_parts_mut(dst, cols));
            } else {
                for j in 0..cols {
                    *dst.add(j * to.1) = (*src.offset(j as isize * from.1)).to_number();
                }
            }
        }
    }
}
