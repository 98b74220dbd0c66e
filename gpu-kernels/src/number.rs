//! The types that kernels compute in.

use core::ops::{AddAssign, MulAssign};
use cuda_std::{DeviceCopy, Shared, Shuffle};
use kiln_math::{Integer, Real};

/// A floating type that kernels compute in.
pub trait GpuFloat: Real + DeviceCopy + Shuffle + PartialOrd + AddAssign + MulAssign {
    /// 0
    const ZERO: Self;
    /// 1
    const ONE: Self;
    /// ∞
    const INFINITY: Self;
    /// −∞
    const NEG_INFINITY: Self;

    /// Whether it is neither infinite nor NaN.
    fn is_finite(self) -> bool;

    /// Four neighbors in shared memory, from a multiple of four on.
    fn four(from: &Shared<Self>, first: usize) -> [Self; 4];
}

macro_rules! number {
    ($T:ident, |$from:ident, $first:ident| $four:expr) => {
        impl GpuFloat for $T {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const INFINITY: Self = $T::INFINITY;
            const NEG_INFINITY: Self = $T::NEG_INFINITY;

            #[inline(always)]
            fn is_finite(self) -> bool {
                $T::is_finite(self)
            }

            #[inline(always)]
            fn four($from: &Shared<Self>, $first: usize) -> [Self; 4] {
                $four
            }
        }
    };
}
number!(f32, |from, first| from.get4(first / 4).into());
number!(f64, |from, first| core::array::from_fn(|i| from.get(first + i)));

/// A number that is added up: floats round, integers wrap.
pub trait Sum: DeviceCopy {
    /// self + other
    fn plus(self, other: Self) -> Self;
}

macro_rules! sum {
    ($($T:ident |$a:ident, $b:ident| $sum:expr;)+) => { $(
        impl Sum for $T {
            #[inline(always)]
            fn plus(self, $b: Self) -> Self {
                let $a = self;
                $sum
            }
        }
    )+ };
}
sum! {
    f32 |a, b| a + b;
    f64 |a, b| a + b;
    i64 |a, b| a.wrapping_add(b);
    i32 |a, b| a.wrapping_add(b);
    i8 |a, b| a.wrapping_add(b);
    u8 |a, b| a.wrapping_add(b);
}

/// Elements that are in an order, but for NaN.
pub trait Ordered: DeviceCopy + PartialOrd {}

impl Ordered for f32 {}
impl Ordered for f64 {}
impl Ordered for i64 {}
impl Ordered for i32 {}
impl Ordered for i8 {}
impl Ordered for u8 {}

/// An integer type that kernels compute in.
pub trait GpuInteger: DeviceCopy + Integer {}

impl GpuInteger for i64 {}
impl GpuInteger for i32 {}
impl GpuInteger for i8 {}
impl GpuInteger for u8 {}
