//! Compiling one source for every instruction set.
//!
//! A [`Kernel`] is a computation written over the number types of a [`Simd`], with `#[inline(always)]` on everything it
//! calls; [`Isa::run`] inlines it into a function that has the instruction set's features enabled, where the compiler
//! vectorises it. Nothing here is an intrinsic: loops over `[S::F32; 16]`, or over slices, become vector code.
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

use crate::isa::Isa;
use kiln_math::{Real, Unfused};

/// A computation compiled once per instruction set. Mark `run`, and what it calls, `#[inline(always)]`.
pub trait Kernel {
    /// What it returns.
    type Output;
    /// The computation, over the numbers of `S`.
    fn run<S: Simd>(self) -> Self::Output;
}

/// An instruction set as a type: the numbers a [`Kernel`] computes with.
///
/// `F32` and `F64` have the memory layout of `f32` and `f64`: the casts below are free.
pub trait Simd: Copy + Send + Sync + 'static {
    /// The instruction set.
    const ISA: Isa;
    /// Lanes of `f32` in a register.
    const WIDTH_F32: usize;
    /// Lanes of `f64` in a register.
    const WIDTH_F64: usize = Self::WIDTH_F32 / 2;
    /// `f32`, or on the portable path [`Unfused`] over it.
    type F32: Real + Send + Sync + 'static;
    /// `f64`, or on the portable path [`Unfused`] over it.
    type F64: Real + Send + Sync + 'static;
    /// The same numbers in the kernel's type.
    fn f32s(x: &[f32]) -> &[Self::F32];
    /// The same numbers in the kernel's type.
    fn f32s_mut(x: &mut [f32]) -> &mut [Self::F32];
    /// The same numbers in the kernel's type.
    fn f64s(x: &[f64]) -> &[Self::F64];
    /// The same numbers in the kernel's type.
    fn f64s_mut(x: &mut [f64]) -> &mut [Self::F64];
}
