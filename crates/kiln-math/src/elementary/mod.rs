//! Elementary functions in f32: branch-free polynomials on one fused multiply-add, so that a loop over them becomes
//! vector code and every device computes the same bits.
//!
//! | function | largest error against f64, in units of the last place |
//! |---|---|
//! | exp, expm1 | 1.5 |
//! | ln, ln_1p | 2 |
//! | tanh | 2 |
//! | sigmoid | 2.5 |
//! | erf | 2 |
//! | sin, cos | 2 for \|x\| ≤ 8192 |
//! | powf | 2 + 2·\|e·ln x\| |
//!
//! The coefficients of exp, ln, tanh, sin and cos are those of Cephes (S. Moshier); erf follows N. Juffa.
//! f64 goes by the standard library: it serves gradient checks and references.

mod error_function;
mod exponential;
mod hyperbolic;
mod logarithm;
mod trigonometric;

pub use error_function::erf;
pub use exponential::{exp, expm1, sigmoid};
pub use hyperbolic::tanh;
pub use logarithm::{ln, ln_1p, powf};
pub use trigonometric::{cos, sin};

/// How a · b + c is computed: with one rounding, or on machines without such an instruction with two.
pub trait MulAdd {
    /// a · b + c
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
}

/// One rounding.
#[derive(Clone, Copy, Debug)]
pub struct FusedMulAdd;
impl MulAdd for FusedMulAdd {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

/// Two roundings: `f32::mul_add` without the instruction is a slow library call.
#[derive(Clone, Copy, Debug)]
pub struct TwoRoundings;
impl MulAdd for TwoRoundings {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

/// Horner's scheme; coefficients from the highest power down.
#[inline(always)]
fn polynomial<M: MulAdd, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[0];
    let mut i = 1;
    while i < N {
        sum = M::mul_add(sum, x, coefficients[i]);
        i += 1;
    }
    sum
}

/// A select that is no branch.
#[inline(always)]
fn select(condition: bool, then: f32, otherwise: f32) -> f32 {
    if condition { then } else { otherwise }
}

/// Adding this rounds to an integer, which then lies in the low bits.
const ROUNDING: f32 = 12_582_912.0; // 1.5 · 2²³
