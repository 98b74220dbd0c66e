//! Settings that make sense.

use kiln_tensor::{Error, Result};

/// A number that is not negative; it may be infinite, for no bound.
#[inline]
pub(crate) fn bound(name: &str, value: f64) -> Result<f64> {
    expect(value >= 0.0, name, value, "a number of at least 0")
}

/// A finite number that is not negative.
#[inline]
pub(crate) fn not_negative(name: &str, value: f64) -> Result<f64> {
    expect(value >= 0.0 && value.is_finite(), name, value, "a finite number of at least 0")
}

/// A share in (0, 1].
#[inline]
pub(crate) fn share_or_all(name: &str, value: f64) -> Result<f64> {
    expect(value > 0.0 && value <= 1.0, name, value, "a number in (0, 1]")
}

/// A finite number above 0.
#[inline]
pub(crate) fn above_zero(name: &str, value: f64) -> Result<f64> {
    expect(value > 0.0 && value.is_finite(), name, value, "a finite number above 0")
}

/// A number above 0, up to `most`.
#[inline]
pub(crate) fn within(name: &str, value: f64, most: f64) -> Result<f64> {
    expect(value > 0.0 && value <= most, name, value, &format!("a number in (0, {most:e}]"))
}

/// A share in [0, 1).
#[inline]
pub(crate) fn share(name: &str, value: f64) -> Result<f64> {
    expect((0.0..1.0).contains(&value), name, value, "a number in [0, 1)")
}

#[inline]
fn expect(holds: bool, name: &str, value: f64, expected: &str) -> Result<f64> {
    if holds { Ok(value) } else { Err(refuse(name, value, expected)) }
}

#[cold]
fn refuse(name: &str, value: f64, expected: &str) -> Error {
    Error::value("optimizer.step", format!("the {name} is {value}, expected {expected}; nothing was changed"))
}
