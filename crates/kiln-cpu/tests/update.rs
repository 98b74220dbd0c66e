//! Optimizer steps over many tensors against the update of one element, bit for bit.

mod views;

use kiln_cpu::Isa;
use kiln_cpu::update::{Slot, adam_step, sgd_step};
use kiln_math::Unfused;
use kiln_math::update::{Adam, Sgd, adam, sgd};
use proptest::prelude::*;
use views::{fused, on_teams};

const ADAM: Adam<f64> = Adam {
    beta1: 0.9,
    rest1: 0.1,
    beta2: 0.999,
    rest2: 0.001,
    step_size: 0.01,
    inverse_root: 3.0,
    epsilon: 1e-8,
    weight_decay: 0.01,
    keep: 0.999,
};

fn single<R: Copy>(h: Adam<f64>, c: impl Fn(f64) -> R) -> Adam<R> {
    Adam {
        beta1: c(h.beta1),
        rest1: c(h.rest1),
        beta2: c(h.beta2),
        rest2: c(h.rest2),
        step_size: c(h.step_size),
        inverse_root: c(h.inverse_root),
        epsilon: c(h.epsilon),
        weight_decay: c(h.weight_decay),
        keep: c(h.keep),
    }
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
            adam_step(isa, &mut slots(&mut tensors, 2), ADAM);
            for (now, before) in tensors.iter().zip(&start) {
                for i in 0..now[0].len() {
                    let [p, g, m, v] = std::array::from_fn(|k| before[k][i]);
                    let expected = if isa.fused() {
                        adam(p, g, m, v, &single(ADAM, |c| c as f32))
                    } else {
                        let h = single(ADAM, |c| Unfused(c as f32));
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
        let h = Sgd {
            learning_rate: 0.1,
            momentum: if momentum { 0.9 } else { 0.0 },
            gradient_share: 1.0,
            weight_decay: 0.01,
            nesterov: nesterov && momentum,
        };
        let narrow = Sgd {
            learning_rate: 0.1f32, momentum: h.momentum as f32, gradient_share: 1.0, weight_decay: 0.01, nesterov: h.nesterov,
        };
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
                adam_step(isa, &mut slots(&mut tensors, 2), ADAM);
            }
            tensors
        });
    }
}

#[test]
fn f64_steps_are_those_of_one_element() {
    let (mut p, g, mut m, mut v) = (vec![0.5; 37], vec![0.25; 37], vec![0.1; 37], vec![0.2; 37]);
    let expected = adam(0.5, 0.25, 0.1, 0.2, &ADAM);
    let mut slots = [Slot { parameter: &mut p, gradient: &g, first: &mut m, second: &mut v }];
    adam_step(Isa::Avx2, &mut slots, ADAM);
    if Isa::Avx2.is_available() {
        assert!((0..37).all(|i| (p[i], m[i], v[i]) == expected));
    }
    assert!((p[36] - expected.0).abs() < 1e-12);
}
