//! Compiling one source for every instruction set.
//!
//! A [`Kernel`] is a computation written over the number types of a [`Simd`], with `#[inline(always)]` on everything it
//! calls; [`Isa::run`] inlines it into a function that has the instruction set's features enabled, where the compiler
//! vectorizes it. Nothing here is an intrinsic: loops over `[S::F32; 16]`, or over slices, become vector code.
//!
//! ```
//! use kiln_cpu::{Isa, Kernel, Simd};
//! use kiln_math::Real;
//!
//! /// y = a·x + y
//! struct Axpy<'a> { a: f32, x: &'a [f32], y: &'a mut [f32] }
//!
//! impl Kernel for Axpy<'_> {
//!     type Output = ();
//!     #[inline(always)]
//!     fn run<S: Simd>(self) {
//!         let a = S::F32::constant(self.a.into());
//!         for (y, &x) in S::f32s_mut(self.y).iter_mut().zip(S::f32s(self.x)) {
//!             *y = a.mul_add(x, *y);
//!         }
//!     }
//! }
//!
//! let mut y = [1.0, 2.0, 3.0];
//! Isa::best().run(Axpy { a: 2.0, x: &[1.0; 3], y: &mut y });
//! assert_eq!(y, [3.0, 4.0, 5.0]);
//! ```

use crate::gemm::vector::{Lanes, Vector};
use crate::isa::Isa;
use kiln_math::{Real, Unfused};

/// A computation compiled once per instruction set. Mark `run`, and what it calls, `#[inline(always)]`.
pub trait Kernel {
    /// What it returns.
    type Output;
    /// The computation, over the numbers of `S`.
    fn run<S: Simd>(self) -> Self::Output;
}

mod sealed {
    /// Kept to this crate's instruction sets: numbers are cast to and from theirs.
    pub trait Sealed {}
}

/// An instruction set as a type: the numbers a [`Kernel`] computes with.
///
/// `F32` and `F64` have the memory layout of `f32` and `f64`: the casts below are free.
pub trait Simd: sealed::Sealed + Copy + Send + Sync + 'static {
    /// The instruction set.
    const ISA: Isa;
    /// Lanes of `f32` in a register.
    const WIDTH_F32: usize;
    /// Lanes of `f64` in a register.
    const WIDTH_F64: usize = Self::WIDTH_F32 / 2;
    /// `f32`, or on the portable path `Unfused<f32>`: the methods of `Real` compile to the instruction set's own.
    type F32: Real + Send + Sync + 'static;
    /// `f64`, or on the portable path `Unfused<f64>`.
    type F64: Real + Send + Sync + 'static;
    /// The register of `f32`, for kernels that hold more numbers than loops over arrays are sure to keep in registers.
    #[doc(hidden)]
    type Register: Vector<Lane = f32>;
    /// The same numbers in the kernel's type.
    fn f32s(x: &[f32]) -> &[Self::F32];
    /// The same numbers in the kernel's type.
    fn f32s_mut(x: &mut [f32]) -> &mut [Self::F32];
    /// The same numbers in the kernel's type.
    fn f64s(x: &[f64]) -> &[Self::F64];
    /// The same numbers in the kernel's type.
    fn f64s_mut(x: &mut [f64]) -> &mut [Self::F64];
}

macro_rules! fused {
    ($($(#[$gate:meta])* $name:ident $lanes:literal $register:ty;)*) => { $(
        #[derive(Clone, Copy)]
        $(#[$gate])*
        struct $name;

        $(#[$gate])*
        impl sealed::Sealed for $name {}

        $(#[$gate])*
        impl Simd for $name {
            const ISA: Isa = Isa::$name;
            const WIDTH_F32: usize = $lanes;
            type F32 = f32;
            type F64 = f64;
            type Register = $register;
            #[inline(always)]
            fn f32s(x: &[f32]) -> &[f32] {
                x
            }
            #[inline(always)]
            fn f32s_mut(x: &mut [f32]) -> &mut [f32] {
                x
            }
            #[inline(always)]
            fn f64s(x: &[f64]) -> &[f64] {
                x
            }
            #[inline(always)]
            fn f64s_mut(x: &mut [f64]) -> &mut [f64] {
                x
            }
        }
    )* };
}

fused! {
    #[cfg(target_arch = "x86_64")]
    Avx512 16 std::arch::x86_64::__m512;
    #[cfg(target_arch = "x86_64")]
    Avx2 8 std::arch::x86_64::__m256;
    #[cfg(target_arch = "aarch64")]
    Neon 4 std::arch::aarch64::float32x4_t;
}

#[derive(Clone, Copy)]
struct Portable;

impl sealed::Sealed for Portable {}

impl Simd for Portable {
    const ISA: Isa = Isa::Portable;
    const WIDTH_F32: usize = 4;
    type F32 = Unfused<f32>;
    type F64 = Unfused<f64>;
    type Register = Lanes<f32, 4>;
    #[inline(always)]
    fn f32s(x: &[f32]) -> &[Unfused<f32>] {
        // SAFETY: Unfused is repr(transparent): same layout, same length.
        unsafe { std::slice::from_raw_parts(x.as_ptr().cast(), x.len()) }
    }
    #[inline(always)]
    fn f32s_mut(x: &mut [f32]) -> &mut [Unfused<f32>] {
        // SAFETY: as above, and the borrow stays exclusive.
        unsafe { std::slice::from_raw_parts_mut(x.as_mut_ptr().cast(), x.len()) }
    }
    #[inline(always)]
    fn f64s(x: &[f64]) -> &[Unfused<f64>] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(x.as_ptr().cast(), x.len()) }
    }
    #[inline(always)]
    fn f64s_mut(x: &mut [f64]) -> &mut [Unfused<f64>] {
        // SAFETY: as above, and the borrow stays exclusive.
        unsafe { std::slice::from_raw_parts_mut(x.as_mut_ptr().cast(), x.len()) }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx2>()
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn neon<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Neon>()
}

impl Isa {
    /// Runs a kernel compiled for this instruction set, or for [`Isa::Portable`] where this one is not available.
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the instruction set is available.
            Isa::Avx512 if self.is_available() => unsafe { avx512(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the instruction set is available.
            Isa::Avx2 if self.is_available() => unsafe { avx2(kernel) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: the instruction set is available.
            Isa::Neon if self.is_available() => unsafe { neon(kernel) },
            _ => kernel.run::<Portable>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Which;
    impl Kernel for Which {
        type Output = (Isa, f32, f64);
        #[inline(always)]
        fn run<S: Simd>(self) -> Self::Output {
            // A fused multiply-add keeps what the product of these loses when it is rounded.
            let mut y = [f32::EPSILON];
            let x = S::f32s_mut(&mut y)[0] + S::F32::constant(1.0);
            let r = x.mul_add(x, -(x * x));
            S::f32s_mut(&mut y)[0] = r;
            let mut z = [f64::EPSILON];
            let x = S::f64s(&z)[0] + S::F64::constant(1.0);
            let r = x.mul_add(x, -(x * x));
            S::f64s_mut(&mut z)[0] = r;
            (S::ISA, y[0], z[0])
        }
    }

    #[test]
    fn each_instruction_set_runs_its_own_kernel() {
        for &isa in Isa::available() {
            let (ran, y, z) = isa.run(Which);
            assert_eq!(ran, isa);
            assert_eq!((y != 0.0, z != 0.0), (isa.fused(), isa.fused()));
        }
    }

    #[test]
    fn an_unavailable_instruction_set_falls_back() {
        for isa in [Isa::Avx512, Isa::Avx2, Isa::Neon].into_iter().filter(|isa| !isa.is_available()) {
            assert_eq!(isa.run(Which).0, Isa::Portable);
        }
    }
}
