//! Half types to f32 and back, by slices: compiled for each instruction set, as their loops are most of what a cheap operation costs.

use super::Stored;
use crate::{Isa, Kernel, Simd};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

struct Widen<'a>(&'a [bf16], &'a mut [f32]);
struct Narrow<'a>(&'a [f32], &'a mut [bf16]);

impl Kernel for Widen<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (to, &from) in self.1.iter_mut().zip(self.0) {
            *to = from.load();
        }
    }
}

impl Kernel for Narrow<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (to, &from) in self.1.iter_mut().zip(self.0) {
            *to = bf16::store(from);
        }
    }
}

/// bf16 to f32, as many as both slices have.
#[inline]
pub(super) fn widen_bf16(from: &[bf16], to: &mut [f32]) {
    Isa::best().run(Widen(from, to));
}

/// f32 to bf16, as many as both slices have.
#[inline]
pub(super) fn narrow_bf16(from: &[f32], to: &mut [bf16]) {
    Isa::best().run(Narrow(from, to));
}

/// f16 to f32, as many as both slices have.
#[inline]
pub(super) fn widen_f16(from: &[f16], to: &mut [f32]) {
    let n = from.len().min(to.len());
    let (from, to) = (&from[..n], &mut to[..n]);
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx") && is_x86_feature_detected!("f16c") {
        // SAFETY: the machine has these features.
        return unsafe { f16c::widen(from, to) };
    }
    from.convert_to_f32_slice(to);
}

/// f32 to f16, as many as both slices have.
#[inline]
pub(super) fn narrow_f16(from: &[f32], to: &mut [f16]) {
    let n = from.len().min(to.len());
    let (from, to) = (&from[..n], &mut to[..n]);
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx") && is_x86_feature_detected!("f16c") {
        // SAFETY: the machine has these features.
        return unsafe { f16c::narrow(from, to) };
    }
    to.convert_from_f32_slice(from);
}

/// Eight at a time by x86's own instructions. (The crate half has them too, behind a call for each eight.)
#[cfg(target_arch = "x86_64")]
mod f16c {
    use half::f16;
    use half::slice::HalfFloatSliceExt;
    use std::arch::x86_64::{
        _MM_FROUND_TO_NEAREST_INT, _mm_loadu_si128, _mm_storeu_si128, _mm256_cvtph_ps, _mm256_cvtps_ph,
        _mm256_loadu_ps, _mm256_storeu_ps,
    };

    #[target_feature(enable = "avx,f16c")]
    pub(super) fn widen(from: &[f16], to: &mut [f32]) {
        let ((from, rest), (to, others)) = (from.as_chunks::<8>(), to.as_chunks_mut::<8>());
        for (from, to) in from.iter().zip(to) {
            // SAFETY: eight elements are read and written.
            unsafe { _mm256_storeu_ps(to.as_mut_ptr(), _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast()))) };
        }
        rest.convert_to_f32_slice(others);
    }

    #[target_feature(enable = "avx,f16c")]
    pub(super) fn narrow(from: &[f32], to: &mut [f16]) {
        let ((from, rest), (to, others)) = (from.as_chunks::<8>(), to.as_chunks_mut::<8>());
        for (from, to) in from.iter().zip(to) {
            // SAFETY: as above.
            unsafe {
                let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm256_loadu_ps(from.as_ptr()));
                _mm_storeu_si128(to.as_mut_ptr().cast(), halves);
            }
        }
        others.convert_from_f32_slice(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Equal bits, or both NaN.
    fn same(a: f32, b: f32) -> bool {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
    }

    #[test]
    fn all_halves_are_widened_as_one_by_one_and_come_back() {
        let bits: Vec<u16> = (0..=u16::MAX).collect();
        let mut wide = vec![0.0; bits.len()];
        let halves: Vec<bf16> = bits.iter().map(|&bits| bf16::from_bits(bits)).collect();
        widen_bf16(&halves, &mut wide);
        assert!(halves.iter().zip(&wide).all(|(half, &wide)| same(half.to_f32(), wide)));
        let mut back = vec![bf16::ZERO; bits.len()];
        narrow_bf16(&wide, &mut back);
        assert!(halves.iter().zip(&back).all(|(a, b)| same(a.to_f32(), b.to_f32())));
        let halves: Vec<f16> = bits.iter().map(|&bits| f16::from_bits(bits)).collect();
        widen_f16(&halves, &mut wide);
        assert!(halves.iter().zip(&wide).all(|(half, &wide)| same(half.to_f32(), wide)));
        let mut back = vec![f16::ZERO; bits.len()];
        narrow_f16(&wide, &mut back);
        assert!(halves.iter().zip(&back).all(|(a, b)| same(a.to_f32(), b.to_f32())));
    }

    #[test]
    fn numbers_are_rounded_as_one_by_one_at_every_length() {
        // Ties, neighbors of ties, overflow, denormal numbers, infinities and NaN.
        let odd = [0.0, -0.0, 1.0 + 2f32.powi(-8), 1.0 + 3.0 * 2f32.powi(-8), 1.0 + 2f32.powi(-11), 65519.9, 65520.0];
        let more = [3.39e38, f32::MAX, 1e-40, 6e-8, 3e-8, 2.9e-8, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
        let near = |&x: &f32| [x, f32::from_bits(x.to_bits() ^ 1), -x];
        let all: Vec<f32> = odd.iter().chain(&more).flat_map(near).collect();
        for length in 0..all.len() {
            for from in [&all[..length], &all[all.len() - length..]] {
                let (mut b, mut f) = (vec![bf16::ZERO; length], vec![f16::ZERO; length]);
                narrow_bf16(from, &mut b);
                narrow_f16(from, &mut f);
                for ((&x, b), f) in from.iter().zip(&b).zip(&f) {
                    assert!(same(b.to_f32(), bf16::from_f32(x).to_f32()), "{x}: {b}");
                    assert!(same(f.to_f32(), f16::from_f32(x).to_f32()), "{x}: {f}");
                }
            }
        }
    }
}
