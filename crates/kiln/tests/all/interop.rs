//! Models that other frameworks load: `cargo xtask interop` runs this, then xtask/interop/models.py on its files.

use kiln::models;
use kiln::nn::{StateDict, safetensors};
use kiln::prelude::*;
use std::path::Path;

/// One model, built for inputs of this shape.
type Made = (&'static str, Box<dyn Fn(&Device) -> Result<Sequential>>, Vec<usize>);

fn made(name: &'static str, shape: &[usize], model: fn() -> Sequential) -> Made {
    let input = shape.to_vec();
    (name, Box::new(move |device| model().build(&input[..], device, 5)), shape.to_vec())
}

fn all() -> Vec<Made> {
    let mlp = || {
        Sequential::new()
            .push(Flatten::new())
            .push(Dense::new(8).activation(Activation::Relu))
            .push_named("3", Dense::new(3))
    };
    let cnn = || {
        Sequential::new()
            .push(Conv2d::new(4, 3).padding(Padding::Same).use_bias(false))
            .push(BatchNorm2d::new().activation(Activation::Relu))
            .push_named("3", MaxPool2d::new(2))
            .push_named("4", Flatten::new())
            .push_named("5", Dense::new(5))
    };
    vec![
        made("mlp", &[3, 4], mlp),
        made("cnn", &[3, 6, 6], cnn),
        made("resnet18", &[3, 64, 64], || models::resnet18(7)),
        made("lstm", &[5, 3], || {
            Sequential::new().push(Lstm::new(4).layers(2).bidirectional(Merge::Concat).return_sequences(true))
        }),
        made("gru", &[5, 3], || {
            Sequential::new().push(Gru::new(4).layers(2).bidirectional(Merge::Concat).return_sequences(true))
        }),
        made("rnn", &[5, 3], || {
            Sequential::new().push(SimpleRnn::new(4).layers(2).bidirectional(Merge::Concat).return_sequences(true))
        }),
    ]
}

#[test]
#[ignore = "writes files that `cargo xtask interop` gives to PyTorch"]
fn interop() -> Result<()> {
    let folder = std::env::var("KILN_INTEROP_DIR").expect("KILN_INTEROP_DIR names a folder");
    let device = Device::cpu();
    for (name, model, shape) in all() {
        let mut model = model(&device)?;
        let mut dims = vec![6];
        dims.extend(shape);
        let x = Tensor::normal(&dims[..], 0.0, 1.0, DType::F32, &device, RandomStream::new(3, Purpose::Init, 0))?;
        // Running statistics that are not those of the beginning.
        let ctx = Ctx::train(1, 0);
        model.forward(Var::constant(x.clone()), &ctx)?;
        ctx.commit(&mut model)?;
        let y = model.forward(Var::constant(x.clone()), &Ctx::eval())?.tensor().clone();
        safetensors::save(&model, Path::new(&folder).join(format!("{name}.safetensors")))?;
        let values = StateDict::from([("x".to_owned(), x), ("y".to_owned(), y)]);
        safetensors::write(&values, Path::new(&folder).join(format!("{name}_values.safetensors")))?;
    }
    Ok(())
}
