//! `Real`: the numbers that an elementwise definition can be written in.

use core::ops::{Add, Div, Mul, Neg, Sub};

/// A number in which an elementwise operation and its derivative can be computed.
///
/// `f32` and `f64` are what kernels use; [`Unfused`](crate::Unfused) stands in for them where the machine has no fused
/// multiply-add; [`Dual`](crate::Dual) differentiates; kiln-autograd has one that records.
/// Methods are branch-free: `if_less` is a select.
pub trait Real:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// The number nearest to `value`.
    fn constant(value: f64) -> Self;
    /// self · a + b, rounded once.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// |x|
    fn abs(self) -> Self;
    /// √x
    fn sqrt(self) -> Self;
    /// eˣ
    fn exp(self) -> Self;
    /// eˣ − 1
    fn expm1(self) -> Self;
    /// ln x
    fn ln(self) -> Self;
    /// ln(1 + x)
    fn ln_1p(self) -> Self;
    /// sin x
    fn sin(self) -> Self;
    /// cos x
    fn cos(self) -> Self;
    /// tanh x
    fn tanh(self) -> Self;
    /// erf x
    fn erf(self) -> Self;
    /// 1 / (1 + e⁻ˣ)
    fn sigmoid(self) -> Self;
    /// ⌊x⌋
    fn floor(self) -> Self;
    /// ⌈x⌉
    fn ceil(self) -> Self;
    /// The nearest integer, the even one of two.
    fn round_even(self) -> Self;
    /// The larger; NaN where either is.
    fn maximum(self, other: Self) -> Self;
    /// The smaller; NaN where either is.
    fn minimum(self, other: Self) -> Self;
    /// self < other ? then : otherwise; `otherwise` where either is NaN.
    fn if_less(self, other: Self, then: Self, otherwise: Self) -> Self;
    /// self to the power of `exponent`.
    fn powf(self, exponent: Self) -> Self;
}
