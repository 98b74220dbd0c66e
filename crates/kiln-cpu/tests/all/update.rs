//! Optimizer steps over many tensors against the update of one element, bit for bit.

use crate::views::{fused, on_teams};
use kiln_cpu::Isa;
use kiln_cpu::update::{Slot, adam_step, sgd_step};
use kiln_math::Unfused;
use kiln_math::update::{Adam, AdamSettings, SgdSettings, adam, sgd};
use proptest::prelude::*;

fn adam_at(smallest: f64) -> Adam<f64> {
    let settings = AdamSettings { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01, decoupled: false };
    settings.at(0.01, 3.0, smallest)
}

/// For f32.
fn adam_f32() -> Adam<f64> {
    adam_at(f32::MIN_POSITIVE.into())
}

/// Parameter, gradient, two states of a tensor.
type Tensor = [Vec<f32>; 4];

fn tensor(n: usize, salt: usize) -> Tensor {
    let number = move |k: usize| move |i: usize| ((i * 7919 + k * 131 + salt * 31) % 2003) as f32 * 1e-3 - 1.0;
    let gradient = |i: usize| if i.is_multiple_of(5) { 1e-20 } else { number(1)(i) };
    [
        (0..n).map(number(0)).collect(),
        (0..n).map(gradient).collect(),
        (0..n).map(number(2)).collect(),
        (0..n).map(|i| number(3)(i).abs()).collect(),
    ]
}

fn slots<'a>(tensors: &'a mut [Tensor], states: usize) -> Vec<Slot<'a, f32>> {
    tensors
        .iter_mut()
        .map(|[parameter, gradient, first, second]| Slot {
            parameter,
            gradient,
            first: if states > 0 { first } else { &mut [] },
            second: if states > 1 { second } else { &mut [] },
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn adam_over_tensors_of_any_sizes(sizes in prop::collection::vec(0usize..700, 0..6)) {
        let start: Vec<Tensor> = sizes.iter().enumerate().map(|(k, &n)| tensor(n, k)).collect();
        for &isa in Isa::available() {
            let mut tensors = start.clone();
            adam_step(isa, &mut slots(&mut tensors, 2), adam_f32());
            for (now, before) in tensors.iter().zip(&start) {
                for i in 0..now[0].len() {
                    let [p, g, m, v] = std::array::from_fn(|k| before[k][i]);
                    let expected = if isa.fused() {
                        adam(p, g, m, v, &adam_f32().map(|c| c as f32))
                    } else {
                        let h = adam_f32().map(|c| Unfused(c as f32));
                        let (p, m, v) = adam(Unfused(p), Unfused(g), Unfused(m), Unfused(v), &h);
                        (p.0, m.0, v.0)
                    };
                    prop_assert_eq!((now[0][i], now[2][i], now[3][i]), expected, "{} element {}", isa.name(), i);
                }
            }
        }
    }

    #[test]
    fn sgd_with_and_without_momentum(sizes in prop::collection::vec(0usize..700, 0..6), momentum in any::<bool>(), nesterov in any::<bool>()) {
        let start: Vec<Tensor> = sizes.iter().enumerate().map(|(k, &n)| tensor(n, k)).collect();
        let momentum = if momentum { 0.9 } else { 0.0 };
        let settings = SgdSettings { momentum, dampening: 0.3, weight_decay: 0.01, nesterov: nesterov && momentum > 0.0 };
        let h = settings.at(0.1, 2.0, f32::MIN_POSITIVE.into());
        let (momentum, narrow) = (momentum > 0.0, h.map(|c| c as f32));
        for isa in fused() {
            let mut tensors = start.clone();
            sgd_step(isa, &mut slots(&mut tensors, usize::from(momentum)), h);
            for (now, before) in tensors.iter().zip(&start) {
                for i in 0..now[0].len() {
                    let v = if momentum { before[2][i] } else { 0.0 };
                    let (p, v) = sgd(before[0][i], before[1][i], v, &narrow);
                    prop_assert_eq!(now[0][i], p);
                    prop_assert_eq!(now[2][i], if momentum { v } else { before[2][i] });
                }
            }
        }
    }
}

#[test]
fn threads_do_not_change_results() {
    let sizes = [100_352, 128, 0, 50_001, 10, 70_003];
    for isa in fused() {
        on_teams(|| {
            let mut tensors: Vec<Tensor> = sizes.iter().enumerate().map(|(k, &n)| tensor(n, k)).collect();
            for _ in 0..2 {
                adam_step(isa, &mut slots(&mut tensors, 2), adam_f32());
            }
            tensors
        });
    }
}

#[test]
fn f64_steps_are_those_of_one_element() {
    let (mut p, g, mut m, mut v) = (vec![0.5; 37], vec![0.25; 37], vec![0.1; 37], vec![0.2; 37]);
    let expected = adam(0.5, 0.25, 0.1, 0.2, &adam_at(f64::MIN_POSITIVE));
    let mut slots = [Slot { parameter: &mut p, gradient: &g, first: &mut m, second: &mut v }];
    adam_step(Isa::Avx2, &mut slots, adam_at(f64::MIN_POSITIVE));
    if Isa::Avx2.is_available() {
        assert!((0..37).all(|i| (p[i], m[i], v[i]) == expected));
    }
    assert!((p[36] - expected.0).abs() < 1e-12);
}

#[test]
fn slices_of_other_lengths_are_refused() {
    let refused = |gradient: usize, first: usize, second: usize, states: usize| {
        let (mut p, g, mut m, mut v) = (vec![0f32; 8], vec![0f32; gradient], vec![0f32; first], vec![0f32; second]);
        let mut slots = [Slot { parameter: &mut p, gradient: &g, first: &mut m, second: &mut v }];
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match states {
            2 => adam_step(Isa::best(), &mut slots, adam_f32()),
            _ => sgd_step(
                Isa::best(),
                &mut slots,
                SgdSettings { momentum: 0.9, dampening: 0.0, weight_decay: 0.0, nesterov: false }.at(0.1, 1.0, 1e-38),
            ),
        }))
        .is_err()
    };
    assert!(!refused(8, 8, 8, 2) && refused(7, 8, 8, 2) && refused(8, 7, 8, 2) && refused(8, 8, 0, 2));
    assert!(!refused(8, 8, 0, 1) && !refused(8, 0, 0, 1) && refused(9, 8, 0, 1) && refused(8, 1, 0, 1));
}
