//! Gathering by index, and its adjoint.

use crate::operand::{Output, Strided};
use crate::{Isa, Kernel, Simd, team};
use kiln_math::Real;

/// The shape of a gather along one axis: (outer, axis, inner).
#[derive(Clone, Copy, Debug)]
pub struct Along {
    /// Product of the axes before.
    pub outer: usize,
    /// Size of the axis in the larger array.
    pub axis: usize,
    /// Product of the axes after.
    pub inner: usize,
}

/// out (outer, indices, inner) = x (outer, axis, inner) at `indices`, all contiguous. Indices are within the axis.
pub fn gather<T: Copy + Send + Sync>(out: &mut [T], x: &[T], indices: Strided<'_, i64>, along: Along) {
    let Along { outer, axis, inner } = along;
    let count = indices.elements();
    let to = Output::from_slice(out);
    let copy_row = |row: usize| {
        let (o, i) = (row / count, row % count);
        // SAFETY: `i` is within the indices, which have one axis.
        let index = unsafe { *indices.first_element().offset(i as isize * indices.strides()[0]) } as usize;
        // SAFETY: this row's own part of the output.
        let to = unsafe { to.part(row * inner, inner) };
        let start = (o * axis + index) * inner;
        to.copy_from_slice(&x[start..start + inner]);
    };
    let rows = outer * count;
    if rows * inner < 1 << 15 {
        return (0..rows).for_each(copy_row);
    }
    let size = rows.div_ceil(4 * team::threads()).max(1);
    team::parallel(rows.div_ceil(size), |i| (i * size..((i + 1) * size).min(rows)).for_each(copy_row));
}

/// out (outer, axis, inner) += y (outer, indices, inner) at `indices`; equal indices add up in ascending order of position.
pub fn scatter_add<T: Copy + Send + Sync>(
    out: &mut [T],
    y: &[T],
    indices: Strided<'_, i64>,
    along: Along,
    add: impl Fn(T, T) -> T + Sync,
) {
    let Along { outer, axis, inner } = along;
    let count = indices.elements();
    for o in 0..outer {
        for i in 0..count {
            // SAFETY: `i` is within the indices, which have one axis.
            let index = unsafe { *indices.first_element().offset(i as isize * indices.strides()[0]) } as usize;
            let (to, from) = ((o * axis + index) * inner, (o * count + i) * inner);
            for (to, &from) in out[to..to + inner].iter_mut().zip(&y[from..from + inner]) {
                *to = add(*to, from);
            }
        }
    }
}

/// A row of bytes as numbers, scale · x + shift.
struct Normalise<'a> {
    out: &'a mut [f32],
    row: &'a [u8],
    scale: f32,
    shift: f32,
}

impl Kernel for Normalise<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (scale, shift) = (S::F32::constant(self.scale.into()), S::F32::constant(self.shift.into()));
        let to = S::f32s_mut(self.out);
        for (to, &byte) in to.iter_mut().zip(self.row) {
            *to = S::F32::constant(f64::from(byte)).mul_add(scale, shift);
        }
    }
}

/// Rows of an array of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The array, row-major.
    pub source: &'a [u8],
    /// Bytes of a row.
    pub width: usize,
    /// The rows to gather.
    pub indices: &'a [usize],
    /// The rows of the batch after: asked for from memory meanwhile, since rows in random order are what no hardware
    /// prefetcher foresees.
    pub upcoming: &'a [usize],
}

/// Rows of bytes, normalised to scale · x + shift as they are gathered: what a loader does with images.
///
/// Rows past the end of the source are left as they are.
pub fn gather_normalised(isa: Isa, out: &mut [f32], rows: Rows<'_>, scale: f32, shift: f32) {
    let Rows { source, width, indices, upcoming } = rows;
    let rows = indices.len().min(out.len() / width.max(1));
    let to = Output::from_slice(out);
    let one = |i: usize| {
        if let Some(row) = upcoming.get(i).and_then(|&row| row_of(source, width, row)) {
            prefetch(row);
        }
        if let Some(row) = row_of(source, width, indices[i]) {
            // SAFETY: this row's own part of the output.
            let out = unsafe { to.part(i * width, width) };
            isa.run(Normalise { out, row, scale, shift });
        }
    };
    if rows * width < 1 << 14 || team::threads() == 1 {
        return (0..rows).for_each(one);
    }
    let parts = team::threads();
    team::parallel(parts, |part| (part * rows / parts..(part + 1) * rows / parts).for_each(one));
}

/// A row, if there is such a one.
#[inline(always)]
fn row_of(source: &[u8], width: usize, row: usize) -> Option<&[u8]> {
    let start = row.checked_mul(width)?;
    source.get(start..start.checked_add(width)?)
}

/// Asks for bytes from memory without waiting.
#[inline(always)]
fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(64) {
        // SAFETY: SSE is part of x86-64, the address is within the slice, and a prefetch has no effect but on caches.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
