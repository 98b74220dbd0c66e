//! Registers of integer dot products: each lane of 32 bits is a word of small integers, or an i32 sum of their products.
//!
//! Lanes are declared as f32, so that maps, panels and tiles of words are those of floats. Only bits are moved.

use crate::gemm::vector::{Lanes, Sums};
use crate::inference::panels::Completed;
#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Words of two i16.
#[derive(Clone, Copy)]
pub(in crate::inference) struct Pairs<V>(V);

/// Words of four integers of 8 bits: those of maps unsigned, those of weights signed.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[derive(Clone, Copy)]
pub(in crate::inference) struct Quads<V>(V);

/// Whether the processor has instructions for words of four.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(in crate::inference) fn has_quads() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512vnni");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("dotprod");
}

/// Moves are those of the floats of the same bits; `$dot(c, a, b)` adds the products of each lane's words to c.
macro_rules! words {
    ($($(#[$gate:meta])* $name:ident<$register:ty>: $splat:expr, $dot:expr, $add:expr, $floats:expr;)*) => { $(
        $(#[$gate])*
        impl Sums for $name<$register> {
            type Lane = f32;
            const LANES: usize = <$register as Sums>::LANES;
            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { <$register>::zero() })
            }
            #[inline(always)]
            unsafe fn load(p: *const f32) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { <$register>::load(p) })
            }
            #[inline(always)]
            unsafe fn splat(p: *const f32) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $splat(<$register>::splat(p)) })
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut f32) {
                // SAFETY: as the trait demands.
                unsafe { self.0.store(p) }
            }
            #[inline(always)]
            unsafe fn fma(self, a: Self, b: Self) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $dot(self.0, a.0, b.0) })
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $add(self.0, other.0) })
            }
        }

        $(#[$gate])*
        impl Completed for $name<$register> {
            type Floats = $register;
            #[inline(always)]
            unsafe fn floats(self) -> $register {
                // SAFETY: as the trait demands.
                unsafe { $floats(self.0) }
            }
            #[inline(always)]
            fn of(floats: $register) -> Self {
                $name(floats)
            }
        }
    )* };
}

words! {
    #[cfg(target_arch = "x86_64")]
    Pairs<__m512>: |x| x,
        |c, a, b| add_512(c, _mm512_castsi512_ps(_mm512_madd_epi16(_mm512_castps_si512(a), _mm512_castps_si512(b)))),
        |a, b| add_512(a, b), |x| _mm512_cvtepi32_ps(_mm512_castps_si512(x));
    #[cfg(target_arch = "x86_64")]
    Quads<__m512>: |x| x,
        |c, a, b| _mm512_castsi512_ps(_mm512_dpbusd_epi32(
            _mm512_castps_si512(c), _mm512_castps_si512(a), _mm512_castps_si512(b))),
        |a, b| add_512(a, b), |x| _mm512_cvtepi32_ps(_mm512_castps_si512(x));
    #[cfg(target_arch = "x86_64")]
    Pairs<__m256>: |x| x,
        |c, a, b| add_256(c, _mm256_castsi256_ps(_mm256_madd_epi16(_mm256_castps_si256(a), _mm256_castps_si256(b)))),
        |a, b| add_256(a, b), |x| _mm256_cvtepi32_ps(_mm256_castps_si256(x));
    #[cfg(target_arch = "aarch64")]
    Pairs<float32x4_t>: |x| x, |c, a, b| dot_pairs(c, a, b),
        |a, b| add_neon(a, b), |x| vcvtq_f32_s32(vreinterpretq_s32_f32(x));
    #[cfg(target_arch = "aarch64")]
    // The instruction takes signed integers: 128 less than those of the map.
    Quads<float32x4_t>: |x| vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(x), vdupq_n_u32(0x8080_8080))),
        |c, a, b| dot_quads(c, a, b),
        |a, b| add_neon(a, b), |x| vcvtq_f32_s32(vreinterpretq_s32_f32(x));
    Pairs<Lanes<f32, 4>>: |x| x, portable_dot, portable_add, portable_floats;
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn add_512(a: __m512, b: __m512) -> __m512 {
    // SAFETY: the caller has AVX-512.
    unsafe { _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b))) }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn add_256(a: __m256, b: __m256) -> __m256 {
    // SAFETY: the caller has AVX2.
    unsafe { _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b))) }
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
unsafe fn add_neon(a: float32x4_t, b: float32x4_t) -> float32x4_t {
    // SAFETY: the caller has NEON.
    unsafe { vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a), vreinterpretq_s32_f32(b))) }
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
unsafe fn dot_pairs(c: float32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
    // SAFETY: the caller has NEON.
    unsafe {
        let (a, b) = (vreinterpretq_s16_f32(a), vreinterpretq_s16_f32(b));
        let products = vpaddq_s32(vmull_s16(vget_low_s16(a), vget_low_s16(b)), vmull_high_s16(a, b));
        vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(c), products))
    }
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
unsafe fn dot_quads(mut c: float32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
    // SAFETY: the caller has the dot products; the instruction touches registers only. The intrinsic is not stable yet.
    unsafe {
        std::arch::asm!(
            ".arch_extension dotprod",
            "sdot {c:v}.4s, {a:v}.16b, {b:v}.16b",
            c = inout(vreg) c, a = in(vreg) a, b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    c
}

fn lanes(bits: impl Fn(usize) -> u32) -> Lanes<f32, 4> {
    Lanes(std::array::from_fn(|i| f32::from_bits(bits(i))))
}

// Safety: none of the portable functions needs anything; they are unsafe as the others are.
#[inline(always)]
unsafe fn portable_add(a: Lanes<f32, 4>, b: Lanes<f32, 4>) -> Lanes<f32, 4> {
    lanes(|i| a.0[i].to_bits().wrapping_add(b.0[i].to_bits()))
}

#[inline(always)]
unsafe fn portable_floats(x: Lanes<f32, 4>) -> Lanes<f32, 4> {
    Lanes(x.0.map(|x| x.to_bits() as i32 as f32))
}

#[inline(always)]
unsafe fn portable_dot(c: Lanes<f32, 4>, a: Lanes<f32, 4>, b: Lanes<f32, 4>) -> Lanes<f32, 4> {
    lanes(|i| {
        let halves = |x: f32| [x.to_bits() as i16, (x.to_bits() >> 16) as i16].map(i32::from);
        let ([a, b], [c0, c1]) = (halves(a.0[i]), halves(b.0[i]));
        (c.0[i].to_bits() as i32).wrapping_add(a * c0).wrapping_add(b * c1) as u32
    })
}
