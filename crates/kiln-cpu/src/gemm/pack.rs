//! Packing of B into panels, so that a micro-kernel reads it front to back. A is read where it lies.
//!
//! A panel holds `panel` columns: element (k, j) at `k·panel + j`, zeros where B has fewer columns.

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
    src: *const V::Number,
    stride: isize,
    k: usize,
    width: usize,
    panel: usize,
    dst: *mut V::Number,
    step: usize,
) {
    let full = width / panel;
    for row in 0..k {
        // SAFETY: within the source and the panels.
        unsafe {
            let src = src.offset(row as isize * stride);
            // Rows far apart are no stream to the hardware's prefetcher.
            let ahead = src.wrapping_offset(AHEAD * stride);
            for line in (0..width).step_by(64 / size_of::<V::Number>()) {
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

/// Packs one panel of `width` columns whose rows are adjacent, `stride` from column to column, padded with zeros to
/// `panel` columns. `transpose(src, src_stride, dst, dst_stride)` moves a block of `BLOCK` × `BLOCK`.
///
/// # Safety
/// The source is readable; `dst` has room for `k·panel` numbers; `transpose` may be called.
#[inline(always)]
pub(super) unsafe fn columns<T: Copy + Default>(
    src: *const T,
    stride: isize,
    k: usize,
    width: usize,
    panel: usize,
    dst: *mut T,
    transpose: impl Fn(*const T, isize, *mut T, usize),
) {
    let (whole_k, whole_j) = (k - k % BLOCK, width - width % BLOCK);
    // SAFETY: within the source and the panel.
    unsafe {
        for j in (0..whole_j).step_by(BLOCK) {
            let src = src.offset(j as isize * stride);
            for row in (0..whole_k).step_by(BLOCK) {
                transpose(src.add(row), stride, dst.add(row * panel + j), panel);
            }
        }
        for j in 0..panel {
            let from = src.offset(if j < width { j as isize * stride } else { 0 });
            let done = if j < whole_j { whole_k } else { 0 };
            for row in done..k {
                *dst.add(row * panel + j) = if j < width { *from.add(row) } else { T::default() };
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
pub(super) unsafe fn transpose_scalar<T: Copy>(src: *const T, src_stride: isize, dst: *mut T, dst_stride: usize) {
    for j in 0..BLOCK {
        for i in 0..BLOCK {
            // SAFETY: within the blocks.
            unsafe { *dst.add(i * dst_stride + j) = *src.offset(j as isize * src_stride).add(i) };
        }
    }
}

/// [`transpose_scalar`] in eight registers.
///
/// # Safety
/// Both blocks lie within their buffers; AVX2 is available.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) unsafe fn transpose_f32_avx2(src: *const f32, src_stride: isize, dst: *mut f32, dst_stride: usize) {
    use std::arch::x86_64::*;
    // SAFETY: within the blocks; the instruction set is the caller's.
    unsafe {
        let r: [__m256; 8] = std::array::from_fn(|j| _mm256_loadu_ps(src.offset(j as isize * src_stride)));
        // Pairs of columns interleaved, then quadruples, then the halves exchanged.
        let t: [__m256; 8] = std::array::from_fn(|i| {
            let (a, b) = (r[i & !1], r[i | 1]);
            if i % 2 == 0 { _mm256_unpacklo_ps(a, b) } else { _mm256_unpackhi_ps(a, b) }
        });
        let u: [__m256; 8] = std::array::from_fn(|i| {
            let (a, b) = (t[(i & 4) | (i >> 1 & 1)], t[(i & 4) | (i >> 1 & 1) | 2]);
            if i % 2 == 0 { _mm256_shuffle_ps::<0x44>(a, b) } else { _mm256_shuffle_ps::<0xee>(a, b) }
        });
        for i in 0..4 {
            _mm256_storeu_ps(dst.add(i * dst_stride), _mm256_permute2f128_ps::<0x20>(u[i], u[i + 4]));
            _mm256_storeu_ps(dst.add((i + 4) * dst_stride), _mm256_permute2f128_ps::<0x31>(u[i], u[i + 4]));
        }
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
