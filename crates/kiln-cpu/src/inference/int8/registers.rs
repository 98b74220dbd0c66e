//! Registers of integer dot products: each lane of 32 bits is a word of small integers, or an i32 sum of their products.
//!
//! Lanes are declared as f32, so that maps, panels and tiles of words are those of floats. Only bits are moved.

use super::quantize::{Rounding, Words};
use crate::gemm::vector::{Lanes, Sums, Vector};
use crate::inference::panels::{Completed, WIDEST};
#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Registers of floats that are written as integers.
pub(in crate::inference) trait Integers: Vector<Lane = f32> {
    /// Writes the integers of registers of adjacent channels, of at most a panel.
    ///
    /// # Safety
    /// All integers that begin at `to` are this call's alone; the instruction set of the register is available.
    #[inline(always)]
    unsafe fn write_integers(row: &[Self], by: Rounding, words: Words, to: *mut u8) {
        let mut floats = [0.0_f32; WIDEST];
        for (x, floats) in row.iter().zip(floats.chunks_exact_mut(Self::LANES)) {
            // SAFETY: as the caller promises; the floats are a whole register.
            unsafe { x.store(floats.as_mut_ptr()) };
        }
        for (i, &x) in floats[..row.len() * Self::LANES].iter().enumerate() {
            // SAFETY: as the caller promises.
            unsafe {
                match words {
                    Words::Pairs => *to.cast::<u16>().add(i) = u16::from(by.integer(x)),
                    Words::Quads => *to.add(i) = by.integer(x),
                }
            }
        }
    }
}

impl Integers for Lanes<f32, 4> {}

#[cfg(target_arch = "aarch64")]
impl Integers for float32x4_t {}

#[cfg(target_arch = "x86_64")]
impl Integers for __m256 {
    #[inline(always)]
    unsafe fn write_integers(row: &[Self], by: Rounding, words: Words, to: *mut u8) {
        // SAFETY: the caller's promise; AVX2 is there.
        unsafe {
            let (inverse, zero) = (_mm256_set1_ps(by.inverse), _mm256_set1_ps(by.zero));
            let (least, most) = (_mm256_set1_ps(-by.zero), _mm256_set1_ps(255.0 - by.zero));
            let integers = |x: __m256| {
                let scaled = _mm256_mul_ps(x, inverse);
                let scaled = _mm256_and_ps(scaled, _mm256_cmp_ps::<_CMP_ORD_Q>(scaled, scaled));
                _mm256_cvtps_epi32(_mm256_add_ps(_mm256_min_ps(_mm256_max_ps(scaled, least), most), zero))
            };
            for (i, &x) in row.iter().enumerate() {
                let x = integers(x);
                // 16 bits each; those of the upper half go on from those of the lower one.
                let pairs = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(x, x));
                let pairs = _mm256_castsi256_si128(pairs);
                match words {
                    Words::Pairs => _mm_storeu_si128(to.cast::<__m128i>().add(i), pairs),
                    Words::Quads => _mm_storel_epi64(to.add(8 * i).cast(), _mm_packus_epi16(pairs, pairs)),
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Integers for __m512 {
    #[inline(always)]
    unsafe fn write_integers(row: &[Self], by: Rounding, words: Words, to: *mut u8) {
        // SAFETY: the caller's promise; AVX-512 is there.
        unsafe {
            let (inverse, zero) = (_mm512_set1_ps(by.inverse), _mm512_set1_ps(by.zero));
            let (least, most) = (_mm512_set1_ps(-by.zero), _mm512_set1_ps(255.0 - by.zero));
            for (i, &x) in row.iter().enumerate() {
                let scaled = _mm512_mul_ps(x, inverse);
                let scaled = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_ORD_Q>(scaled, scaled), scaled);
                let x = _mm512_add_ps(_mm512_min_ps(_mm512_max_ps(scaled, least), most), zero);
                let x = _mm512_cvtps_epi32(x);
                match words {
                    Words::Pairs => _mm256_storeu_si256(to.cast::<__m256i>().add(i), _mm512_cvtepi32_epi16(x)),
                    Words::Quads => _mm_storeu_si128(to.cast::<__m128i>().add(i), _mm512_cvtepi32_epi8(x)),
                }
            }
        }
    }
}

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
