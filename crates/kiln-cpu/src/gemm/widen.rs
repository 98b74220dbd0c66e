//! Operands of half types: converted to `f32`, block by block, before they are packed or read.

use super::MatrixElement;
use super::scratch::ScratchBuffer;
use super::sum::Sum;
use super::tile::Span;

/// The same sum over converted copies of `rows` rows of A and `cols` columns of B. What was adjacent stays so.
///
/// # Safety
/// The spans' addresses are those of `T`s, and the blocks lie within A and B.
pub(super) unsafe fn widen<'s, T: MatrixElement>(
    sum: &Sum<'_, T::Accumulator>,
    rows: usize,
    cols: usize,
    (a, b): (&mut ScratchBuffer, &mut ScratchBuffer),
    list: &'s mut ScratchBuffer,
) -> Sum<'s, T::Accumulator> {
    let (a, b): (*mut T::Accumulator, *mut T::Accumulator) = (a.room(rows * sum.k), b.room(sum.k * cols));
    // A's rows adjacent to one another, or its columns; the same for B.
    let a_strides = if sum.a_strides.0 == 1 { (1, rows) } else { (sum.k, 1) };
    let b_strides = if sum.b_strides.0 == 1 && sum.b_strides.1 != 1 { (1, sum.k) } else { (cols, 1) };
    let spans: *mut Span<T::Accumulator> = list.room(sum.spans.len());
    let mut done = 0;
    // SAFETY: within the operands, and within the room made for the copies.
    unsafe {
        for (n, s) in sum.spans.iter().enumerate() {
            let (to_a, to_b) = (a.add(done * a_strides.1), b.add(done * b_strides.0));
            block::<T>(s.a.cast(), sum.a_strides, to_a, a_strides, (rows, s.k));
            block::<T>(s.b.cast(), sum.b_strides, to_b, b_strides, (s.k, cols));
            spans.add(n).write(Span::new(to_a, to_b, s.k));
            done += s.k;
        }
        let signed = |(row, col): (usize, usize)| (row as isize, col as isize);
        let spans = std::slice::from_raw_parts(spans, sum.spans.len());
        Sum { spans, k: sum.k, a_strides: signed(a_strides), b_strides: signed(b_strides) }
    }
}

/// Converts one block, a run at a time where both sides have the same adjacent elements.
///
/// # Safety
/// The block lies within both matrices.
unsafe fn block<T: MatrixElement>(
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
            return block(src, (from.1, from.0), dst, (to.1, to.0), (cols, rows));
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
