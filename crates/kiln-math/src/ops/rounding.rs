//! Rounding: the derivative is 0 where it exists.

use super::unary;

unary!(Floor, "⌊x⌋", (-3.0, 3.0), f: |x, _| x.floor(), df: |_, _, _| R::constant(0.0));
unary!(Ceil, "⌈x⌉", (-3.0, 3.0), f: |x, _| x.ceil(), df: |_, _, _| R::constant(0.0));
unary!(/// Halves go to the even neighbor, as in NumPy and PyTorch.
    Round, "the integer nearest to x", (-3.0, 3.0), f: |x, _| x.round_even(), df: |_, _, _| R::constant(0.0));
