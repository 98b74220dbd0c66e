//! One step of each optimizer over tensors of three sizes, gradients given, as `optimizers_torch.py` times it.

use crate::timing::{median, seconds};
use kiln::prelude::*;
use serde_json::{Map, Value, json};

/// Tensors, elements of each, and how many steps are timed after some that are not.
const SIZES: [(usize, usize, usize); 3] = [(1, 1 << 24, 12), (100, 100_000, 20), (100, 1_000, 400)];

/// Steps that are not timed: states are made, and caches filled.
const WARM_UP: usize = 3;

/// A model that is its parameters.
#[derive(Module)]
struct Parameters {
    parameters: Vec<Param>,
}

/// Each with the bytes that it must read and write for an element: parameter, gradient and states. Muon is by its products, not by memory.
fn optimizers() -> Vec<(&'static str, usize, Box<dyn Optimizer>)> {
    vec![
        ("Sgd", 12, Box::new(Sgd::new(1e-3))),
        ("Sgd momentum", 20, Box::new(Sgd::new(1e-3).momentum(0.9))),
        ("Adam", 28, Box::new(Adam::new(1e-3))),
        ("AdamW", 28, Box::new(AdamW::new(1e-3))),
        ("AmsGrad", 36, Box::new(AmsGrad::new(1e-3))),
        ("Adamax", 28, Box::new(Adamax::new(1e-3))),
        ("NAdam", 28, Box::new(NAdam::new(1e-3))),
        ("RAdam", 28, Box::new(RAdam::new(1e-3))),
        ("RmsProp", 20, Box::new(RmsProp::new(1e-3))),
        ("Adagrad", 20, Box::new(Adagrad::new(1e-3))),
        ("Adadelta", 28, Box::new(Adadelta::new(1e-3))),
        ("Lion", 20, Box::new(Lion::new(1e-4))),
        ("Lamb", 28, Box::new(Lamb::new(1e-3))),
        ("Adafactor", 12, Box::new(Adafactor::new(1e-2))),
        ("Muon", 20, Box::new(Muon::new(1e-3))),
    ]
}

/// The shape of a tensor of so many elements: matrices for those that treat them otherwise.
fn shape(name: &str, elements: usize) -> Vec<usize> {
    match (name, elements) {
        ("Adafactor" | "Muon", 1_000) => vec![25, 40],
        ("Adafactor" | "Muon", 100_000) => vec![250, 400],
        ("Adafactor" | "Muon", _) => vec![4096, 4096],
        _ => vec![elements],
    }
}

/// Milliseconds of a step, the median.
fn step(optimizer: &mut dyn Optimizer, shape: &[usize], tensors: usize, steps: usize, device: &Device) -> Result<f64> {
    let mut model = Parameters { parameters: Vec::new() };
    let mut gradients = Gradients::default();
    for at in 0..tensors as u64 {
        let normal = |std, index| {
            Tensor::normal(shape, 0.0, std, DType::F32, device, RandomStream::new(0, Purpose::Data, index))
        };
        let parameter = Param::new(normal(1.0, 2 * at)?);
        gradients.insert(parameter.id(), normal(0.01, 2 * at + 1)?);
        model.parameters.push(parameter);
    }
    let mut times = Vec::new();
    for _ in 0..steps + WARM_UP {
        times.push(seconds(|| {
            optimizer.step(&mut model, &gradients)?;
            device.synchronize()
        })?);
    }
    Ok(median(times.split_off(WARM_UP)) * 1e3)
}

/// Milliseconds of a copy of as many elements.
fn copy(elements: usize, tensors: usize, steps: usize, device: &Device) -> Result<f64> {
    let from = Tensor::ones([tensors * elements], DType::F32, device)?;
    let mut to = from.copied()?;
    let mut times = Vec::new();
    for _ in 0..steps + WARM_UP {
        times.push(seconds(|| {
            to.copy_from(&from)?;
            device.synchronize()
        })?);
    }
    Ok(median(times.split_off(WARM_UP)) * 1e3)
}

/// Milliseconds by optimizer and size, and of the largest size the share of a copy's bandwidth.
pub(crate) fn steps(device: &Device) -> Result<Value> {
    let (mut times, mut shares) = (Map::new(), Map::new());
    kiln::tensor::Device::cpu().session(|| -> Result<()> {
        for (tensors, elements, steps) in SIZES {
            let of_copy = copy(elements, tensors, steps, device)?;
            for (name, bytes, mut optimizer) in optimizers() {
                // Its products of matrices of 4096 rows take ten seconds a step.
                if name == "Muon" && tensors == 1 {
                    continue;
                }
                let time = step(&mut optimizer, &shape(name, elements), tensors, steps, device)?;
                times.insert(format!("{name}, {tensors} of {elements}"), json!(time));
                if tensors == 1 {
                    shares.insert(name.to_owned(), json!(bytes as f64 / 8.0 * of_copy / time));
                }
            }
        }
        Ok(())
    })?;
    Ok(json!({"task": "optimizers", "step_ms": times, "of_a_copy": shares}))
}
