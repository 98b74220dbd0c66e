//! `Real` for f32, f64 and `Unfused`.

use crate::Real;
use crate::elementary::{self, FusedMulAdd, TwoRoundings};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// f32 or f64 whose multiply-add rounds twice: what the portable kernels compute with, since `mul_add` without the
/// instruction is a library call a hundred times slower. The last bit may differ.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug, Default)]
#[repr(transparent)]
pub struct Unfused<T>(pub T);

macro_rules! unfused_operators {
    ($($trait:ident $method:ident),+) => {$(
        impl<T: $trait<Output = T>> $trait for Unfused<T> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Unfused(self.0.$method(other.0))
            }
        }
    )+};
}
unfused_operators!(Add add, Sub sub, Mul mul, Div div);

impl<T: Neg<Output = T>> Neg for Unfused<T> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Unfused(-self.0)
    }
}

/// What f32 and f64 have in common; `$wrap` and `$unwrap` go between the number and `Self`.
macro_rules! shared {
    ($float:ty, |$x:ident| $unwrap:expr, $wrap:expr) => {
        #[inline(always)]
        fn constant(value: f64) -> Self {
            $wrap(value as $float)
        }
        #[inline(always)]
        fn abs(self) -> Self {
            let $x = self;
            $wrap($unwrap.abs())
        }
        #[inline(always)]
        fn sqrt(self) -> Self {
            let $x = self;
            $wrap($unwrap.sqrt())
        }
        #[inline(always)]
        fn floor(self) -> Self {
            let $x = self;
            $wrap($unwrap.floor())
        }
        #[inline(always)]
        fn ceil(self) -> Self {
            let $x = self;
            $wrap($unwrap.ceil())
        }
        #[inline(always)]
        fn round_even(self) -> Self {
            let $x = self;
            $wrap($unwrap.round_ties_even())
        }
        // Spelled out: the first operand unless the second is beyond it or NaN.
        #[inline(always)]
        fn maximum(self, other: Self) -> Self {
            if self > other || self != self { self } else { other }
        }
        #[inline(always)]
        fn minimum(self, other: Self) -> Self {
            if self < other || self != self { self } else { other }
        }
        #[inline(always)]
        fn if_less(self, other: Self, then: Self, otherwise: Self) -> Self {
            if self < other { then } else { otherwise }
        }
    };
}

macro_rules! single_precision {
    ($mul_add:ty, |$x:ident| $unwrap:expr, $wrap:expr) => {
        #[inline(always)]
        fn mul_add(self, a: Self, b: Self) -> Self {
            let un = |$x: Self| $unwrap;
            $wrap(<$mul_add as elementary::MulAdd>::mul_add(un(self), un(a), un(b)))
        }
        single_precision!(@ $mul_add, |$x| $unwrap, $wrap, exp expm1 ln ln_1p sin cos tanh erf sigmoid);
        #[inline(always)]
        fn powf(self, exponent: Self) -> Self {
            let un = |$x: Self| $unwrap;
            $wrap(elementary::powf::<$mul_add>(un(self), un(exponent)))
        }
    };
    (@ $mul_add:ty, |$x:ident| $unwrap:expr, $wrap:expr, $($function:ident)+) => {$(
        #[inline(always)]
        fn $function(self) -> Self {
            let $x = self;
            $wrap(elementary::$function::<$mul_add>($unwrap))
        }
    )+};
}

impl Real for f32 {
    shared!(f32, |x| x, std::convert::identity);
    single_precision!(FusedMulAdd, |x| x, std::convert::identity);
}

impl Real for Unfused<f32> {
    shared!(f32, |x| x.0, Unfused);
    single_precision!(TwoRoundings, |x| x.0, Unfused);
}

/// erf in double precision, by its series or its continued fraction: to 1e-15.
fn erf_f64(x: f64) -> f64 {
    let a = x.abs();
    if a.is_nan() {
        return x;
    }
    let y = if a < 2.5 {
        // 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (2n+1)!!, all terms positive
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term > sum * 1e-17 {
            n += 1.0;
            term *= 2.0 * a * a / (2.0 * n + 1.0);
            sum += term;
        }
        std::f64::consts::FRAC_2_SQRT_PI * (-a * a).exp() * sum
    } else if a < 6.0 {
        // erfc by Laplace's continued fraction, from the far end
        let mut fraction = a;
        for k in (1..=80).rev() {
            fraction = a + f64::from(k) * 0.5 / fraction;
        }
        1.0 - (-a * a).exp() / (fraction * std::f64::consts::PI.sqrt())
    } else {
        1.0
    };
    y.copysign(x)
}

macro_rules! double_precision {
    (|$x:ident| $unwrap:expr, $wrap:expr) => {
        double_precision!(@ |$x| $unwrap, $wrap, exp exp, expm1 exp_m1, ln ln, ln_1p ln_1p, sin sin, cos cos, tanh tanh);
        #[inline(always)]
        fn erf(self) -> Self {
            let $x = self;
            $wrap(erf_f64($unwrap))
        }
        #[inline(always)]
        fn sigmoid(self) -> Self {
            let $x = self;
            $wrap(1.0 / (1.0 + (-$unwrap).exp()))
        }
        #[inline(always)]
        fn powf(self, exponent: Self) -> Self {
            let un = |$x: Self| $unwrap;
            $wrap(un(self).powf(un(exponent)))
        }
    };
    (@ |$x:ident| $unwrap:expr, $wrap:expr, $($function:ident $std:ident),+) => {$(
        #[inline(always)]
        fn $function(self) -> Self {
            let $x = self;
            $wrap($unwrap.$std())
        }
    )+};
}

impl Real for f64 {
    shared!(f64, |x| x, std::convert::identity);
    double_precision!(|x| x, std::convert::identity);
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        f64::mul_add(self, a, b)
    }
}

impl Real for Unfused<f64> {
    shared!(f64, |x| x.0, Unfused);
    double_precision!(|x| x.0, Unfused);
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        self * a + b
    }
}
