//! The operations that are one instruction on the machine: the only place that needs more than `core`.
//!
//! Stable `core` lacks them. On nvptx64, which has no `std`, they come from `core`'s unstable `core_float_math`.

/// Correctly rounded operations of f32 and f64.
pub(crate) trait Machine: Copy {
    /// self · a + b, rounded once.
    fn fused(self, a: Self, b: Self) -> Self;
    /// √x
    fn square_root(self) -> Self;
    /// ⌊x⌋
    fn round_down(self) -> Self;
    /// ⌈x⌉
    fn round_up(self) -> Self;
    /// The nearest integer, the even one of two.
    fn round_nearest(self) -> Self;
}

macro_rules! machine {
    ($($float:ident),+) => {$(
        #[cfg(not(target_arch = "nvptx64"))]
        impl Machine for $float {
            #[inline(always)]
            fn fused(self, a: Self, b: Self) -> Self {
                self.mul_add(a, b)
            }
            #[inline(always)]
            fn square_root(self) -> Self {
                self.sqrt()
            }
            #[inline(always)]
            fn round_down(self) -> Self {
                self.floor()
            }
            #[inline(always)]
            fn round_up(self) -> Self {
                self.ceil()
            }
            #[inline(always)]
            fn round_nearest(self) -> Self {
                self.round_ties_even()
            }
        }

        #[cfg(target_arch = "nvptx64")]
        impl Machine for $float {
            #[inline(always)]
            fn fused(self, a: Self, b: Self) -> Self {
                core::$float::math::mul_add(self, a, b)
            }
            #[inline(always)]
            fn square_root(self) -> Self {
                core::$float::math::sqrt(self)
            }
            #[inline(always)]
            fn round_down(self) -> Self {
                core::$float::math::floor(self)
            }
            #[inline(always)]
            fn round_up(self) -> Self {
                core::$float::math::ceil(self)
            }
            #[inline(always)]
            fn round_nearest(self) -> Self {
                core::$float::math::round_ties_even(self)
            }
        }
    )+};
}
machine!(f32, f64);
