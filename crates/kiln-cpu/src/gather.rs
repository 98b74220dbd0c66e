//! Gathering by index, and its adjoint.

use crate::operand::{Output, Strided};
use crate::{Isa, Kernel, Simd, check, team};
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

/// The indices of a gather, one axis of them, and their number.
#[derive(Clone, Copy)]
struct Index<'a> {
    of: Strided<'a, i64>,
    count: usize,
    stride: isize,
    axis: usize,
}

impl<'a> Index<'a> {
    #[track_caller]
    fn new(function: &str, of: Strided<'a, i64>, axis: usize) -> Self {
        let (&[count], &[stride]) = (of.shape(), of.strides()) else {
            check::refuse(function, format_args!("indices of shape {:?}, one axis is expected", of.shape()));
        };
        Index { of, count, stride, axis }
    }

    /// Index `i`, which is below the count.
    #[inline]
    fn at(&self, function: &str, i: usize) -> usize {
        debug_assert!(i < self.count);
        // SAFETY: one axis of `count` indices, each of which can be read.
        let index = unsafe { *self.of.first_element().offset(i as isize * self.stride) };
        if index < 0 || index as usize >= self.axis {
            check::refuse(function, format_args!("index {index} is outside of an axis of {}", self.axis));
        }
        index as usize
    }
}

/// out (outer, indices, inner) = x (outer, axis, inner) at `indices`, all contiguous.
///
/// # Panics
/// Where `out` or `x` has another number of elements, `indices` another number of axes than one, or an index is outside of the
/// axis.
pub fn gather<T: Copy + Send + Sync>(out: &mut [T], x: &[T], indices: Strided<'_, i64>, along: Along) {
    let Along { outer, axis, inner } = along;
    let index = Index::new("gather", indices, axis);
    let count = index.count;
    check::length("gather", "x", x.len(), check::elements("gather", &[outer, axis, inner]));
    check::length("gather", "out", out.len(), check::elements("gather", &[outer, count, inner]));
    if out.is_empty() {
        return;
    }
    let to = Output::from_slice(out);
    let copy_row = |row: usize| {
        let (o, i) = (row / count, row % count);
        // SAFETY: this row's own part of the output, which has outer · count rows.
        let to = unsafe { to.part(row * inner, inner) };
        let start = (o * axis + index.at("gather", i)) * inner;
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
///
/// # Panics
/// As [`gather`], with `y` in the place of its output.
pub fn scatter_add<T: Copy + Send + Sync>(
    out: &mut [T],
    y: &[T],
    indices: Strided<'_, i64>,
    along: Along,
    add: impl Fn(T, T) -> T + Sync,
) {
    let Along { outer, axis, inner } = along;
    let index = Index::new("scatter_add", indices, axis);
    let count = index.count;
    check::length("scatter_add", "out", out.len(), check::elements("scatter_add", &[outer, axis, inner]));
    check::length("scatter_add", "y", y.len(), check::elements("scatter_add", &[outer, count, inner]));
    if y.is_empty() {
        return;
    }
    for o in 0..outer {
        for i in 0..count {
            let (to, from) = ((o * axis + index.at("scatter_add", i)) * inner, (o * count + i) * inner);
            for (to, &from) in out[to..to + inner].iter_mut().zip(&y[from..from + inner]) {
                *to = add(*to, from);
            }
        }
    }
}

/// A row of bytes as numbers, scale · x + shift.
struct Normalize<'a> {
    out: &'a mut [f32],
    row: &'a [u8],
    scale: f32,
    shift: f32,
}

impl Kernel for Normalize<'_> {
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

impl<'a> Rows<'a> {
    /// Row `i` of the gather, none past the end of the source; that of the batch after is asked for meanwhile.
    #[inline(always)]
    pub fn get(&self, i: usize) -> Option<&'a [u8]> {
        let Rows { source, width, indices, upcoming } = *self;
        if let Some(row) = upcoming.get(i).and_then(|&row| row_of(source, width, row)) {
            prefetch(row);
        }
        indices.get(i).and_then(|&row| row_of(source, width, row))
    }
}

/// Rows of bytes, normalized to scale · x + shift as they are gathered: what a loader does with images. `normalize` holds
/// [scale, shift] once, or for each of the equal planes that a row consists of.
///
/// Rows past the end of the source are left as they are.
pub fn gather_normalized(isa: Isa, out: &mut [f32], rows: Rows<'_>, normalize: &[[f32; 2]]) {
    let Rows { width, indices, .. } = rows;
    if width == 0 || normalize.is_empty() || !width.is_multiple_of(normalize.len()) {
        return;
    }
    let plane = width / normalize.len();
    in_parts(out, width, |first, part| {
        for (i, out) in (first..indices.len()).zip(part.chunks_exact_mut(width)) {
            let Some(row) = rows.get(i) else { continue };
            for ((out, row), &[scale, shift]) in out.chunks_exact_mut(plane).zip(row.chunks_exact(plane)).zip(normalize)
            {
                isa.run(Normalize { out, row, scale, shift });
            }
        }
    });
}

/// Calls `f(first row, part)` for contiguous parts of an array of rows, in parallel where there is enough to do.
pub fn in_parts<T: Copy + Send + Sync>(out: &mut [T], width: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let (threads, rows) = (team::threads(), out.len() / width.max(1));
    if rows * width < 1 << 14 || threads == 1 {
        return f(0, out);
    }
    let to = Output::from_slice(out);
    team::parallel(threads, |part| {
        let (first, end) = (part * rows / threads, (part + 1) * rows / threads);
        // SAFETY: these rows are this part's own.
        f(first, unsafe { to.part(first * width, (end - first) * width) });
    });
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
