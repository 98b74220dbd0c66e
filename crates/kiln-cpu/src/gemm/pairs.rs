//! Words of two bf16, for processors that have an instruction for their dot products: `sum + a₀·b₀ + a₁·b₁`, in f32.
//!
//! A word holds two elements of adjacent k, the first in its lower half; the last element of an odd k is paired with zero. Words
//! move as f32, whose bits they are; nothing computes with such a number. Products are exact, sums are rounded to nearest, denormal
//! numbers count as zeros. A chain is of words, so the bits differ from those of converted numbers; they are the same for any
//! number of threads.

use super::vector::{Lanes, Vector};
use crate::isa::Isa;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Makes panels of words from rows of bf16; see [`rows`].
pub(crate) type PackRows<T> = unsafe fn(*const u16, isize, usize, usize, usize, *mut T, usize);

/// Whether products of bf16 may be dot products: not where the environment variable `KILN_BF16` is `convert`.
fn allowed() -> &'static AtomicBool {
    static ALLOWED: OnceLock<AtomicBool> = OnceLock::new();
    ALLOWED.get_or_init(|| {
        let forced = std::env::var("KILN_BF16").unwrap_or_default();
        AtomicBool::new(!forced.trim().eq_ignore_ascii_case("convert"))
    })
}

/// With `false`, products of bf16 are computed by conversion to f32 on every processor, with the bits of f32's products of the
/// converted numbers; with `true`, which is the default, by the processor's dot products of bf16 where it has them.
pub fn use_bf16_dots(yes: bool) {
    allowed().store(yes, Ordering::Relaxed);
}

/// Whether products of bf16 are computed by the processor's dot products.
pub fn bf16_dots(isa: Isa) -> bool {
    has_bf16_dots(isa) && allowed().load(Ordering::Relaxed)
}

/// Whether the processor has dot products of bf16 that Kiln has a kernel for.
pub fn has_bf16_dots(isa: Isa) -> bool {
    #[cfg(target_arch = "x86_64")]
    return isa == Isa::Avx512 && isa.is_available() && std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = isa;
        false
    }
}

/// Words of so many elements.
pub(crate) fn words(elements: usize) -> usize {
    elements.div_ceil(2)
}

/// Whether operands, of so many elements along k from each address on, are words where they lie. The strides are those across k and
/// along k.
pub(super) fn are_words<T>(mut of: impl Iterator<Item = (*const T, usize)>, (across, along): (isize, isize)) -> bool {
    along == 1
        && across % 2 == 0
        && of.all(|(at, k)| k.is_multiple_of(2) && (at as usize).is_multiple_of(size_of::<f32>()))
}

/// From a pair of A's columns to the next, in words, where so many rows are adjacent: an odd number of cache lines, which spreads
/// the pairs over the cache's sets.
pub(super) fn pitch(rows: usize) -> usize {
    (rows.div_ceil(LINE) | 1) * LINE
}

/// Words of a cache line.
const LINE: usize = 16;

/// Rows of pairs that are fetched ahead.
const AHEAD: isize = 8;

/// Makes words of `k` rows of `width` adjacent elements, `stride` from row to row, in consecutive panels of `panel` words, panel p at
/// `dst + p·step`. Only a last panel may be partial: it is padded with zeros. `LANES` words are made at a time.
///
/// # Safety
/// The source is readable, the panels are writable.
#[inline(always)]
pub(super) unsafe fn rows<const LANES: usize>(
    src: *const u16,
    stride: isize,
    k: usize,
    width: usize,
    panel: usize,
    dst: *mut f32,
    step: usize,
) {
    for pair in 0..words(k) {
        // SAFETY: within the source and the panels.
        unsafe {
            let lower = src.offset(2 * pair as isize * stride);
            // Rows far apart are no stream to the hardware's prefetcher.
            for ahead in [AHEAD, AHEAD + 1] {
                for line in (0..width).step_by(2 * LINE) {
                    Lanes::<f32, 4>::prefetch(lower.wrapping_offset(ahead * stride).wrapping_add(line).cast());
                }
            }
            let upper = (2 * pair + 1 < k).then(|| lower.offset(stride));
            for first in (0..width).step_by(panel) {
                let count = panel.min(width - first);
                let to = std::slice::from_raw_parts_mut(dst.add(first / panel * step + pair * panel), panel);
                let lower = std::slice::from_raw_parts(lower.add(first), count);
                match upper {
                    Some(upper) => {
                        interleave::<LANES>(lower, std::slice::from_raw_parts(upper.add(first), count), to);
                    }
                    None => lower.iter().zip(&mut *to).for_each(|(&lower, to)| *to = word(lower, 0)),
                }
                to[count..].fill(0.0);
            }
        }
    }
}

/// The word of two elements.
#[inline(always)]
pub(crate) fn word(lower: u16, upper: u16) -> f32 {
    f32::from_bits(u32::from(lower) | u32::from(upper) << 16)
}

/// The words of two rows, as many as these have.
#[inline(always)]
pub(crate) fn interleave<const LANES: usize>(lower: &[u16], upper: &[u16], to: &mut [f32]) {
    let ((lowers, lower), (uppers, upper)) = (lower.as_chunks::<LANES>(), upper.as_chunks::<LANES>());
    let (tos, to) = to.as_chunks_mut::<LANES>();
    let rest = lowers.len() * LANES;
    for ((lower, upper), to) in lowers.iter().zip(uppers).zip(&mut *tos) {
        *to = std::array::from_fn(|i| word(lower[i], upper[i]));
    }
    let to = tos.as_flattened_mut().get_mut(rest..).into_iter().flatten().chain(to);
    lower.iter().zip(upper).zip(to).for_each(|((&lower, &upper), to)| *to = word(lower, upper));
}

/// Makes words of a block of any strides, along k and across: `sizes` = (k, columns), in panels as [`rows`] does.
///
/// # Safety
/// As [`rows`]; the instruction set of `pack_rows` is available.
pub(super) unsafe fn panels<T>(
    pack_rows: PackRows<T>,
    (src, (along, across)): (*const u16, (isize, isize)),
    (k, columns): (usize, usize),
    (dst, panel, step): (*mut T, usize, usize),
) {
    // SAFETY: as the caller promises. (Words are of f32, which T is: only its table has such a function.)
    unsafe {
        if across == 1 {
            return pack_rows(src, along, k, columns, panel, dst, step);
        }
        for first in (0..columns).step_by(panel) {
            let to = dst.cast::<f32>().add(first / panel * step);
            for pair in 0..words(k) {
                for j in 0..panel {
                    let from = src.wrapping_offset((first + j) as isize * across + 2 * pair as isize * along);
                    *to.add(pair * panel + j) = match (first + j < columns, 2 * pair + 1 < k) {
                        (true, true) => word(*from, *from.wrapping_offset(along)),
                        (true, false) => word(*from, 0),
                        (false, _) => 0.0,
                    };
                }
            }
        }
    }
}

/// Makes words of rows of adjacent elements, `stride` from row to row, to rows `dst_stride` words apart.
///
/// # Safety
/// The rows are readable, and there is room for their words.
pub(super) unsafe fn along<T>(
    src: *const u16,
    stride: isize,
    (rows, k): (usize, usize),
    dst: *mut T,
    dst_stride: usize,
) {
    for i in 0..rows {
        // SAFETY: as the caller promises.
        unsafe {
            let row = std::slice::from_raw_parts(src.offset(i as isize * stride), k);
            let to = std::slice::from_raw_parts_mut(dst.cast::<f32>().add(i * dst_stride), words(k));
            let (pairs, last) = row.as_chunks::<2>();
            pairs.iter().zip(&mut *to).for_each(|(&[lower, upper], to)| *to = word(lower, upper));
            if let (&[last], Some(to)) = (last, to.last_mut()) {
                *to = word(last, 0);
            }
        }
    }
}
