//! Elementary functions: branch-free polynomials on one fused multiply-add, so that a loop over them becomes vector code and
//! every device computes the same bits.
//!
//! Each file has a function in f32 and, with `_f64` to its name, in f64. The largest errors, in units of the last place:
//!
//! | function | f32 | f64 | |
//! |---|---|---|---|
//! | exp | 1.1 | 1.1 | |
//! | expm1 | 1.6 | 1.7 | |
//! | ln | 0.9 | 1.0 | |
//! | ln_1p | 1.6 | 1.7 | |
//! | log2, log10 | 0.6 | 0.6 | exact where the logarithm is an integer |
//! | asin | 2.3 | 2.3 | |
//! | acos, atan | 1.6 | 1.6 | |
//! | atan2 | 2.4 | 1.5 | |
//! | hypot | 0.6 | 1.1 | |
//! | fmod | 0 | 0 | |
//! | sin, cos | 1.6 | 1.6 | for \|x\| ≤ 10⁵; see [`sin`] beyond |
//! | tanh | 1.5 | 2.5 | |
//! | sigmoid | 2.4 | 2.4 | |
//! | erf | 1.1 | 1.1 | |
//! | erfinv | 0.6 | 3 | |
//! | lgamma, digamma | 0.6 | 4, 6 | for x > 0; 4·10⁻¹⁵ beside a zero of digamma |
//! | polygamma | 0.6 | 40 | |
//! | powf | 0.6 | 1.5 | in f64 for \|e·ln x\| ≤ 30; up to 20 near overflow |
//!
//! They hold for subnormal results too. `tests/all/elementary.rs` measures them against the standard library, over a sample of
//! all bit patterns, `special.rs` against tables. Without a fused multiply-add (`TwoRoundings`) they are up to one unit larger.
//!
//! The f32 coefficients of exp, ln, tanh, sin and cos are those of Cephes (S. Moshier), the f64 coefficients of ln, sin and cos
//! those of fdlibm (Sun Microsystems); erf in f32 follows N. Juffa; the others are Taylor or Chebyshev coefficients.

mod asin;
mod atan;
mod erf;
mod erfinv;
mod exp;
mod expm1;
mod fmod;
mod gamma;
mod hypot;
mod ln;
mod ln_1p;
mod log2;
mod polygamma;
mod powf;
mod product;
mod sigmoid;
mod sin_cos;
mod tanh;

pub use asin::{acos, acos_f64, asin, asin_f64};
pub use atan::{atan, atan_f64, atan2, atan2_f64};
pub use erf::{erf, erf_f64};
pub use erfinv::{erfinv, erfinv_f64};
pub use exp::{exp, exp_f64};
pub use expm1::{expm1, expm1_f64};
pub use fmod::{fmod, fmod_f64};
pub use gamma::{digamma, digamma_f64, lgamma, lgamma_f64};
pub use hypot::{hypot, hypot_f64};
pub use ln::{ln, ln_f64};
pub use ln_1p::{ln_1p, ln_1p_f64};
pub use log2::{log2, log2_f64, log10, log10_f64};
pub use polygamma::{polygamma, polygamma_f64};
pub use powf::{powf, powf_f64};
pub use sigmoid::{sigmoid, sigmoid_f64};
pub use sin_cos::{cos, cos_f64, sin, sin_f64};
pub use tanh::{tanh, tanh_f64};

use crate::machine::Machine;

/// How a · b + c is computed: with one rounding, or on machines without such an instruction with two.
pub trait MulAdd: Copy {
    /// Whether it rounds once.
    const FUSED: bool;
    /// a · b + c in f32
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
    /// a · b + c in f64
    fn mul_add_f64(a: f64, b: f64, c: f64) -> f64;
}

/// One rounding.
#[derive(Clone, Copy, Debug)]
pub struct FusedMulAdd;
impl MulAdd for FusedMulAdd {
    const FUSED: bool = true;
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.fused(b, c)
    }
    #[inline(always)]
    fn mul_add_f64(a: f64, b: f64, c: f64) -> f64 {
        a.fused(b, c)
    }
}

/// Two roundings: `mul_add` without the instruction is a slow library call.
#[derive(Clone, Copy, Debug)]
pub struct TwoRoundings;
impl MulAdd for TwoRoundings {
    const FUSED: bool = false;
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
    #[inline(always)]
    fn mul_add_f64(a: f64, b: f64, c: f64) -> f64 {
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

/// As [`polynomial`], in f64.
#[inline(always)]
fn polynomial_f64<M: MulAdd, const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut sum = coefficients[0];
    let mut i = 1;
    while i < N {
        sum = M::mul_add_f64(sum, x, coefficients[i]);
        i += 1;
    }
    sum
}

/// A select that is no branch.
#[inline(always)]
fn select<T: Copy>(condition: bool, then: T, otherwise: T) -> T {
    if condition { then } else { otherwise }
}

/// Adding this to a f32 of less than 2²² rounds it to an integer, which then lies in the low bits.
const ROUNDING: f32 = 12_582_912.0; // 1.5 · 2²³
/// As [`ROUNDING`], for a f64 of less than 2⁵¹.
const ROUNDING_F64: f64 = 6_755_399_441_055_744.0; // 1.5 · 2⁵²
