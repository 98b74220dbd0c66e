//! Clipping against PyTorch's formulas.

use kiln_autograd::Gradients;
use kiln_nn::{Dense, Module, Sequential};
use kiln_optim::{Clip, Optimizer, Sgd, clip_gradient_norm, clip_gradient_value};
use kiln_tensor::{DType, Device, Tensor};

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
    assert_eq!(gradients.norm().unwrap(), 5.0);
    let clipped = values(&clip_gradient_norm(gradients, 1.0).unwrap());
    // torch.nn.utils.clip_grad_norm_: 1 / (5 + 1e-6)
    let factor = 1.0 / (5.0 + 1e-6);
    assert!(clipped.iter().zip([3.0 * factor, 0.0, 4.0 * factor]).all(|(a, b)| (a - b).abs() < 1e-6), "{clipped:?}");
    let (_, gradients) = model([3.0, 0.0], 4.0);
    assert_eq!(values(&clip_gradient_norm(gradients, 5.0).unwrap()), [3.0, 0.0, 4.0]);
    let (_, gradients) = model([f32::INFINITY, 1.0], 4.0);
    assert!(values(&clip_gradient_norm(gradients, 5.0).unwrap())[0].is_nan());
}

fn one(values: &[f64], dtype: DType) -> Gradients {
    let mut gradients = Gradients::default();
    let values = tensor(values).to_dtype(dtype).unwrap();
    gradients.insert(kiln_nn::Param::new(tensor(&[0.0])).id(), values);
    gradients
}

/// Squares that the gradients' type cannot hold.
#[test]
fn norms_of_every_size() {
    use DType::{BF16, F16, F32, F64};
    for (values, dtype, norm) in [
        (vec![300.0], F16, 300.0),
        (vec![30_000.0; 400], F16, 600_000.0),
        (vec![2f64.powi(-20); 16], F16, 2f64.powi(-18)),
        (vec![2f64.powi(100); 4], BF16, 2f64.powi(101)),
        (vec![2f64.powi(-100); 4], BF16, 2f64.powi(-99)),
        (vec![3e30, -4e30], F32, 5e30),
        (vec![3e-30, -4e-30], F32, 5e-30),
        (vec![2f64.powi(-149)], F32, 2f64.powi(-149)),
        (vec![3e300, -4e300], F64, 5e300),
        (vec![3e-300, -4e-300], F64, 5e-300),
        (vec![5e-324], F64, 5e-324),
        (vec![0.0; 5], F32, 0.0),
        (vec![], F32, 0.0),
        (vec![f64::INFINITY, 1.0], F32, f64::INFINITY),
    ] {
        let found = one(&values, dtype).norm().unwrap();
        assert!(found == norm || (found / norm - 1.0).abs() < 1e-6, "{dtype} of {norm:e}: {found:e}");
    }
    assert!(one(&[f64::NAN, 1e30], F32).norm().unwrap().is_nan());
    // Two of one model, of which one dwarfs the other.
    let mut both = one(&[3e200], F64);
    one(&[4e200], F64).iter().for_each(|(id, gradient)| both.insert(id, gradient.clone()));
    assert!((both.norm().unwrap() / 5e200 - 1.0).abs() < 1e-15);
    assert_eq!(values(&clip_gradient_norm(one(&[300.0], F16), 1.0).unwrap()), [1.0]);
    assert!((values(&clip_gradient_norm(one(&[-1e30], F32), 1.0).unwrap())[0] + 1.0).abs() < 1e-6);
    assert_eq!(values(&clip_gradient_norm(one(&[1e-30], F32), 1.0).unwrap()), [f64::from(1e-30f32)]);
    // A bound of 0 leaves nothing, an infinite one everything: as in PyTorch.
    assert_eq!(values(&clip_gradient_norm(one(&[3.0], F32), 0.0).unwrap()), [0.0]);
    assert_eq!(values(&clip_gradient_norm(one(&[3.0], F32), f64::INFINITY).unwrap()), [3.0]);
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
