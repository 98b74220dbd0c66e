//! The registers the micro-kernels compute in: a few operations per instruction set and number type.
//!
//! Arrays `[f32; 16]` with `mul_add` reach the same speed when everything unrolls, but whether it does hangs on the
//! optimizer's mood and level; with the register types it does so in every build.

/// A register of `LANES` sums of products: what a micro-kernel needs.
///
/// # Safety
/// Every method needs the instruction set it is compiled for: callers are `#[target_feature]` functions, entered after
/// a check of [`crate::Isa::is_available`].
pub trait Sums: Copy {
    /// What it holds `LANES` of.
    type Lane: Copy;
    /// The numbers in a register.
    const LANES: usize;
    /// All zeros.
    unsafe fn zero() -> Self;
    /// The `LANES` numbers at `p`, of any alignment.
    unsafe fn load(p: *const Self::Lane) -> Self;
    /// The number at `p` in every lane.
    unsafe fn splat(p: *const Self::Lane) -> Self;
    /// Writes the `LANES` numbers to `p`, of any alignment.
    unsafe fn store(self, p: *mut Self::Lane);
    /// `self + a·b`, rounded once, except on the portable path.
    unsafe fn fma(self, a: Self, b: Self) -> Self;
    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
}

/// A register of `LANES` numbers.
///
/// # Safety
/// As [`Sums`].
pub trait Vector: Sums {
    /// The first `n < LANES` numbers at `p`, and zeros; no more than those is read.
    unsafe fn load_first(p: *const Self::Lane, n: usize) -> Self;
    /// `self − other`.
    unsafe fn sub(self, other: Self) -> Self;
    /// `self − a·b`, rounded once, except on the portable path.
    unsafe fn fnma(self, a: Self, b: Self) -> Self;
    /// `self · other`.
    unsafe fn mul(self, other: Self) -> Self;
    /// max(self, 0): NaN stays NaN, −0 becomes 0.
    unsafe fn relu(self) -> Self;
    /// min(self, most): NaN stays NaN.
    unsafe fn at_most(self, most: Self) -> Self;
    /// Asks for the cache line at `p`, which need not be a valid address.
    #[inline(always)]
    fn prefetch(p: *const Self::Lane) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch reads nothing and faults nowhere; SSE is in the baseline.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(p.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = p;
    }
}

macro_rules! vector {
    ($($register:ty, $number:ty, $lanes:literal:
        $zero:ident $load:ident $splat:ident $store:ident $add:ident $sub:ident $mul:ident,
        // The minimum of two, the second where either is NaN, or NaN.
        $fma:expr, $fnma:expr, $relu:expr, $at_most:expr, $load_first:expr;)*) => { $(
        impl Sums for $register {
            type Lane = $number;
            const LANES: usize = $lanes;
            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: as the trait demands.
                unsafe { $zero(0.0) }
            }
            #[inline(always)]
            unsafe fn load(p: *const $number) -> Self {
                // SAFETY: as the trait demands; `p` has LANES readable numbers.
                unsafe { $load(p) }
            }
            #[inline(always)]
            unsafe fn splat(p: *const $number) -> Self {
                // SAFETY: as the trait demands; `p` is readable.
                unsafe { $splat(*p) }
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $number) {
                // SAFETY: as the trait demands; `p` has LANES writable numbers.
                unsafe { $store(p, self) }
            }
            #[inline(always)]
            unsafe fn fma(self, a: Self, b: Self) -> Self {
                // SAFETY: as the trait demands.
                unsafe { $fma(self, a, b) }
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: as the trait demands.
                unsafe { $add(self, other) }
            }
        }

        impl Vector for $register {
            #[inline(always)]
            unsafe fn load_first(p: *const $number, n: usize) -> Self {
                // SAFETY: as the trait demands; `p` has `n` readable numbers, and masked lanes are not read.
                unsafe { $load_first(p, n) }
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                // SAFETY: as the trait demands.
                unsafe { $sub(self, other) }
            }
            #[inline(always)]
            unsafe fn fnma(self, a: Self, b: Self) -> Self {
                // SAFETY: as the trait demands.
                unsafe { $fnma(self, a, b) }
            }
            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                // SAFETY: as the trait demands.
                unsafe { $mul(self, other) }
            }
            #[inline(always)]
            unsafe fn relu(self) -> Self {
                // SAFETY: as the trait demands.
                unsafe { $relu(self) }
            }
            #[inline(always)]
            unsafe fn at_most(self, most: Self) -> Self {
                // SAFETY: as the trait demands.
                unsafe { $at_most(most, self) }
            }
        }
    )* };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Sums, Vector};
    use std::arch::x86_64::*;

    vector! {
        __m512, f32, 16: _mm512_set1_ps _mm512_loadu_ps _mm512_set1_ps _mm512_storeu_ps
            _mm512_add_ps _mm512_sub_ps _mm512_mul_ps,
            |c, a, b| _mm512_fmadd_ps(a, b, c), |c, a, b| _mm512_fnmadd_ps(a, b, c),
            |x| _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_NLE_UQ>(x, _mm512_setzero_ps()), x),
            |a, b| _mm512_min_ps(a, b),
            |p, n| _mm512_maskz_loadu_ps(((1_u32 << n) - 1) as _, p);
        __m512d, f64, 8: _mm512_set1_pd _mm512_loadu_pd _mm512_set1_pd _mm512_storeu_pd
            _mm512_add_pd _mm512_sub_pd _mm512_mul_pd,
            |c, a, b| _mm512_fmadd_pd(a, b, c), |c, a, b| _mm512_fnmadd_pd(a, b, c),
            |x| _mm512_maskz_mov_pd(_mm512_cmp_pd_mask::<_CMP_NLE_UQ>(x, _mm512_setzero_pd()), x),
            |a, b| _mm512_min_pd(a, b),
            |p, n| _mm512_maskz_loadu_pd(((1_u32 << n) - 1) as _, p);
        __m256, f32, 8: _mm256_set1_ps _mm256_loadu_ps _mm256_set1_ps _mm256_storeu_ps
            _mm256_add_ps _mm256_sub_ps _mm256_mul_ps,
            |c, a, b| _mm256_fmadd_ps(a, b, c), |c, a, b| _mm256_fnmadd_ps(a, b, c),
            |x| _mm256_and_ps(_mm256_cmp_ps::<_CMP_NLE_UQ>(x, _mm256_setzero_ps()), x),
            |a, b| _mm256_min_ps(a, b),
            |p, n| _mm256_maskload_ps(p, mask(n));
        __m256d, f64, 4: _mm256_set1_pd _mm256_loadu_pd _mm256_set1_pd _mm256_storeu_pd
            _mm256_add_pd _mm256_sub_pd _mm256_mul_pd,
            |c, a, b| _mm256_fmadd_pd(a, b, c), |c, a, b| _mm256_fnmadd_pd(a, b, c),
            |x| _mm256_and_pd(_mm256_cmp_pd::<_CMP_NLE_UQ>(x, _mm256_setzero_pd()), x),
            |a, b| _mm256_min_pd(a, b),
            |p, n| _mm256_maskload_pd(p, mask(2 * n));
    }

    /// The first `n` 32-bit lanes set.
    #[inline(always)]
    unsafe fn mask(n: usize) -> __m256i {
        // SAFETY: AVX2, as the trait demands.
        unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use super::{Sums, Vector, first};
    use std::arch::aarch64::*;

    vector! {
        float32x4_t, f32, 4: vdupq_n_f32 vld1q_f32 vdupq_n_f32 vst1q_f32 vaddq_f32 vsubq_f32 vmulq_f32,
            |c, a, b| vfmaq_f32(c, a, b), |c, a, b| vfmsq_f32(c, a, b),
            |x| vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(x), vcleq_f32(x, vdupq_n_f32(0.0)))),
            |a, b| vminq_f32(a, b),
            |p, n| vld1q_f32(first::<f32, 4>(p, n).as_ptr());
        float64x2_t, f64, 2: vdupq_n_f64 vld1q_f64 vdupq_n_f64 vst1q_f64 vaddq_f64 vsubq_f64 vmulq_f64,
            |c, a, b| vfmaq_f64(c, a, b), |c, a, b| vfmsq_f64(c, a, b),
            |x| vreinterpretq_f64_u64(vbicq_u64(vreinterpretq_u64_f64(x), vcleq_f64(x, vdupq_n_f64(0.0)))),
            |a, b| vminq_f64(a, b),
            |p, n| vld1q_f64(first::<f64, 2>(p, n).as_ptr());
    }
}

/// A register of f32 sums to which `fma` adds the dot products of words of two bf16; see [`super::pairs`]. Words are moved as f32.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Pairs(pub(super) std::arch::x86_64::__m512);

/// Its methods need AVX-512 BF16.
#[cfg(target_arch = "x86_64")]
impl Sums for Pairs {
    type Lane = f32;
    const LANES: usize = 16;
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: as the trait demands.
        Pairs(unsafe { std::arch::x86_64::_mm512_setzero_ps() })
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: as the trait demands; `p` has LANES readable numbers.
        Pairs(unsafe { std::arch::x86_64::_mm512_loadu_ps(p) })
    }
    #[inline(always)]
    unsafe fn splat(p: *const f32) -> Self {
        // SAFETY: as the trait demands; `p` is readable. An integer's broadcast, as no number is meant.
        Pairs(unsafe { std::arch::x86_64::_mm512_castsi512_ps(std::arch::x86_64::_mm512_set1_epi32(*p.cast::<i32>())) })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: as the trait demands; `p` has LANES writable numbers.
        unsafe { std::arch::x86_64::_mm512_storeu_ps(p, self.0) }
    }
    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        use std::arch::x86_64::{__m512bh, _mm512_dpbf16_ps};
        // SAFETY: as the trait demands; registers of the same bits.
        let pairs = |x: Self| unsafe { std::mem::transmute::<std::arch::x86_64::__m512, __m512bh>(x.0) };
        // SAFETY: as the trait demands.
        Pairs(unsafe { _mm512_dpbf16_ps(self.0, pairs(a), pairs(b)) })
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as the trait demands.
        Pairs(unsafe { std::arch::x86_64::_mm512_add_ps(self.0, other.0) })
    }
}

/// The first `n < N` numbers at `p`, and zeros.
#[inline(always)]
unsafe fn first<T: Copy + Default, const N: usize>(p: *const T, n: usize) -> [T; N] {
    // SAFETY: `p` has `n` readable numbers.
    std::array::from_fn(|i| if i < n { unsafe { *p.add(i) } } else { T::default() })
}

/// The portable path's register: the baseline's vector unit does what the compiler makes of it.
#[derive(Clone, Copy)]
pub(crate) struct Lanes<T, const N: usize>(pub(crate) [T; N]);

macro_rules! lanes {
    ($($number:ty, $lanes:literal;)*) => { $(
        impl Sums for Lanes<$number, $lanes> {
            type Lane = $number;
            const LANES: usize = $lanes;
            #[inline(always)]
            unsafe fn zero() -> Self {
                Lanes([0.0; $lanes])
            }
            #[inline(always)]
            unsafe fn load(p: *const $number) -> Self {
                // SAFETY: `p` has LANES readable numbers.
                Lanes(unsafe { p.cast::<[$number; $lanes]>().read_unaligned() })
            }
            #[inline(always)]
            unsafe fn splat(p: *const $number) -> Self {
                // SAFETY: `p` is readable.
                Lanes([unsafe { *p }; $lanes])
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $number) {
                // SAFETY: `p` has LANES writable numbers.
                unsafe { p.cast::<[$number; $lanes]>().write_unaligned(self.0) }
            }
            #[inline(always)]
            unsafe fn fma(mut self, a: Self, b: Self) -> Self {
                for i in 0..$lanes {
                    self.0[i] += a.0[i] * b.0[i];
                }
                self
            }
            #[inline(always)]
            unsafe fn add(mut self, other: Self) -> Self {
                for i in 0..$lanes {
                    self.0[i] += other.0[i];
                }
                self
            }
        }

        impl Vector for Lanes<$number, $lanes> {
            #[inline(always)]
            unsafe fn load_first(p: *const $number, n: usize) -> Self {
                // SAFETY: as the trait demands.
                Lanes(unsafe { first(p, n) })
            }
            #[inline(always)]
            unsafe fn sub(mut self, other: Self) -> Self {
                for i in 0..$lanes {
                    self.0[i] -= other.0[i];
                }
                self
            }
            #[inline(always)]
            unsafe fn fnma(mut self, a: Self, b: Self) -> Self {
                for i in 0..$lanes {
                    self.0[i] -= a.0[i] * b.0[i];
                }
                self
            }
            #[inline(always)]
            unsafe fn mul(mut self, other: Self) -> Self {
                for i in 0..$lanes {
                    self.0[i] *= other.0[i];
                }
                self
            }
            #[inline(always)]
            unsafe fn relu(mut self) -> Self {
                for x in &mut self.0 {
                    *x = if *x > 0.0 || x.is_nan() { *x } else { 0.0 };
                }
                self
            }
            #[inline(always)]
            unsafe fn at_most(mut self, most: Self) -> Self {
                for (x, most) in self.0.iter_mut().zip(most.0) {
                    *x = if *x > most { most } else { *x };
                }
                self
            }
        }
    )* };
}

lanes! {
    f32, 4;
    f64, 2;
}
