//! Numbers that carry their derivative: what tests compare `df` with.

use crate::Real;
use core::ops::{Add, Div, Mul, Neg, Sub};

/// A value and its derivative with respect to one variable (forward mode).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Dual<R> {
    /// x
    pub value: R,
    /// dx
    pub slope: R,
}

impl<R: Real> Dual<R> {
    /// The variable itself, at `value`.
    pub fn variable(value: R) -> Self {
        Dual { value, slope: R::constant(1.0) }
    }

    fn chain(self, value: R, slope: R) -> Self {
        Dual { value, slope: slope * self.slope }
    }
}

impl<R: Real> Add for Dual<R> {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Dual { value: self.value + o.value, slope: self.slope + o.slope }
    }
}
impl<R: Real> Sub for Dual<R> {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Dual { value: self.value - o.value, slope: self.slope - o.slope }
    }
}
impl<R: Real> Mul for Dual<R> {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        Dual { value: self.value * o.value, slope: self.slope * o.value + self.value * o.slope }
    }
}
impl<R: Real> Div for Dual<R> {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        let value = self.value / o.value;
        Dual { value, slope: (self.slope - value * o.slope) / o.value }
    }
}
impl<R: Real> Neg for Dual<R> {
    type Output = Self;
    fn neg(self) -> Self {
        Dual { value: -self.value, slope: -self.slope }
    }
}

impl<R: Real> Real for Dual<R> {
    fn constant(value: f64) -> Self {
        Dual { value: R::constant(value), slope: R::constant(0.0) }
    }
    fn mul_add(self, a: Self, b: Self) -> Self {
        Dual { value: self.value.mul_add(a.value, b.value), ..self * a + b }
    }
    fn abs(self) -> Self {
        let zero = R::constant(0.0);
        let slope = self.value.if_less(zero, -self.slope, zero.if_less(self.value, self.slope, zero));
        Dual { value: self.value.abs(), slope }
    }
    fn sqrt(self) -> Self {
        let y = self.value.sqrt();
        self.chain(y, R::constant(0.5) / y)
    }
    fn exp(self) -> Self {
        let y = self.value.exp();
        self.chain(y, y)
    }
    fn expm1(self) -> Self {
        self.chain(self.value.expm1(), self.value.exp())
    }
    fn ln(self) -> Self {
        self.chain(self.value.ln(), R::constant(1.0) / self.value)
    }
    fn ln_1p(self) -> Self {
        self.chain(self.value.ln_1p(), R::constant(1.0) / (R::constant(1.0) + self.value))
    }
    fn sin(self) -> Self {
        self.chain(self.value.sin(), self.value.cos())
    }
    fn cos(self) -> Self {
        self.chain(self.value.cos(), -self.value.sin())
    }
    fn log2(self) -> Self {
        self.chain(self.value.log2(), R::constant(core::f64::consts::LOG2_E) / self.value)
    }
    fn log10(self) -> Self {
        self.chain(self.value.log10(), R::constant(core::f64::consts::LOG10_E) / self.value)
    }
    fn asin(self) -> Self {
        let one = R::constant(1.0);
        self.chain(self.value.asin(), one / (one - self.value * self.value).sqrt())
    }
    fn acos(self) -> Self {
        let one = R::constant(1.0);
        self.chain(self.value.acos(), -one / (one - self.value * self.value).sqrt())
    }
    fn atan(self) -> Self {
        let one = R::constant(1.0);
        self.chain(self.value.atan(), one / (one + self.value * self.value))
    }
    fn atan2(self, x: Self) -> Self {
        let square = self.value * self.value + x.value * x.value;
        Dual { value: self.value.atan2(x.value), slope: (self.slope * x.value - self.value * x.slope) / square }
    }
    fn tanh(self) -> Self {
        let y = self.value.tanh();
        self.chain(y, R::constant(1.0) - y * y)
    }
    fn erf(self) -> Self {
        let slope = R::constant(core::f64::consts::FRAC_2_SQRT_PI) * (-(self.value * self.value)).exp();
        self.chain(self.value.erf(), slope)
    }
    fn erfinv(self) -> Self {
        let y = self.value.erfinv();
        self.chain(y, (y * y).exp() / R::constant(core::f64::consts::FRAC_2_SQRT_PI))
    }
    fn lgamma(self) -> Self {
        self.chain(self.value.lgamma(), self.value.digamma())
    }
    fn digamma(self) -> Self {
        self.chain(self.value.digamma(), self.value.polygamma(R::constant(1.0)))
    }
    fn polygamma(self, order: Self) -> Self {
        let slope = self.value.polygamma(order.value + R::constant(1.0));
        self.chain(self.value.polygamma(order.value), slope)
    }
    fn sigmoid(self) -> Self {
        let y = self.value.sigmoid();
        self.chain(y, y * (R::constant(1.0) - y))
    }
    fn floor(self) -> Self {
        Self { value: self.value.floor(), slope: R::constant(0.0) }
    }
    fn ceil(self) -> Self {
        Self { value: self.value.ceil(), slope: R::constant(0.0) }
    }
    fn round_even(self) -> Self {
        Self { value: self.value.round_even(), slope: R::constant(0.0) }
    }
    fn maximum(self, o: Self) -> Self {
        Dual { value: self.value.maximum(o.value), slope: self.value.if_less(o.value, o.slope, self.slope) }
    }
    fn minimum(self, o: Self) -> Self {
        Dual { value: self.value.minimum(o.value), slope: o.value.if_less(self.value, o.slope, self.slope) }
    }
    fn copysign(self, sign: Self) -> Self {
        let one = R::constant(1.0);
        let kept = one.copysign(self.value) * one.copysign(sign.value);
        Dual { value: self.value.copysign(sign.value), slope: kept * self.slope }
    }
    fn fmod(self, divisor: Self) -> Self {
        let value = self.value.fmod(divisor.value);
        let quotient = ((self.value - value) / divisor.value).round_even();
        Dual { value, slope: self.slope - quotient * divisor.slope }
    }
    fn hypot(self, o: Self) -> Self {
        let value = self.value.hypot(o.value);
        Dual { value, slope: (self.value * self.slope + o.value * o.slope) / value }
    }
    fn if_less(self, other: Self, then: Self, otherwise: Self) -> Self {
        Dual {
            value: self.value.if_less(other.value, then.value, otherwise.value),
            slope: self.value.if_less(other.value, then.slope, otherwise.slope),
        }
    }
    fn powf(self, e: Self) -> Self {
        let value = self.value.powf(e.value);
        let by_base = e.value * self.value.powf(e.value - R::constant(1.0)) * self.slope;
        // No logarithm where the exponent is a constant: the base may be negative then.
        let zero = R::constant(0.0);
        let by_exponent = value * self.value.ln() * e.slope;
        let moving = zero.if_less(e.slope.abs(), by_exponent, zero);
        Dual { value, slope: by_base + moving }
    }
}
