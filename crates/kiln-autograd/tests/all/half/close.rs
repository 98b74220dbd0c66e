//! How near a number of a half type must be.

use kiln_tensor::{DType, Tensor};

pub(crate) const HALVES: [DType; 2] = [DType::F16, DType::BF16];

/// From a number to the next one of its size.
fn place(x: f64, half: DType) -> f64 {
    let (digits, lowest) = if half == DType::F16 { (10, -14) } else { (7, -126) };
    let exponent = if x == 0.0 { lowest } else { (x.abs().log2().floor() as i32).max(lowest) };
    2f64.powi(exponent - digits)
}

fn largest(half: DType) -> f64 {
    if half == DType::F16 { 65504.0 } else { 3.3895e38 }
}

/// Compares with what f64 gives, rounded once; `size` is that of the numbers that went in.
pub(crate) fn expect(what: &str, got: &Tensor, exact: &Tensor, half: DType, size: f64) {
    assert_eq!((got.dtype(), got.shape()), (half, exact.shape()), "{what}");
    let (got, want) = (got.to_f64_vec().unwrap(), exact.to_dtype(half).unwrap().to_f64_vec().unwrap());
    let most = want.iter().filter(|x| x.is_finite()).fold(size, |most: f64, x| most.max(x.abs()));
    for (i, (&got, &want)) in got.iter().zip(&want).enumerate() {
        let near = if want.is_infinite() || got.is_infinite() {
            let clipped = |x: f64| x.clamp(-largest(half), largest(half));
            (clipped(got) - clipped(want)).abs() <= place(largest(half), half)
        } else {
            (got - want).abs() <= place(want, half) + 5e-7 * most
        };
        assert!(near || got.is_nan() && want.is_nan(), "{what} in {half}: element {i} is {got}, expected {want}");
    }
}
