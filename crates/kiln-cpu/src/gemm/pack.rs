//! Packing of B into panels, so that a micro-kernel reads it front to back. A is read where it lies, or packed into slivers
//! where its columns, along k, are rows of its memory: each k of a tile is in another line then, far from the one before.
//!
//! A panel holds `panel` columns: element (k, j) at `k·panel + j`, zeros where B has fewer columns. A sliver holds the rows
//! of a tile: element (i, k) at `k·PITCH + i`.

use super::vector::Vector;

/// How many rows ahead [`rows`] fetches.
const AHEAD: isize = 8;

/// Packs `k` rows of `width` adjacent columns, `stride` from row to row, into consecutive panels of `panel` columns,
/// panel p at `dst + p·step`. Only a last panel may be partial: it is padded with zeros to a whole register.
///
/// # Safety
/// The source is readable, the panels are writable (the last one `k` times its width rounded up to LANES); the
/// instruction set of `V` is available.
#[inline(always)]
pub(super) unsafe fn rows<V: Vector>(
    src: *const V::Lane,
    stride: isize,
    k: usize,
    width: usize,
    panel: usize,
    dst: *mut V::Lane,
    step: usize,
) {
    let full = width / panel;
    for row in 0..k {
        // SAFETY: within the source and the panels.
        unsafe {
            let src = src.offset(row as isize * stride);
            // Rows far apart are no stream to the hardware's prefetcher.
            let ahead = src.wrapping_offset(AHEAD * stride);
            for line in (0..width).step_by(64 / size_of::<V::Lane>()) {
                V::prefetch(ahead.wrapping_add(line));
            }
            for p in 0..full {
                let (from, to) = (src.add(p * panel), dst.add(p * step + row * panel));
                for j in (0..panel).step_by(V::LANES) {
                    V::load(from.add(j)).store(to.add(j));
                }
            }
            let rest = width - full * panel;
            if rest != 0 {
                let padded = rest.next_multiple_of(V::LANES);
                let (from, to) = (src.add(full * panel), dst.add(full * step + row * padded));
                let whole = rest - rest % V::LANES;
                for j in (0..whole).step_by(V::LANES) {
                    V::load(from.add(j)).store(to.add(j));
                }
                if whole < rest {
                    V::load_first(from.add(whole), rest - whole).store(to.add(whole));
                }
            }
        }
    }
}

/// From a column of a sliver to the next: what a sliver has rows at most, rounded up so that no column lies on two lines.
pub(super) const PITCH: usize = 8;

/// Columns that [`slivers`] takes at a time: the lines of so few, which may all map to the same cache sets, stay there.
const RUN: usize = 8;

/// Packs `rows` rows of A, adjacent in memory, `stride` from column to column, `k` columns, into consecutive slivers of
/// `sliver` rows, sliver s at `dst + s·step`. What is in the places of rows that a sliver does not have is arbitrary.
///
/// # Safety
/// The source is readable; each sliver has room for `k·PITCH` numbers, and no more than [`PITCH`] rows.
#[inline(always)]
pub(super) unsafe fn slivers<T: Copy>(
    src: *const T,
    stride: isize,
    k: usize,
    rows: usize,
    sliver: usize,
    dst: *mut T,
    step: usize,
) {
    // As many slivers as can be read with some of the next one's rows.
    let whole = (rows + sliver).saturating_sub(PITCH) / sliver;
    for run in (0..k).step_by(RUN) {
        let columns = run..k.min(run + RUN);
        for s in 0..rows.div_ceil(sliver) {
            let count = sliver.min(rows - s * sliver);
            for column in columns.clone() {
                // SAFETY: within the source and the sliver.
                unsafe {
                    let from = src.offset(column as isize * stride).add(s * sliver);
                    let to = dst.add(s * step + column * PITCH);
                    if s < whole {
                        to.cast::<[T; PITCH]>().write_unaligned(from.cast::<[T; PITCH]>().read_unaligned());
                    } else {
                        for i in 0..count {
                            *to.add(i) = *from.add(i);
                        }
                    }
                }
            }
        }
    }
}

/// Moves `width` columns of `k` adjacent numbers, `stride` from column to column, to rows `dst_stride` apart, padded with
/// zeros to `panel` columns. `transpose(src, src_stride, dst, dst_stride)` moves a block of `BLOCK` × `BLOCK`.
///
/// # Safety
/// The source is readable; `dst` has room for `k` rows of `panel` numbers; `transpose` may be called.
#[inline(always)]
pub(super) unsafe fn columns<T: Copy + Default>(
    src: *const T,
    stride: isize,
    k: usize,
    (width, panel): (usize, usize),
    dst: *mut T,
    dst_stride: isize,
    transpose: impl Fn(*const T, isize, *mut T, isize),
) {
    let (whole_k, whole_j) = (k - k % BLOCK, width - width % BLOCK);
    // SAFETY: within the source and the panel.
    unsafe {
        // Rows of the destination one after the other, so that its lines are filled before they leave the cache.
        for row in (0..whole_k).step_by(BLOCK) {
            let dst = dst.offset(row as isize * dst_stride);
            for j in (0..whole_j).step_by(BLOCK) {
                transpose(src.offset(j as isize * stride).add(row), stride, dst.add(j), dst_stride);
            }
        }
        for j in 0..panel {
            let from = src.offset(if j < width { j as isize * stride } else { 0 });
            let done = if j < whole_j { whole_k } else { 0 };
            for row in done..k {
                let to = dst.offset(row as isize * dst_stride).add(j);
                *to = if j < width { *from.add(row) } else { T::default() };
            }
        }
    }
}

/// The side of the blocks that [`columns`] transposes.
pub(super) const BLOCK: usize = 8;

/// Moves a block of 8 × 8 numbers, rows becoming columns: `dst[i·dst_stride + j] = src[j·src_stride + i]`.
///
/// # Safety
/// Both blocks lie within their buffers.
#[inline(always)]
pub(super) unsafe fn transpose_scalar<T: Copy>(src: *const T, src_stride: isize, dst: *mut T, dst_stride: isize) {
    for j in 0..BLOCK {
        for i in 0..BLOCK {
            // SAFETY: within the blocks.
            unsafe { *dst.offset(i as isize * dst_stride).add(j) = *src.offset(j as isize * src_stride).add(i) };
        }
    }
}

/// [`transpose_scalar`] in registers.
///
/// # Safety
/// Both blocks lie within their buffers; AVX2 is available.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) unsafe fn transpose_f32_avx2(src: *const f32, src_stride: isize, dst: *mut f32, dst_stride: isize) {
    // SAFETY: within the blocks; the instruction set is the caller's.
    unsafe {
        for (i, row) in transposed_f32_avx2(src, src_stride).into_iter().enumerate() {
            std::arch::x86_64::_mm256_storeu_ps(dst.offset(i as isize * dst_stride), row);
        }
    }
}

/// The rows of the transposed block of 8 × 8 numbers.
///
/// # Safety
/// The block lies within its buffer; AVX2 is available.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) unsafe fn transposed_f32_avx2(src: *const f32, stride: isize) -> [std::arch::x86_64::__m256; BLOCK] {
    use std::arch::x86_64::*;
    // SAFETY: within the block; the instruction set is the caller's.
    unsafe {
        // Row j's half beside row j + 4's: the halves change places while they are loaded, which costs no shuffle.
        let halves = |j: usize, half: usize| {
            let at = |j: usize| src.offset(j as isize * stride).add(4 * half);
            _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(_mm_loadu_ps(at(j))), _mm_loadu_ps(at(j + 4)))
        };
        let mut rows = [_mm256_setzero_ps(); BLOCK];
        for (half, rows) in rows.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let r: [__m256; 4] = std::array::from_fn(|j| halves(j, half));
            // Pairs of columns interleaved, then quadruples.
            let (a, b) = (_mm256_unpacklo_ps(r[0], r[1]), _mm256_unpackhi_ps(r[0], r[1]));
            let (c, d) = (_mm256_unpacklo_ps(r[2], r[3]), _mm256_unpackhi_ps(r[2], r[3]));
            *rows = [
                _mm256_shuffle_ps::<0x44>(a, c),
                _mm256_shuffle_ps::<0xee>(a, c),
                _mm256_shuffle_ps::<0x44>(b, d),
                _mm256_shuffle_ps::<0xee>(b, d),
            ];
        }
        rows
    }
}

/// Packs a block of B of any strides, element by element: a panel of `width` columns padded with zeros to `panel`.
///
/// # Safety
/// The source is readable; `dst` has room for `k·panel` numbers.
pub(super) unsafe fn strided<T: Copy + Default>(
    src: *const T,
    (row, col): (isize, isize),
    k: usize,
    width: usize,
    panel: usize,
    dst: *mut T,
) {
    for i in 0..k {
        for j in 0..panel {
            // SAFETY: within the source and the panel.
            unsafe {
                let from = src.wrapping_offset(i as isize * row + j as isize * col);
                *dst.add(i * panel + j) = if j < width { *from } else { T::default() };
            }
        }
    }
}
