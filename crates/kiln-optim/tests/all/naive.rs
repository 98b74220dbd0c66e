//! Steps over random shapes and settings against the formulas, one number at a time; NaN and strided gradients included.

use kiln_autograd::Gradients;
use kiln_math::{Purpose, RandomStream};
use kiln_nn::{Module, Param};
use kiln_optim::{Adam, AdamW, Optimizer, Sgd};
use kiln_tensor::{DType, Device, Tensor};
use proptest::prelude::*;

#[derive(Module)]
struct Tensors {
    parameters: Vec<Param>,
}

/// A gradient of this shape: as it is, or a view whose rows lie in another order.
fn gradient(shape: [usize; 2], strided: bool, stream: RandomStream) -> Tensor {
    let draw = |shape| Tensor::normal(shape, 0.0, 1.0, DType::F64, &Device::cpu(), stream).unwrap();
    if strided { draw([shape[1], shape[0]]).t().unwrap() } else { draw(shape) }
}

fn check(
    shapes: &[[usize; 2]],
    strided: bool,
    seed: u64,
    optimizer: &mut dyn Optimizer,
    mut naive: impl FnMut(usize, f64, f64, &mut [f64; 2]) -> f64,
) {
    let draw = |shape: [usize; 2], index| {
        Tensor::normal(shape, 0.0, 1.0, DType::F64, &Device::cpu(), RandomStream::new(seed, Purpose::Data, index))
            .unwrap()
    };
    let mut model = Tensors {
        parameters: shapes.iter().zip(1000..).map(|(&shape, index)| Param::new(draw(shape, index))).collect(),
    };
    let mut expected: Vec<Vec<f64>> = model.parameters.iter().map(|p| p.value().to_f64_vec().unwrap()).collect();
    let mut states: Vec<Vec<[f64; 2]>> = expected.iter().map(|p| vec![[0.0; 2]; p.len()]).collect();
    for step in 1..=4 {
        let mut gradients = Gradients::default();
        for (at, parameter) in model.parameters.iter().enumerate() {
            let mut gradient =
                gradient(shapes[at], strided, RandomStream::new(seed, Purpose::Data, (step * 50 + at) as u64));
            if at == 0 && step == 3 {
                // A NaN stays where it is: one element is lost, no other.
                let mut values = gradient.to_f64_vec().unwrap();
                values[0] = f64::NAN;
                gradient = Tensor::from_slice(&values, shapes[0], gradient.device()).unwrap();
            }
            for ((p, g), s) in expected[at].iter_mut().zip(gradient.to_f64_vec().unwrap()).zip(&mut states[at]) {
                *p = naive(step, *p, g, s);
            }
            gradients.insert(parameter.id(), gradient);
        }
        optimizer.step(&mut model, &gradients).unwrap();
        for (parameter, expected) in model.parameters.iter().zip(&expected) {
            for (found, expected) in parameter.value().to_f64_vec().unwrap().into_iter().zip(expected) {
                assert!(
                    (found - expected).abs() <= 1e-11 * (1.0 + expected.abs()) || found.is_nan() && expected.is_nan(),
                    "step {step}: {found} for {expected}"
                );
            }
        }
    }
}

fn shapes() -> impl Strategy<Value = Vec<[usize; 2]>> {
    prop::collection::vec([1usize..40, 1usize..20], 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn sgd(shapes in shapes(), strided: bool, seed: u64, lr in 1e-4..0.5, momentum in prop_oneof![Just(0.0), 0.1..0.99], decay in 0.0..0.1, nesterov: bool) {
        let nesterov = nesterov && momentum > 0.0;
        let mut optimizer = Sgd::new(lr).momentum(momentum).weight_decay(decay).nesterov(nesterov);
        check(&shapes, strided, seed, &mut optimizer, |_, p, g, s| {
            let g = g + decay * p;
            s[0] = momentum * s[0] + g;
            p - lr * if nesterov { g + momentum * s[0] } else { s[0] }
        });
    }

    #[test]
    fn adam(shapes in shapes(), strided: bool, seed: u64, lr in 1e-4..0.5, b1 in 0.0f64..0.99, b2 in 0.5f64..0.9999, decay in 0.0..0.1) {
        let naive = |decoupled: bool, epsilon: f64| move |t: usize, p: f64, g: f64, s: &mut [f64; 2]| {
            let (g, p) = if decoupled { (g, p - lr * decay * p) } else { (g + decay * p, p) };
            *s = [b1 * s[0] + (1.0 - b1) * g, b2 * s[1] + (1.0 - b2) * g * g];
            let (m, v) = (s[0] / (1.0 - b1.powi(t as i32)), s[1] / (1.0 - b2.powi(t as i32)));
            p - lr * m / (v.sqrt() + epsilon)
        };
        let mut adam = Adam::new(lr).betas(b1, b2).weight_decay(decay);
        check(&shapes, strided, seed, &mut adam, naive(false, 1e-7));
        let mut adamw = AdamW::new(lr).betas(b1, b2).weight_decay(decay);
        check(&shapes, strided, seed, &mut adamw, naive(true, 1e-7));
    }
}
