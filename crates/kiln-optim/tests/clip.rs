//! Clipping against PyTorch's formulas.
#![allow(clippy::unwrap_used)] // a panic is a test's report

use kiln_autograd::Gradients;
use kiln_nn::{Dense, Module, Sequential};
use kiln_optim::{Clip, Optimizer, Sgd, clip_gradient_norm, clip_gradient_value, gradient_norm};
use kiln_tensor::{Device, Tensor};

fn tensor(values: &[f64]) -> Tensor {
    Tensor::from_slice(values, [values.len()], &Device::cpu()).unwrap()
}

/// A model of two weights and a bias, with these gradients.
fn model(weight: [f32; 2], bias: f32) -> (Sequential, Gradients) {
    let model = Sequential::new().push(Dense::new(1)).build(2, &Device::cpu(), 1).unwrap();
    let mut gradients = Gradients::default();
    let parameters = model.parameters();
    gradients.insert(parameters[0].1.id(), Tensor::from_slice(&weight, [1, 2], &Device::cpu()).unwrap());
    gradients.insert(parameters[1].1.id(), Tensor::from_slice(&[bias], [1], &Device::cpu()).unwrap());
    drop(parameters);
    (model, gradients)
}

fn values(gradients: &Gradients) -> Vec<f64> {
    gradients.iter().flat_map(|(_, gradient)| gradient.to_f64_vec().unwrap()).collect()
}

#[test]
fn norms_are_clipped_together() {
    let (_, gradients) = model([3.0, 0.0], 4.0);
    assert_eq!(gradient_norm(&gradients).unwrap(), 5.0);
    let clipped = values(&clip_gradient_norm(gradients, 1.0).unwrap());
    // torch.nn.utils.clip_grad_norm_: 1 / (5 + 1e-6)
    let factor = 1.0 / (5.0 + 1e-6);
    assert!(clipped.iter().zip([3.0 * factor, 0.0, 4.0 * factor]).all(|(a, b)| (a - b).abs() < 1e-6), "{clipped:?}");
    let (_, gradients) = model([3.0, 0.0], 4.0);
    assert_eq!(values(&clip_gradient_norm(gradients, 5.0).unwrap()), [3.0, 0.0, 4.0]);
    let (_, gradients) = model([f32::INFINITY, 1.0], 4.0);
    assert!(values(&clip_gradient_norm(gradients, 5.0).unwrap())[0].is_nan());
}

#[test]
fn values_are_clipped_alone() {
    let (_, gradients) = model([-3.0, 0.25], f32::NAN);
    let clipped = values(&clip_gradient_value(gradients, 0.5).unwrap());
    assert_eq!(clipped[..2], [-0.5, 0.25]);
    assert!(clipped[2].is_nan());
}

#[test]
fn an_optimizer_steps_by_what_is_left() {
    let before = |model: &Sequential| model.state_dict()["0.weight"].to_f64_vec().unwrap();
    let (mut clipped, gradients) = model([30.0, 0.0], 40.0);
    // A gradient of another model's does not count.
    let mut more = Gradients::default();
    gradients.iter().for_each(|(id, gradient)| more.insert(id, gradient.clone()));
    let stranger = kiln_nn::Param::new(tensor(&[1e9]));
    more.insert(stranger.id(), tensor(&[1e9]));
    let start = before(&clipped)[0];
    let mut optimizer = Sgd::new(0.1).clip_norm(5.0);
    optimizer.step(&mut clipped, &more).unwrap();
    assert!((start - before(&clipped)[0] - 0.3).abs() < 1e-6);
    // The caller's gradients stay as they were.
    assert_eq!(values(&gradients), [30.0, 0.0, 40.0]);
    assert_eq!((optimizer.steps(), optimizer.learning_rate()), (1, 0.1));
    let mut optimizer = Sgd::new(0.1).clip_value(1.0);
    let start = before(&clipped)[0];
    optimizer.step(&mut clipped, &gradients).unwrap();
    assert!((start - before(&clipped)[0] - 0.1).abs() < 1e-6);
    let error = Sgd::new(0.1).clip_norm(-1.0).step(&mut clipped, &gradients).unwrap_err().to_string();
    assert!(error.contains("gradient norm to clip at"), "{error}");
}
