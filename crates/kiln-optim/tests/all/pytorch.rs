//! Fifty steps of each optimizer against PyTorch's (tests/fixtures; LAMB's, Lion's and the second Adafactor's against the
//! authors' code), the learning rate halved on the way; in f64 closely,
//! in f32 to its precision.

use kiln_autograd::Gradients;
use kiln_math::UpdateRule;
use kiln_nn::{Module, Param, StateDict, safetensors};
use kiln_optim::*;
use kiln_tensor::{DType, Device, Tensor};
use std::collections::BTreeSet;

const STEPS: usize = 50;
const HALVED: usize = 12;

#[derive(Module)]
struct Weights {
    weight: Param,
    bias: Param,
}

fn optimizers() -> Vec<(&'static str, Box<dyn Optimizer>)> {
    vec![
        ("sgd", Box::new(Sgd::new(0.1))),
        ("sgd_weight_decay", Box::new(Sgd::new(0.1).weight_decay(0.05))),
        ("sgd_momentum", Box::new(Sgd::new(0.05).momentum(0.9))),
        ("sgd_dampening", Box::new(Sgd::new(0.05).momentum(0.8).dampening(0.3).weight_decay(0.01))),
        ("sgd_nesterov", Box::new(Sgd::new(0.05).momentum(0.9).nesterov(true).weight_decay(0.01))),
        ("adam", Box::new(Adam::new(0.01))),
        ("adam_settings", Box::new(Adam::new(0.02).betas(0.8, 0.95).epsilon(1e-3).weight_decay(0.1))),
        ("adamw", Box::new(AdamW::new(0.01))),
        ("rmsprop", Box::new(RmsProp::new(0.01))),
        ("rmsprop_momentum", Box::new(RmsProp::new(0.01).alpha(0.9).epsilon(1e-4).momentum(0.9).weight_decay(0.1))),
        ("rmsprop_centered", Box::new(RmsProp::new(0.01).alpha(0.95).epsilon(1e-5).centered(true))),
        (
            "rmsprop_settings",
            Box::new(RmsProp::new(0.01).alpha(0.9).epsilon(1e-3).momentum(0.8).centered(true).weight_decay(0.05)),
        ),
        ("amsgrad", Box::new(AmsGrad::new(0.01))),
        ("amsgrad_settings", Box::new(AmsGrad::new(0.02).betas(0.8, 0.9).epsilon(1e-4).weight_decay(0.1))),
        ("adamax", Box::new(Adamax::new(0.01))),
        ("adamax_settings", Box::new(Adamax::new(0.02).betas(0.8, 0.9).epsilon(1e-3).weight_decay(0.1))),
        ("nadam", Box::new(NAdam::new(0.01))),
        (
            "nadam_settings",
            Box::new(NAdam::new(0.02).betas(0.8, 0.95).epsilon(1e-4).weight_decay(0.1).momentum_decay(0.05)),
        ),
        ("radam", Box::new(RAdam::new(0.01))),
        ("radam_settings", Box::new(RAdam::new(0.02).betas(0.8, 0.9).epsilon(1e-4).weight_decay(0.1))),
        ("adagrad", Box::new(Adagrad::new(0.1))),
        ("adagrad_settings", Box::new(Adagrad::new(0.1).decay(0.05).epsilon(1e-3).weight_decay(0.1))),
        ("adadelta", Box::new(Adadelta::new(1.0))),
        ("adadelta_settings", Box::new(Adadelta::new(0.5).rho(0.8).epsilon(1e-3).weight_decay(0.1))),
        ("lion", Box::new(Lion::new(0.01))),
        ("lion_settings", Box::new(Lion::new(0.02).betas(0.8, 0.9).weight_decay(0.2))),
        ("lookahead", Box::new(Lookahead::new(Adam::new(0.02), 5, 0.5))),
        ("lookahead_settings", Box::new(Lookahead::new(Sgd::new(0.05).momentum(0.9), 7, 0.8))),
        ("lamb", Box::new(Lamb::new(0.01))),
        ("lamb_settings", Box::new(Lamb::new(0.02).betas(0.8, 0.95).epsilon(1e-3).weight_decay(0.1))),
        ("adafactor", Box::new(Adafactor::new(0.01))),
        (
            "adafactor_settings",
            Box::new(Adafactor::new(0.3).decay(0.6).epsilons(1e-30, 0.5).clip_threshold(1.5).weight_decay(0.1)),
        ),
        (
            "adafactor_transformers",
            Box::new(Adafactor::new(0.02).relative_step(false).scale_parameter(false).clip_threshold(0.9)),
        ),
        (
            "adafactor_momentum",
            Box::new(Adafactor::new(0.05).relative_step(false).epsilons(1e-4, 1e-2).beta1(0.8).decay(0.7)),
        ),
        ("adafactor_warmup", Box::new(Adafactor::new(0.01).schedule(LinearWarmup::new(10_000)))),
        ("muon", Box::new(Muon::new(0.02))),
        (
            "muon_settings",
            Box::new(
                Muon::new(0.005)
                    .weight_decay(0.2)
                    .momentum(0.8)
                    .nesterov(false)
                    .newton_schulz([2.0, -1.5, 0.5], 3)
                    .match_adamw(true)
                    .adamw_settings(0.8, 0.9, 1e-7),
            ),
        ),
        ("adamw_settings", Box::new(AdamW::new(0.02).betas(0.7, 0.9).epsilon(1e-6).weight_decay(0.2))),
    ]
}

#[test]
fn fifty_steps() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/steps.safetensors");
    let values = safetensors::read(path, &Device::cpu()).unwrap();
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 3e-6)] {
        let value = |name: String| values[&name].to_dtype(dtype).unwrap();
        for (label, mut optimizer) in optimizers() {
            let mut layer = Weights {
                weight: Param::new(value("start.weight".into())),
                bias: Param::new(value("start.bias".into())),
            };
            for step in 0..STEPS {
                if step == HALVED {
                    optimizer.set_learning_rate(optimizer.learning_rate() * 0.5);
                }
                let mut gradients = Gradients::default();
                for (name, parameter) in layer.parameters() {
                    let all = value(format!("gradient.{name}"));
                    gradients.insert(parameter.id(), all.slice(0, step..step + 1).unwrap().squeeze(0).unwrap());
                }
                optimizer.step(&mut layer, &gradients).unwrap();
                for (name, parameter) in layer.parameters() {
                    compare(&values, &format!("{label}.{name}"), step, parameter.value(), tolerance);
                }
            }
            assert_eq!(optimizer.steps(), STEPS as u64);
        }
    }
    let mut found: BTreeSet<&str> = optimizers().iter().map(|(_, optimizer)| optimizer.name()).collect();
    for whole in ["Adafactor", "Lamb", "Muon"] {
        assert!(found.remove(whole));
    }
    // Running averages are no optimizer.
    let rules = UpdateRule::ALL.iter().filter(|&&rule| rule != UpdateRule::Average);
    assert_eq!(found, rules.map(|rule| rule.name()).collect(), "every rule of the list has its fixture");
}

/// Adam by gradients from 5e−18 to 2e15: wherever their squares are normal numbers, the steps are PyTorch's, also at ε = 0.
#[test]
fn gradients_of_every_size() {
    #[derive(Module)]
    struct One {
        weight: Param,
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/steps.safetensors");
    let values = safetensors::read(path, &Device::cpu()).unwrap();
    for (dtype, bits, tolerance) in [(DType::F64, "64", 1e-13), (DType::F32, "32", 2e-6)] {
        for epsilon in ["1e-8", "1e-15", "0"] {
            let gradients = values["sizes.gradient"].to_dtype(dtype).unwrap();
            let mut model =
                One { weight: Param::new(Tensor::zeros([gradients.dims()[1]], dtype, &Device::cpu()).unwrap()) };
            let mut adam = Adam::new(0.1).epsilon(epsilon.parse().unwrap());
            for step in 0..STEPS {
                let mut of_step = Gradients::default();
                let gradient = gradients.slice(0, step..step + 1).unwrap().squeeze(0).unwrap();
                of_step.insert(model.weight.id(), gradient);
                adam.step(&mut model, &of_step).unwrap();
                let expected = values[&format!("sizes.{epsilon}.{bits}")].slice(0, step..step + 1).unwrap();
                let found = model.weight.value().to_f64_vec().unwrap();
                for (f, e) in found.into_iter().zip(expected.to_f64_vec().unwrap()) {
                    assert!(
                        (f - e).abs() <= tolerance * e.abs(),
                        "{dtype}, {epsilon}, step {step}: {f:e}, PyTorch has {e:e}"
                    );
                }
            }
        }
    }
}

fn compare(values: &StateDict, name: &str, step: usize, found: &Tensor, tolerance: f64) {
    let expected = values[name].slice(0, step..step + 1).unwrap().to_f64_vec().unwrap();
    for (f, e) in found.to_f64_vec().unwrap().into_iter().zip(expected) {
        assert!(
            (f - e).abs() <= tolerance * (1.0 + e.abs()),
            "{name}, step {step}, {}: {f}, PyTorch has {e}",
            found.dtype()
        );
    }
}
