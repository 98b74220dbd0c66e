//! The optimizers' rules against their textbook form, and their promise to make no denormal number.

use kiln_math::UpdateRule;
use kiln_math::update::{Adam, AdamW, Average, CONSTANTS, Constants, Listed, MAX_STATES, Rule, Sgd, Step};
use proptest::prelude::*;

const ADAM: Adam = Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

fn step(learning_rate: f64, weight_decay: f64, number: usize, smallest: f64) -> Step {
    Step { learning_rate, weight_decay, number: number as f64, smallest }
}

/// For f64.
fn double(learning_rate: f64, weight_decay: f64, number: usize) -> Step {
    step(learning_rate, weight_decay, number, f64::MIN_POSITIVE)
}

/// For f32.
fn single(settings: &impl Rule, learning_rate: f64, number: usize) -> Constants<f32> {
    settings.constants(&step(learning_rate, 0.0, number, f32::MIN_POSITIVE.into())).map(|c| c as f32)
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * (1.0 + b.abs())
}

#[test]
fn the_list_is_whole() {
    let found: Vec<_> = UpdateRule::ALL.iter().map(|rule| (rule.name(), rule.kernel(), rule.states())).collect();
    assert!(found.contains(&("Sgd", "sgd", &["momentum_buffer"])), "{found:?}");
    assert!(found.contains(&("AdamW", "adamw", &["exp_avg", "exp_avg_sq"])), "{found:?}");
    assert_eq!((Sgd::RULE, AdamW::RULE), (UpdateRule::Sgd, UpdateRule::AdamW));
    for &rule in UpdateRule::ALL {
        assert!(rule.states().len() <= MAX_STATES && rule.always() <= rule.states().len() && rule.examples() > 0);
        for number in 0..rule.examples() {
            let (kept, constants) = rule.example(number, &double(0.1, 0.01, 3));
            assert!(kept[..rule.always()].iter().all(|kept| *kept), "{rule:?}");
            assert!(constants.len() == CONSTANTS && constants.iter().all(|c| c.is_finite()), "{rule:?}");
        }
    }
}

proptest! {
    #[test]
    fn adam_is_that_of_the_paper(
        start in -2.0..2.0, gradients in prop::collection::vec(-3.0..3.0, 1..20), lr in 1e-4..0.1, decay in 0.0..0.1,
        decoupled in any::<bool>(),
    ) {
        let (mut p, mut states) = (start, [0.0; MAX_STATES]);
        let (mut q, mut first, mut second) = (start, 0.0, 0.0);
        for (i, &g) in gradients.iter().enumerate() {
            let step = double(lr, decay, i + 1);
            (p, states) = if decoupled {
                AdamW::element(p, g, states, &AdamW(ADAM).constants(&step))
            } else {
                Adam::element(p, g, states, &ADAM.constants(&step))
            };
            let g = if decoupled { g } else { g + decay * q };
            if decoupled {
                q -= lr * decay * q;
            }
            let t = i as i32 + 1;
            first = 0.9 * first + 0.1 * g;
            second = 0.999 * second + 0.001 * g * g;
            let (corrected, root) = (first / (1.0 - 0.9f64.powi(t)), (second / (1.0 - 0.999f64.powi(t))).sqrt());
            q -= lr * corrected / (root + 1e-8);
            prop_assert!(near(p, q) && near(states[0], first) && near(states[1], second), "{p} {q}, {states:?}");
        }
    }

    #[test]
    fn sgd_is_pytorchs(
        start in -2.0..2.0, gradients in prop::collection::vec(-3.0..3.0, 1..20), lr in 1e-4..0.1, decay in 0.0..0.1,
        momentum in 0.0..0.99, dampening in 0.0..0.9, nesterov in any::<bool>(),
    ) {
        let dampening = if nesterov { 0.0 } else { dampening };
        let (mut p, mut states) = (start, [0.0; MAX_STATES]);
        let (mut q, mut velocity) = (start, None);
        for (i, &g) in gradients.iter().enumerate() {
            let settings = Sgd { momentum, dampening, nesterov };
            (p, states) = Sgd::element(p, g, states, &settings.constants(&double(lr, decay, i + 1)));
            let g = g + decay * q;
            let next = velocity.map_or(g, |old: f64| momentum * old + (1.0 - dampening) * g);
            velocity = Some(next);
            q -= lr * if nesterov { g + momentum * next } else { next };
            prop_assert!(near(p, q) && near(states[0], next), "{p} {q}");
        }
    }
}

/// Adam by its formula, in f64 and of what f32 gives it.
fn reference(gradients: &[f32], h: Adam) -> Vec<f64> {
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
        let h = Adam { epsilon, beta2, ..ADAM };
        let gradients: Vec<f32> = signs.iter().map(|sign| (sign * 10f64.powf(exponent)) as f32).collect();
        let expected = reference(&gradients, h);
        let (mut p, mut states) = (0f32, [0f32; MAX_STATES]);
        let mut square = (f64::INFINITY, 0f64);
        for (i, (&g, exact)) in gradients.iter().zip(expected).enumerate() {
            (p, states) = Adam::element(p, g, states, &single(&h, 0.1, i + 1));
            let [m, v, _] = states;
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
    let h = Adam { epsilon: 0.0, ..ADAM }.constants(&double(0.1, 0.0, 1));
    assert_eq!(Adam::element(0.5, 0.0, [0.0; MAX_STATES], &h), (0.5, [0.0; MAX_STATES]));
    let (p, _) = Adam::element(0.5, -1e-300, [0.0; MAX_STATES], &h);
    assert!((0.5..=0.6).contains(&p), "{p}");
}

#[test]
fn dampening_is_of_a_velocity_and_there_is_none_without_momentum() {
    let settings = Sgd { momentum: 0.0, dampening: 0.5, nesterov: false };
    let after = |p, number| Sgd::element(p, 1.0, [0.0; MAX_STATES], &settings.constants(&double(0.1, 0.0, number))).0;
    let p = (1..=3).fold(0.0, after);
    assert!(near(p, -0.3), "{p}");
}

/// A pixel that is never lit: the gradient stays 0 after the first step, and what is kept decays. Every rule of the list.
#[test]
fn states_decay_to_zero_without_denormals() {
    for &rule in UpdateRule::ALL {
        for number in 0..rule.examples() {
            let of_step = |at| rule.example(number, &step(1e-3, 0.0, at, f32::MIN_POSITIVE.into()));
            let (_, first) = of_step(1);
            let (kept, later) = of_step(1_000_000);
            let (mut p, mut states) = rule.element(0.5f32, 0.3, [0.0; MAX_STATES], &first.map(|c| c as f32));
            let h = later.map(|c| c as f32);
            let kept_only = |states: [f32; MAX_STATES]| std::array::from_fn(|i| if kept[i] { states[i] } else { 0.0 });
            states = kept_only(states);
            let mut steps = 0;
            while states != [0.0; MAX_STATES] {
                let before = states;
                (p, states) = rule.element(p, 0.0, states, &h);
                states = kept_only(states);
                assert!(
                    states.iter().all(|&s| s == 0.0 || s.is_normal()) && p.is_normal(),
                    "{rule:?}: {states:?}, {p}"
                );
                if states == before {
                    // A sum, as Adagrad's, stays.
                    break;
                }
                steps += 1;
                assert!(steps < 200_000, "{rule:?}: {states:?}");
            }
            // Tiny gradients do not bring them back to life as denormals.
            let (_, states) = rule.element(p, 1e-33, states, &h);
            assert!(states.iter().all(|&s| s == 0.0 || s.is_normal()), "{rule:?}: {states:?}");
        }
    }
}

#[test]
fn nan_and_infinite_gradients_are_not_hidden() {
    for &rule in UpdateRule::ALL {
        for number in 0..rule.examples() {
            let (_, h) = rule.example(number, &double(1e-3, 0.0, 1));
            // The sign of an infinite gradient, which Lion takes, is finite: then the state shows it.
            let shows = |g: f64| {
                let (p, states) = rule.element(1.0, g, [0.0; MAX_STATES], &h);
                !p.is_finite() || states.iter().any(|state| !state.is_finite())
            };
            assert!(shows(f64::NAN) && shows(f64::INFINITY), "{rule:?}");
        }
    }
}

/// own and share are rounded apart; their sum must still be 1, or the average drifts from what it is made of.
#[test]
fn an_average_of_equal_numbers_stays_there_in_f32() {
    for decay in [0.9, 0.999, 0.9999, 0.99999] {
        let rule = Average { own: decay, share: 1.0 - decay };
        let constants = rule.constants(&double(0.1, 0.5, 3)).map(|constant| constant as f32);
        let mut p = 0.7f32;
        for _ in 0..300_000 {
            p = Average::element(p, 0.7, [0.0; MAX_STATES], &constants).0;
        }
        assert!((p - 0.7).abs() < 1e-5, "{decay}: {p}");
    }
}

#[test]
fn an_average_keeps_its_share() {
    let constants = Average { own: 0.9, share: 0.2 }.constants(&double(0.1, 0.5, 3));
    let after = |p, g| Average::element(p, g, [0.0; MAX_STATES], &constants).0;
    assert_eq!((after(1.0, 2.0), after(0.0, 0.0)), (0.9 * 1.0 + 0.2 * 2.0, 0.0));
}
