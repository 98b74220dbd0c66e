//! The optimizers' updates against their textbook form, and their promise to make no denormal number.

use kiln_math::update::{Adam, AdamSettings, SgdSettings, adam, sgd};
use proptest::prelude::*;

const SETTINGS: AdamSettings =
    AdamSettings { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, decoupled: false };

fn adam_constants(lr: f64, weight_decay: f64, decoupled: bool, step: i32) -> Adam<f64> {
    AdamSettings { weight_decay, decoupled, ..SETTINGS }.at(lr, step.into(), f64::MIN_POSITIVE)
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * (1.0 + b.abs())
}

proptest! {
    #[test]
    fn adam_is_that_of_the_paper(
        start in -2.0..2.0, gradients in prop::collection::vec(-3.0..3.0, 1..20), lr in 1e-4..0.1, decay in 0.0..0.1,
        decoupled in any::<bool>(),
    ) {
        let (mut p, mut m, mut v) = (start, 0.0, 0.0);
        let (mut q, mut first, mut second) = (start, 0.0, 0.0);
        for (i, &g) in gradients.iter().enumerate() {
            let step = i as i32 + 1;
            (p, m, v) = adam(p, g, m, v, &adam_constants(lr, decay, decoupled, step));
            let g = if decoupled { g } else { g + decay * q };
            if decoupled {
                q -= lr * decay * q;
            }
            first = 0.9 * first + 0.1 * g;
            second = 0.999 * second + 0.001 * g * g;
            let (corrected, root) = (first / (1.0 - 0.9f64.powi(step)), (second / (1.0 - 0.999f64.powi(step))).sqrt());
            q -= lr * corrected / (root + 1e-8);
            prop_assert!(near(p, q) && near(m, first) && near(v, second), "{p} {q}, {m} {first}, {v} {second}");
        }
    }

    #[test]
    fn sgd_is_pytorchs(
        start in -2.0..2.0, gradients in prop::collection::vec(-3.0..3.0, 1..20), lr in 1e-4..0.1, decay in 0.0..0.1,
        momentum in 0.0..0.99, dampening in 0.0..0.9, nesterov in any::<bool>(),
    ) {
        let dampening = if nesterov { 0.0 } else { dampening };
        let (mut p, mut v) = (start, 0.0);
        let (mut q, mut velocity) = (start, None);
        for (i, &g) in gradients.iter().enumerate() {
            let settings = SgdSettings { momentum, dampening, weight_decay: decay, nesterov };
            (p, v) = sgd(p, g, v, &settings.at(lr, (i + 1) as f64, f64::MIN_POSITIVE));
            let g = g + decay * q;
            let next = velocity.map_or(g, |old: f64| momentum * old + (1.0 - dampening) * g);
            velocity = Some(next);
            q -= lr * if nesterov { g + momentum * next } else { next };
            prop_assert!(near(p, q) && near(v, next), "{p} {q}");
        }
    }
}

/// Adam by its formula, in f64 and of what f32 gives it.
fn reference(gradients: &[f32], h: AdamSettings) -> Vec<f64> {
    let (beta1, beta2) = (h.beta1 as f32 as f64, h.beta2 as f32 as f64);
    let (rest1, rest2) = ((1.0 - h.beta1) as f32 as f64, (1.0 - h.beta2) as f32 as f64);
    let (mut p, mut m, mut v) = (0.0, 0.0, 0.0);
    let steps = gradients.iter().zip(1..).map(|(&g, t)| {
        let g = f64::from(g);
        (m, v) = (beta1 * m + rest1 * g, beta2 * v + rest2 * g * g);
        let (corrected, root) = (m / (1.0 - h.beta1.powi(t)), (v / (1.0 - h.beta2.powi(t))).sqrt());
        p -= 0.1 * corrected / (root + h.epsilon);
        p
    });
    steps.collect()
}

proptest! {
    /// Wherever (1 − β₂)·g² is a normal number, the steps are those of the formula, whatever the gradients' size.
    #[test]
    fn adam_of_gradients_of_any_size(
        exponent in -30.0f64..30.0, signs in prop::collection::vec(prop_oneof![0.5..2.0, -2.0..-0.5], 1..12),
        epsilon in prop::sample::select(vec![1e-8, 1e-15, 0.0]), beta2 in prop::sample::select(vec![0.999, 0.9, 0.0]),
    ) {
        let h = AdamSettings { epsilon, beta2, ..SETTINGS };
        let gradients: Vec<f32> = signs.iter().map(|sign| (sign * 10f64.powf(exponent)) as f32).collect();
        let expected = reference(&gradients, h);
        let (mut p, mut m, mut v) = (0f32, 0f32, 0f32);
        let mut square = (f64::INFINITY, 0f64);
        for (i, (&g, exact)) in gradients.iter().zip(expected).enumerate() {
            (p, m, v) = adam(p, g, m, v, &h.at(0.1, (i + 1) as f64, f32::MIN_POSITIVE.into()).map(|c| c as f32));
            prop_assert!(!m.is_subnormal() && !v.is_subnormal() && !p.is_subnormal());
            let share = (1.0 - beta2) * f64::from(g).powi(2);
            square = (square.0.min(share), square.1.max(share));
            if square.0 >= f32::MIN_POSITIVE.into() && square.1 < f64::from(f32::MAX) * 0.05 {
                let tolerance = 1e-6 * 0.1 * (i + 1) as f64;
                prop_assert!((f64::from(p) - exact).abs() <= tolerance, "g = {g:e}, step {i}: {p:e}, exactly {exact:e}");
            }
            // Below, at least no step is larger than the learning rate allows. (Above, 0·∞ is NaN, as in PyTorch.)
            prop_assert!(v.is_infinite() || p.is_nan() || p.abs() <= 0.1 * 40.0 * (i + 1) as f32, "{p}");
        }
    }
}

#[test]
fn a_parameter_without_gradients_stays_where_epsilon_is_zero() {
    let h = AdamSettings { epsilon: 0.0, ..SETTINGS }.at(0.1, 1.0, f64::MIN_POSITIVE);
    assert_eq!(adam(0.5, 0.0, 0.0, 0.0, &h), (0.5, 0.0, 0.0));
    let (p, ..) = adam(0.5, -1e-300, 0.0, 0.0, &h);
    assert!((0.5..=0.6).contains(&p), "{p}");
}

#[test]
fn dampening_is_of_a_velocity_and_there_is_none_without_momentum() {
    let settings = SgdSettings { momentum: 0.0, dampening: 0.5, weight_decay: 0.0, nesterov: false };
    let p = (1..=3).fold(0.0, |p, step| sgd(p, 1.0, 0.0, &settings.at(0.1, step.into(), f64::MIN_POSITIVE)).0);
    assert!(near(p, -0.3), "{p}");
}

/// A pixel that is never lit: the gradient stays 0 after the first step, and the moments decay.
#[test]
fn moments_decay_to_zero_without_denormals() {
    let h = SETTINGS.at(1e-3, 1e6, f32::MIN_POSITIVE.into()).map(|c| c as f32);
    let (mut p, mut m, mut v) = adam(0.5f32, 0.3, 0.0, 0.0, &h);
    let mut steps = 0;
    while m != 0.0 || v != 0.0 {
        (p, m, v) = adam(p, 0.0, m, v, &h);
        assert!((m == 0.0 || m.is_normal()) && (v == 0.0 || v.is_normal()) && p.is_normal());
        steps += 1;
        assert!(steps < 100_000);
    }
    // Tiny gradients do not bring them back.
    assert_eq!(adam(p, 1e-33, m, v, &h).1, 0.0);
    let settings = SgdSettings { momentum: 0.9, dampening: 0.0, weight_decay: 0.0, nesterov: false };
    let h = settings.at(0.1, 2.0, f32::MIN_POSITIVE.into()).map(|c| c as f32);
    let mut v = 1.0;
    for _ in 0..2000 {
        v = sgd(1.0, 0.0, v, &h).1;
        assert!(v == 0.0 || v.is_normal());
    }
    assert_eq!(v, 0.0);
}

#[test]
fn nan_and_infinite_gradients_are_not_hidden() {
    let h = adam_constants(1e-3, 0.0, false, 1);
    assert!(adam(1.0, f64::NAN, 0.0, 0.0, &h).0.is_nan());
    assert!(adam(1.0, f64::INFINITY, 0.0, 0.0, &h).0.is_nan());
    let h = SgdSettings { momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false };
    let h = h.at(0.1, 1.0, f64::MIN_POSITIVE);
    assert!(sgd(1.0, f64::NAN, 0.0, &h).0.is_nan());
}
