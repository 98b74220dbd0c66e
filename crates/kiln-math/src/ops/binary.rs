//! Operations of two operands.

/// Defines the type of a binary operation.
macro_rules! binary {
    ($(#[$doc:meta])* $name:ident, $formula:literal, $a:expr, $b:expr, f: |$x:ident, $y:ident| $f:expr, df: |$dx:pat_param, $dy:pat_param, $dout:pat_param| $df:expr $(,)?) => {
        $(#[$doc])*
        #[doc = ""]
        #[doc = $formula]
        #[derive(Clone, Copy, Debug)]
        pub struct $name;
        impl $crate::ops::Binary for $name {
            const FORMULA: &'static str = $formula;
            const DOMAINS: ((f64, f64), (f64, f64)) = ($a, $b);
            #[inline(always)]
            fn f<R: $crate::Real>($x: R, $y: R) -> R {
                $f
            }
            #[inline(always)]
            fn df<R: $crate::Real>($dx: R, $dy: R, $dout: R) -> (R, R) {
                $df
            }
        }
    };
}
pub(super) use binary;

pub(super) const ANY: (f64, f64) = (-3.0, 3.0);

binary!(Add, "a + b", ANY, ANY, f: |a, b| a + b, df: |_, _, _| (R::constant(1.0), R::constant(1.0)));
binary!(Sub, "a - b", ANY, ANY, f: |a, b| a - b, df: |_, _, _| (R::constant(1.0), R::constant(-1.0)));
binary!(Mul, "a·b", ANY, ANY, f: |a, b| a * b, df: |a, b, _| (b, a));
binary!(Div, "a/b", ANY, (0.3, 3.0), f: |a, b| a / b, df: |_, b, y| (R::constant(1.0) / b, -y / b));
binary!(/// NaN where either is; the gradient goes to the larger, in halves where they are equal (as in PyTorch).
    Maximum, "max(a, b)", ANY, ANY, f: |a, b| a.maximum(b), df: |a, b, _| {
    let (zero, half, one) = (R::constant(0.0), R::constant(0.5), R::constant(1.0));
    (b.if_less(a, one, a.if_less(b, zero, half)), a.if_less(b, one, b.if_less(a, zero, half)))
});
binary!(/// NaN where either is; the gradient goes to the smaller, in halves where they are equal (as in PyTorch).
    Minimum, "min(a, b)", ANY, ANY, f: |a, b| a.minimum(b), df: |a, b, _| {
    let (zero, half, one) = (R::constant(0.0), R::constant(0.5), R::constant(1.0));
    (a.if_less(b, one, b.if_less(a, zero, half)), b.if_less(a, one, a.if_less(b, zero, half)))
});
binary!(/// ∂a is 0 where b is 0, and ∂b where a is 0 and b not negative (as in PyTorch).
    Pow, "aᵇ", (0.2, 3.0), ANY, f: |a, b| a.powf(b), df: |a, b, y| {
    let zero = R::constant(0.0);
    let along_b = y * a.ln();
    (
        zero.if_less(b.abs(), b * a.powf(b - R::constant(1.0)), zero),
        zero.if_less(a.abs(), along_b, b.if_less(zero, along_b, zero)),
    )
});
binary!(/// The derivatives at (0, 0) are NaN (as in PyTorch).
    Hypot, "√(a² + b²)", ANY, ANY, f: |a, b| a.hypot(b), df: |a, b, y| (a / y, b / y));
binary!(/// The derivatives at (0, 0) are 0 (as in PyTorch).
    Atan2, "the angle of the point (b, a), from −π to π", ANY, ANY, f: |a, b| a.atan2(b), df: |a, b, _| {
    let (zero, size) = (R::constant(0.0), a.hypot(b));
    // Otherwise the size is 0, or NaN.
    (zero.if_less(size, b / size / size, size), zero.if_less(size, -a / size / size, size))
});
binary!(/// Without overflow on the way.
    LogAddExp, "ln(eᵃ + eᵇ)", ANY, ANY, f: |a, b| {
    // Equal ones have the difference 0, infinite ones too.
    let apart = a.if_less(b, b - a, b.if_less(a, a - b, R::constant(0.0)));
    a.maximum(b) + (-apart).exp().ln_1p()
}, df: |a, b, _| ((a - b).sigmoid(), (b - a).sigmoid()));
binary!(/// The derivative along a is 0 where a is 0, that along b is 0 (as in PyTorch).
    CopySign, "|a| with the sign of b", ANY, ANY, f: |a, b| a.copysign(b), df: |a, b, _| {
    let (zero, one) = (R::constant(0.0), R::constant(1.0));
    // Otherwise |a| is 0, or NaN.
    (zero.if_less(a.abs(), one.copysign(a) * one.copysign(b), a.abs()), zero)
});
