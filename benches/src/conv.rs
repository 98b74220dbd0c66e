//! Convolutions and their gradients one by one, as `conv_torch.py` times them: milliseconds, the best of half a second.

use crate::timing::best_of_half_a_second;
use kiln::prelude::*;
use kiln::tensor::{ConvOptions, MatmulOptions};
use serde_json::{Map, Value, json};

/// Images, groups, channels in and out of a group, size, kernel, stride, padding.
type Form = [usize; 8];

/// The same list is in `conv_torch.py`: AlexNet's on 32 × 32 images at batch 64, ResNet's at batch 32.
const FORMS: [(&str, Form); 10] = [
    ("alexnet 3-96 11x11/4 of 32", [64, 1, 3, 96, 32, 11, 4, 4]),
    ("alexnet 96-256 5x5 of 4", [64, 1, 96, 256, 4, 5, 1, 2]),
    ("alexnet 256-384 3x3 of 2", [64, 1, 256, 384, 2, 3, 1, 1]),
    ("alexnet 384-384 3x3 of 2", [64, 1, 384, 384, 2, 3, 1, 1]),
    ("alexnet 384-256 3x3 of 2", [64, 1, 384, 256, 2, 3, 1, 1]),
    ("resnet 3-64 7x7/2 of 224", [32, 1, 3, 64, 224, 7, 2, 3]),
    ("resnet 64-64 3x3 of 56", [32, 1, 64, 64, 56, 3, 1, 1]),
    ("resnet 256-256 3x3 of 14", [32, 1, 256, 256, 14, 3, 1, 1]),
    ("resnet 256-256 1x1 of 14", [32, 1, 256, 256, 14, 1, 1, 0]),
    ("depthwise 128 3x3 of 28", [32, 128, 1, 1, 28, 3, 1, 1]),
];

/// Milliseconds forward, of the input's gradient and of the weight's.
fn times([batch, groups, inputs, outputs, size, kernel, stride, padding]: Form, device: &Device) -> Result<[f64; 3]> {
    let uniform = |shape: [usize; 4], index| {
        Tensor::uniform(shape, -1.0, 1.0, DType::F32, device, RandomStream::new(0, Purpose::Data, index))
    };
    let x = uniform([batch, groups * inputs, size, size], 0)?;
    let weight = uniform([groups * outputs, inputs, kernel, kernel], 1)?;
    let options = ConvOptions::new().stride(stride).padding(padding).groups(groups);
    let conv = options.resolve(x.shape(), weight.shape())?;
    let y = x.conv(&weight, &options, MatmulOptions::default())?;
    let dy = Tensor::uniform(y.shape(), -1.0, 1.0, DType::F32, device, RandomStream::new(0, Purpose::Data, 2))?;
    let milliseconds = |f: &dyn Fn() -> Result<Tensor>| -> Result<f64> {
        let time = best_of_half_a_second(|| {
            f()?;
            device.synchronize()
        })?;
        Ok((time * 1e6).round() / 1e3)
    };
    Ok([
        milliseconds(&|| x.conv(&weight, &options, MatmulOptions::default()))?,
        milliseconds(&|| dy.conv_grad_input(&weight, &conv, x.shape()))?,
        milliseconds(&|| x.conv_grad_weight(&dy, &conv))?,
    ])
}

/// Milliseconds by form and direction.
pub(crate) fn all(device: &Device) -> Result<Value> {
    let mut ms = Map::new();
    kiln::tensor::Device::cpu().session(|| -> Result<()> {
        for (name, form) in FORMS {
            let [forward, input, weight] = times(form, device)?;
            ms.insert(name.to_owned(), json!({"forward": forward, "input": input, "weight": weight}));
        }
        Ok(())
    })?;
    Ok(json!({"task": "conv", "ms": ms}))
}
