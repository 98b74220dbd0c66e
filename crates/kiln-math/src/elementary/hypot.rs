//! √(x² + y²) without overflow on the way: at most 0.6 (f32) or 1.1 (f64) units of the last place off.

use super::{MulAdd, select};
use crate::machine::Machine;

/// √(x² + y²): infinite where x or y is, even beside NaN. Computed in f64.
#[inline(always)]
pub fn hypot<M: MulAdd>(x: f32, y: f32) -> f32 {
    let (a, b) = (f64::from(x), f64::from(y));
    let size = M::mul_add_f64(a, a, b * b).square_root() as f32;
    select(x.abs() == f32::INFINITY || y.abs() == f32::INFINITY, f32::INFINITY, size)
}

/// 2⁶⁰⁰ and 2⁻⁶⁰⁰
const UP: f64 = f64::from_bits((1023 + 600) << 52);
const DOWN: f64 = f64::from_bits((1023 - 600) << 52);

/// √(x² + y²): infinite where x or y is, even beside NaN.
#[inline(always)]
pub fn hypot_f64<M: MulAdd>(x: f64, y: f64) -> f64 {
    let (x, y) = (x.abs(), y.abs());
    let larger = select(x > y, x, y);
    let (scale, back) = (
        select(larger > 1e150, DOWN, select(larger < 1e-120, UP, 1.0)),
        select(larger > 1e150, UP, select(larger < 1e-120, DOWN, 1.0)),
    );
    let (a, b) = (x * scale, y * scale);
    let size = M::mul_add_f64(a, a, b * b).square_root() * back;
    select(x == f64::INFINITY || y == f64::INFINITY, f64::INFINITY, size)
}
