//! What a derivative needs: found by running it on numbers that only remember where they came from.

use kiln_math::Real;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Bits for the values that an expression depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Uses(u8);

impl Uses {
    /// A constant.
    pub(crate) const NOTHING: Uses = Uses(0);
    /// The first input.
    pub(crate) const A: Uses = Uses(1);
    /// The second input.
    pub(crate) const B: Uses = Uses(2);
    /// The output.
    pub(crate) const Y: Uses = Uses(4);

    pub(crate) fn contains(self, other: Uses) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn and(self, other: Uses) -> Uses {
        Uses(self.0 | other.0)
    }
}

macro_rules! binary_operator {
    ($($trait:ident $method:ident),+) => {$(
        impl $trait for Uses {
            type Output = Uses;
            fn $method(self, other: Uses) -> Uses {
                self.and(other)
            }
        }
    )+};
}
binary_operator!(Add add, Sub sub, Mul mul, Div div);

impl Neg for Uses {
    type Output = Uses;
    fn neg(self) -> Uses {
        self
    }
}

macro_rules! same {
    ($($method:ident)+) => { $(fn $method(self) -> Uses { self })+ };
}

macro_rules! both {
    ($($method:ident)+) => { $(fn $method(self, other: Uses) -> Uses { self.and(other) })+ };
}

impl Real for Uses {
    fn constant(_: f64) -> Uses {
        Uses::NOTHING
    }
    fn mul_add(self, a: Uses, b: Uses) -> Uses {
        self.and(a).and(b)
    }
    same!(
        abs sqrt exp ln log2 log10 sin cos asin acos atan tanh erf erfinv lgamma digamma sigmoid expm1 ln_1p floor ceil round_even
    );
    both!(maximum minimum powf atan2 hypot fmod copysign polygamma);
    fn if_less(self, other: Uses, then: Uses, otherwise: Uses) -> Uses {
        self.and(other).and(then).and(otherwise)
    }
}
