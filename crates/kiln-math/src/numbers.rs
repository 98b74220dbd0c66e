//! `Real` for f32, f64 and `Unfused`.

use crate::Real;
use crate::elementary::{self, FusedMulAdd, MulAdd, TwoRoundings};
use crate::machine::Machine;
use core::ops::{Add, Div, Mul, Neg, Sub};

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

/// `Real` for a type around `$float`: `$wrap` and `$unwrap` go between the two, `$kind` says how a · b + c is rounded.
macro_rules! real {
    ($type:ty, $float:ident, $kind:ty, |$x:ident| $unwrap:expr, $wrap:expr, $mul_add:ident, [$($pair:ident $elementary_pair:ident),+], [$($function:ident $elementary:ident),+]) => {
        impl Real for $type {
            #[inline(always)]
            fn constant(value: f64) -> Self {
                $wrap(value as $float)
            }
            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                let un = |$x: Self| $unwrap;
                $wrap(<$kind as MulAdd>::$mul_add(un(self), un(a), un(b)))
            }
            #[inline(always)]
            fn abs(self) -> Self {
                let $x = self;
                $wrap($unwrap.abs())
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                let $x = self;
                $wrap($unwrap.square_root())
            }
            #[inline(always)]
            fn floor(self) -> Self {
                let $x = self;
                $wrap($unwrap.round_down())
            }
            #[inline(always)]
            fn ceil(self) -> Self {
                let $x = self;
                $wrap($unwrap.round_up())
            }
            #[inline(always)]
            fn round_even(self) -> Self {
                let $x = self;
                $wrap($unwrap.round_nearest())
            }
            // Spelled out: the first operand if it is beyond the second or NaN, else the second (so NaN if that is).
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
            #[inline(always)]
            fn copysign(self, sign: Self) -> Self {
                let un = |$x: Self| $unwrap;
                $wrap(un(self).copysign(un(sign)))
            }
            $(
                #[inline(always)]
                fn $pair(self, other: Self) -> Self {
                    let un = |$x: Self| $unwrap;
                    $wrap(elementary::$elementary_pair::<$kind>(un(self), un(other)))
                }
            )+
            $(
                #[inline(always)]
                fn $function(self) -> Self {
                    let $x = self;
                    $wrap(elementary::$elementary::<$kind>($unwrap))
                }
            )+
        }
    };
}

macro_rules! single {
    ($type:ty, $kind:ty, |$x:ident| $unwrap:expr, $wrap:expr) => {
        real!($type, f32, $kind, |$x| $unwrap, $wrap, mul_add,
            [powf powf, atan2 atan2, fmod fmod, hypot hypot, polygamma polygamma],
            [exp exp, expm1 expm1, ln ln, ln_1p ln_1p, log2 log2, log10 log10, sin sin, cos cos, asin asin, acos acos, atan atan,
            tanh tanh, erf erf, erfinv erfinv, lgamma lgamma, digamma digamma, sigmoid sigmoid]);
    };
}
single!(f32, FusedMulAdd, |x| x, core::convert::identity);
single!(Unfused<f32>, TwoRoundings, |x| x.0, Unfused);

macro_rules! double {
    ($type:ty, $kind:ty, |$x:ident| $unwrap:expr, $wrap:expr) => {
        real!($type, f64, $kind, |$x| $unwrap, $wrap, mul_add_f64,
            [powf powf_f64, atan2 atan2_f64, fmod fmod_f64, hypot hypot_f64, polygamma polygamma_f64],
            [exp exp_f64, expm1 expm1_f64, ln ln_f64, ln_1p ln_1p_f64, log2 log2_f64, log10 log10_f64, sin sin_f64, cos cos_f64,
            asin asin_f64, acos acos_f64, atan atan_f64, tanh tanh_f64, erf erf_f64, erfinv erfinv_f64, lgamma lgamma_f64,
            digamma digamma_f64, sigmoid sigmoid_f64]);
    };
}
double!(f64, FusedMulAdd, |x| x, core::convert::identity);
double!(Unfused<f64>, TwoRoundings, |x| x.0, Unfused);
