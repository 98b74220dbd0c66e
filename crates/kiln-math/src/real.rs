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
    /// log₂ x
    fn log2(self) -> Self;
    /// log₁₀ x
    fn log10(self) -> Self;
    /// sin x
    fn sin(self) -> Self;
    /// cos x
    fn cos(self) -> Self;
    /// asin x
    fn asin(self) -> Self;
    /// acos x
    fn acos(self) -> Self;
    /// atan x
    fn atan(self) -> Self;
    /// The angle of the point (x, self), from −π to π.
    fn atan2(self, x: Self) -> Self;
    /// tanh x
    fn tanh(self) -> Self;
    /// erf x
    fn erf(self) -> Self;
    /// The y with erf y = x.
    fn erfinv(self) -> Self;
    /// ln |Γ(x)|
    fn lgamma(self) -> Self;
    /// ψ(x), the derivative of ln Γ.
    fn digamma(self) -> Self;
    /// ψ⁽ⁿ⁾(x), where n is the integer nearest to `order`, a constant.
    fn polygamma(self, order: Self) -> Self;
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
    /// |self| with the sign of `sign`.
    fn copysign(self, sign: Self) -> Self;
    /// self − n · divisor, where n is the quotient without its fraction; exact.
    fn fmod(self, divisor: Self) -> Self;
    /// √(self² + other²)
    fn hypot(self, other: Self) -> Self;
    /// self < other ? then : otherwise; `otherwise` where either is NaN.
    fn if_less(self, other: Self, then: Self, otherwise: Self) -> Self;
    /// self to the power of `exponent`.
    fn powf(self, exponent: Self) -> Self;
}
