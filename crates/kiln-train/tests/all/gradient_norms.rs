//! `GradientNorms`: what it reports, held against norms by hand.

use super::logged::{Logged, bits_of, by_name};
use kiln_datasets::TensorDataset;
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_optim::{Adam, Sgd};
use kiln_tensor::{DType, Device, Tensor};
use kiln_train::*;

fn cpu() -> Device {
    Device::cpu()
}

fn numbers(columns: usize, at: u64) -> Tensor {
    Tensor::uniform([24, columns], -1.0, 1.0, DType::F32, &cpu(), RandomStream::new(3, Purpose::Data, at)).unwrap()
}

fn data() -> TensorDataset {
    TensorDataset::new(numbers(3, 0), numbers(2, 1)).unwrap()
}

fn model() -> Sequential {
    let model = Sequential::new().push_named("hidden", Dense::new(4).activation(Activation::Tanh));
    model.push_named("head", Dense::new(2)).build([3], &cpu(), 1).unwrap()
}

fn size(numbers: &[f64]) -> f64 {
    numbers.iter().map(|number| number * number).sum::<f64>().sqrt()
}

/// A parameter's gradient of the first step, and its values before and after it.
struct ByHand {
    path: String,
    gradient: Vec<f64>,
    before: Vec<f64>,
    after: Vec<f64>,
}

fn by_hand(rate: f64) -> Vec<ByHand> {
    let model = Supervised { model: model(), loss: MeanSquaredError::new() };
    let batch = kiln_datasets::Batch::new(numbers(3, 0), numbers(2, 1));
    let gradients = model.loss(&batch, &Ctx::train(0, 0)).unwrap().loss.backward().unwrap();
    let parameters = model.parameters();
    let named = parameters.iter().map(|(path, parameter)| {
        let gradient = gradients.get(parameter.id()).unwrap().to_f64_vec().unwrap();
        let before = parameter.value().to_f64_vec().unwrap();
        let after = before.iter().zip(&gradient).map(|(w, g)| w - rate * g).collect();
        ByHand { path: path.clone(), gradient, before, after }
    });
    named.collect()
}

fn close(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-5 * expected.abs(), "{what}: {found}, expected {expected}");
}

#[test]
fn norms_and_update_ratios_are_those_of_each_parameter() {
    let mut norms = GradientNorms::new().every(1).update_ratios(true);
    let mut logged = Logged::default();
    let mut trainer = compile(model(), Sgd::new(0.1), MeanSquaredError::new());
    let options = FitOptions::new().batch_size(24).shuffle(false).clip_norm(1e6);
    trainer.fit(&data(), options.callback(&mut norms).callback(&mut logged)).unwrap();
    let expected = by_hand(0.1);
    let all: Vec<f64> = expected.iter().flat_map(|of| of.gradient.clone()).collect();
    close(logged.value("gradient_norm", 1), size(&all), "all");
    for ByHand { path, gradient, before, after } in &expected {
        close(logged.value(&format!("gradient_norm.{path}"), 1), size(gradient), path);
        let step: Vec<f64> = before.iter().zip(after).map(|(b, a)| a - b).collect();
        if size(before) > 0.0 {
            let ratio = logged.value(&format!("update_ratio.{path}"), 1);
            assert!((ratio - size(&step) / size(before)).abs() < 1e-6, "{path}: {ratio}");
        } else {
            // Biases begin as 0.
            assert!(path.ends_with("bias") && !logged.has(&format!("update_ratio.{path}")), "{path}");
        }
    }
    assert!(logged.value("update_ratio", 1) > 0.0);
    assert_eq!(norms.last().len(), logged.lines.len());
}

#[test]
fn layers_are_their_parameters_together_and_clipping_comes_later() {
    let mut logged = Logged::default();
    let mut trainer = compile(model(), Sgd::new(0.1), MeanSquaredError::new());
    let norms = GradientNorms::new().every(1).by_layer(true);
    let options = FitOptions::new().batch_size(24).shuffle(false).clip_norm(1e-3);
    trainer.fit(&data(), options.callback(norms).callback(&mut logged)).unwrap();
    let names: Vec<&str> = logged.lines.iter().map(|(_, name, _)| name.as_str()).collect();
    assert_eq!(names, ["gradient_norm", "gradient_norm.hidden", "gradient_norm.head"]);
    for layer in ["hidden", "head"] {
        let own = by_hand(0.1).into_iter().filter(|of| of.path.starts_with(layer));
        let own: Vec<f64> = own.flat_map(|of| of.gradient).collect();
        close(logged.value(&format!("gradient_norm.{layer}"), 1), size(&own), layer);
    }
}

#[test]
fn reports_come_after_so_many_steps_of_the_whole_training_and_change_nothing() {
    let options = || FitOptions::new().epochs(2).batch_size(4).accumulate(2).seed(5);
    let make = || compile(model(), Adam::new(0.01), MeanSquaredError::new());
    let (mut plain, mut watched, mut logged) = (make(), make(), Logged::default());
    plain.fit(&data(), options()).unwrap();
    plain.fit(&data(), options()).unwrap();
    let norms = || GradientNorms::new().every(4).update_ratios(true);
    for _ in 0..2 {
        watched.fit(&data(), options().callback(norms()).callback(&mut logged)).unwrap();
    }
    assert_eq!(bits_of(&plain), bits_of(&watched));
    // Three steps an epoch, twelve in all.
    let steps: Vec<u64> = by_name(&logged, "gradient_norm").into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, [4, 8, 12]);
}

#[test]
fn squares_of_tiny_gradients_do_not_vanish() {
    let mut logged = Logged::default();
    let mut trainer = compile(model(), Sgd::new(0.1), MeanSquaredError::new());
    let tiny = TensorDataset::new(numbers(3, 0).mul_scalar(1e-25).unwrap(), numbers(2, 1)).unwrap();
    let options = FitOptions::new().batch_size(24).callback(GradientNorms::new().every(1)).callback(&mut logged);
    trainer.fit(&tiny, options).unwrap();
    let norm = logged.value("gradient_norm.hidden.weight", 1);
    assert!(norm > 1e-28 && norm < 1e-23, "{norm}");
    let refused = trainer.fit(&data(), FitOptions::new().callback(GradientNorms::new().every(0))).unwrap_err();
    assert!(refused.to_string().contains("every(0)"), "{refused}");
}
