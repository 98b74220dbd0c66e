//! The optimizers' updates against their textbook form, and their promise to make no denormal number.

use kiln_math::update::{Adam, Sgd, adam, sgd};
use proptest::prelude::*;

fn adam_constants(lr: f64, weight_decay: f64, decoupled: bool, step: i32) -> Adam<f64> {
    let (beta1, beta2) = (0.9f64, 0.999f64);
    Adam {
        beta1,
        rest1: 1.0 - beta1,
        beta2,
        rest2: 1.0 - beta2,
        step_size: lr / (1.0 - beta1.powi(step)),
        inverse_root: 1.0 / (1.0 - beta2.powi(step)).sqrt(),
        epsilon: 1e-8,
        weight_decay: if decoupled { 0.0 } else { weight_decay },
        keep: if decoupled { 1.0 - lr * weight_decay } else { 1.0 },
    }
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
            let gradient_share = if i == 0 { 1.0 } else { 1.0 - dampening };
            let h = Sgd { learning_rate: lr, momentum, gradient_share, weight_decay: decay, nesterov };
            (p, v) = sgd(p, g, v, &h);
            let g = g + decay * q;
            let next = velocity.map_or(g, |old: f64| momentum * old + (1.0 - dampening) * g);
            velocity = Some(next);
            q -= lr * if nesterov { g + momentum * next } else { next };
            prop_assert!(near(p, q) && near(v, next), "{p} {q}");
        }
    }
}

/// A pixel that is never lit: the gradient stays 0 after the first step, and the moments decay.
#[test]
fn moments_decay_to_zero_without_denormals() {
    let h = adam_constants(1e-3, 0.0, false, 1_000_000);
    let h = Adam {
        beta1: h.beta1 as f32,
        rest1: h.rest1 as f32,
        beta2: h.beta2 as f32,
        rest2: h.rest2 as f32,
        step_size: h.step_size as f32,
        inverse_root: h.inverse_root as f32,
        epsilon: 1e-8,
        weight_decay: 0.0,
        keep: 1.0,
    };
    let (mut p, mut m, mut v) = adam(0.5f32, 0.3, 0.0, 0.0, &h);
    let mut steps = 0;
    while m != 0.0 || v != 0.0 {
        (p, m, v) = adam(p, 0.0, m, v, &h);
        assert!((m == 0.0 || m.is_normal()) && (v == 0.0 || v.is_normal()) && p.is_normal());
        steps += 1;
        assert!(steps < 100_000);
    }
    // Tiny gradients do not bring them back.
    assert_eq!(adam(p, 1e-16, m, v, &h).1, 0.0);
    let h = Sgd { learning_rate: 0.1, momentum: 0.9f32, gradient_share: 1.0, weight_decay: 0.0, nesterov: false };
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
    let h = Sgd { learning_rate: 0.1, momentum: 0.0, gradient_share: 1.0, weight_decay: 0.0, nesterov: false };
    assert!(sgd(1.0, f64::NAN, 0.0, &h).0.is_nan());
}
