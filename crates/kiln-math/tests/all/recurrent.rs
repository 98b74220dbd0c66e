//! The cells' gradients against dual numbers.

use kiln_math::recurrent::{gru, gru_mix, gru_mix_grad, gru_reset_grad, lstm, lstm_grad, simple, simple_grad};
use kiln_math::{Dual, Real, RecurrentCell};
use proptest::prelude::*;

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![8 => -3.0..3.0, 1 => -30.0..30.0, 1 => Just(0.0)]
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-13 * (1.0 + b.abs())
}

/// The slopes of `f` by each of its arguments.
fn slopes<const N: usize>(x: [f64; N], f: impl Fn([Dual<f64>; N]) -> Dual<f64>) -> [f64; N] {
    std::array::from_fn(|at| {
        f(std::array::from_fn(|i| if i == at { Dual::variable(x[i]) } else { Dual::constant(x[i]) })).slope
    })
}

proptest! {
    #[test]
    fn plain(a in number(), dh in number(), relu in any::<bool>()) {
        // At a ReLU's corner it is 0, as in PyTorch.
        let slope = if relu && a == 0.0 { 0.0 } else { slopes([a], |[a]| simple(relu, a))[0] };
        prop_assert!(near(simple_grad(relu, simple(relu, a), dh), slope * dh));
    }

    #[test]
    fn long_short_term_memory(x in prop::array::uniform5(number()), dh in number(), dc in number()) {
        let [i, f, g, o, c] = x;
        let (gates, after, _) = lstm([i, f, g, o], c);
        let (gradients, before) = lstm_grad(gates, c, after, dh, dc);
        let expected = slopes(x, |[i, f, g, o, c]| {
            let (_, c, h) = lstm([i, f, g, o], c);
            h * Dual::constant(dh) + c * Dual::constant(dc)
        });
        for (found, expected) in gradients.into_iter().chain([before]).zip(expected) {
            prop_assert!(near(found, expected), "{} {}", found, expected);
        }
    }

    #[test]
    fn gated_recurrent_unit(x in prop::array::uniform5(number()), dh in number()) {
        let [r, z, n, inner, h] = x;
        let ([r_gate, z_gate, n_gate], after) = gru([r, z, n], inner, h);
        prop_assert_eq!(after, gru_mix(z_gate, n_gate, h));
        let (dz, dn, direct) = gru_mix_grad(z_gate, n_gate, h, dh);
        let (dr, dinner) = gru_reset_grad(r_gate, inner, dn);
        let expected = slopes(x, |[r, z, n, inner, h]| gru([r, z, n], inner, h).1 * Dual::constant(dh));
        for (found, expected) in [dr, dz, dn, dinner, direct].into_iter().zip(expected) {
            prop_assert!(near(found, expected), "{} {}", found, expected);
        }
    }
}

#[test]
fn cells_know_their_gates() {
    assert_eq!(RecurrentCell::Lstm.gates(), 4);
    assert!(RecurrentCell::Lstm.has_cell_state() && !RecurrentCell::Gru { reset_after: true }.has_cell_state());
    assert!(!RecurrentCell::Tanh.has_inner() && RecurrentCell::Gru { reset_after: false }.has_inner());
}
