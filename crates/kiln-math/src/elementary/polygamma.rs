//! ψ⁽ⁿ⁾(x), the derivatives of ψ: at most 40 units of the last place off in f64, for orders up to 10; f32 is computed in f64.

use super::{MulAdd, digamma_f64};
use crate::machine::Machine;

/// B₂ₖ/(2k)!
const BERNOULLI: [f64; 12] = [
    8.333_333_333_333_333e-2,
    -1.388_888_888_888_889e-3,
    3.306_878_306_878_307e-5,
    -8.267_195_767_195_768e-7,
    2.087_675_698_786_81e-8,
    -5.284_190_138_687_493e-10,
    1.338_253_653_068_467_9e-11,
    -3.389_680_296_322_582_7e-13,
    8.586_062_056_277_845e-15,
    -2.174_868_698_558_062e-16,
    5.509_002_828_360_229_5e-18,
    -1.395_446_468_581_252_2e-19,
];

/// xⁿ by squaring.
#[inline(always)]
fn power(x: f64, n: u32) -> f64 {
    let (mut y, mut square, mut rest) = (1.0, x, n);
    while rest > 0 {
        if rest & 1 == 1 {
            y *= square;
        }
        square *= square;
        rest >>= 1;
    }
    y
}

/// Σ 1/(q + k)^s over k ≥ 0, Hurwitz's ζ(s, q), for q > 0 and s ≥ 2: twelve terms and Euler and Maclaurin's formula for the rest.
#[inline(always)]
fn zeta(s: u32, q: f64) -> f64 {
    let mut sum = 0.0;
    let mut a = q;
    for _ in 0..12 {
        sum += power(1.0 / a, s);
        a += 1.0;
    }
    let z = 1.0 / a;
    let before = power(z, s - 1);
    let first = before * z;
    sum += before / f64::from(s - 1) + 0.5 * first;
    let mut term = f64::from(s) * first * z;
    let mut n = f64::from(s);
    for &b in &BERNOULLI {
        sum += b * term;
        term *= (n + 1.0) * (n + 2.0) * z * z;
        n += 2.0;
    }
    sum
}

/// Σ 1/(x + k)^s over k ≥ 0 for x < 0: that over all integers k less that over the negative ones.
#[inline(always)]
fn zeta_of_negative(s: u32, x: f64) -> f64 {
    let steps = -x.round_nearest();
    let r = x + steps;
    let below = zeta(s, 1.0 - r) - zeta(s, 1.0 - r + steps);
    power(1.0 / r, s) + zeta(s, 1.0 + r) + if s & 1 == 1 { -below } else { below }
}

/// ψ⁽ⁿ⁾(x) of the order nearest to `order`; ψ itself for 0 and less. Of 0 and negative integers infinite, or NaN for ψ.
#[inline(always)]
pub fn polygamma_f64<M: MulAdd>(x: f64, order: f64) -> f64 {
    let n = order.round_nearest();
    // False for NaN too.
    if !(1.0..=150.0).contains(&n) {
        return if n < 1.0 { digamma_f64::<M>(x) } else { f64::NAN };
    }
    let n = n as u32;
    let mut factorial = 1.0;
    for k in 2..=n {
        factorial *= f64::from(k);
    }
    let sum = if x > 0.0 { zeta(n + 1, x) } else { zeta_of_negative(n + 1, x) };
    if n & 1 == 1 { factorial * sum } else { -factorial * sum }
}

/// As [`polygamma_f64`], computed in f64.
#[inline(always)]
pub fn polygamma<M: MulAdd>(x: f32, order: f32) -> f32 {
    polygamma_f64::<M>(x.into(), order.into()) as f32
}
