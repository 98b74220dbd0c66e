//! Adam over the parameters of the AlexNet listing, gradients given.

use crate::timing::{median, seconds};
use kiln::prelude::*;
use serde_json::{Value, json};

/// Steps that are timed, after three that are not.
const STEPS: usize = 60;

/// A model that is its parameters.
#[derive(Module)]
struct Parameters {
    parameters: Vec<Param>,
}

/// Convolutions, dense layers, and the four vectors of each batch normalization, all of which Keras counts: 21,650,858.
fn shapes() -> Vec<Vec<usize>> {
    let kernels: [&[usize]; 9] = [
        &[96, 3, 11, 11],
        &[256, 96, 5, 5],
        &[384, 256, 3, 3],
        &[384, 384, 3, 3],
        &[256, 384, 3, 3],
        &[256, 4096],
        &[4096, 4096],
        &[4096, 10],
        &[10],
    ];
    let normalized = [96, 256, 384, 384, 256, 4096, 4096];
    let vectors = normalized.into_iter().flat_map(|n| [n; 4]).map(|n| vec![n]);
    kernels.into_iter().map(<[usize]>::to_vec).chain(vectors).collect()
}

/// Milliseconds a step, the median.
pub(crate) fn step(device: &Device) -> Result<Value> {
    let mut gradients = Gradients::default();
    let mut model = Parameters { parameters: Vec::new() };
    for (index, shape) in shapes().iter().enumerate() {
        let normal = |std, index| {
            Tensor::normal(shape.as_slice(), 0.0, std, DType::F32, device, RandomStream::new(0, Purpose::Data, index))
        };
        let parameter = Param::new(normal(1.0, 2 * index as u64)?);
        gradients.insert(parameter.id(), normal(0.01, 2 * index as u64 + 1)?);
        model.parameters.push(parameter);
    }
    let count: usize = model.parameters.iter().map(|p| p.value().elements()).sum();
    let mut optimizer = Adam::new(0.001);
    let times = kiln::tensor::Device::cpu().session(|| -> Result<Vec<f64>> {
        (0..STEPS + 3)
            .map(|_| {
                seconds(|| {
                    optimizer.step(&mut model, &gradients)?;
                    device.synchronize()
                })
            })
            .collect()
    })?;
    Ok(json!({"task": "adam", "params": count, "step_ms": median(times[3..].to_vec()) * 1e3}))
}
