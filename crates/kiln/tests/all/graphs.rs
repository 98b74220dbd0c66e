//! Models that are no chain, beside the same ones of PyTorch (`xtask/fixtures/graphs.py`): as long, with the same paths and shapes,
//! the same outputs, and after a step of training the same weights.

use kiln::nn::{Node, safetensors};
use kiln::prelude::*;
use kiln::tensor::Tensors;

const RELU: Activation = Activation::Relu;

fn two_inputs(init: &mut Init) -> Result<Graph> {
    let mut g = Graph::new();
    let (image, meta) = (g.input([4, 4]), g.input([3]));
    let h = g.call(Flatten::new(), &image)?;
    let h = g.call_named("image", Dense::new(8).activation(RELU), &h)?;
    let h = g.concat(&[&h, &meta])?;
    let h = g.call_named("both", Dense::new(5).activation(RELU), &h)?;
    let y = g.call_named("head", Dense::new(3), &h)?;
    g.build_with(&[&image, &meta], &[&y], init)
}

fn siamese(init: &mut Init) -> Result<Graph> {
    let mut g = Graph::new();
    let (a, b) = (g.input([6]), g.input([6]));
    let tower = g.layer_named("tower", Dense::new(4).activation(Activation::Tanh))?;
    let (p, q) = (g.call(&tower, &a)?, g.call(&tower, &b)?);
    let distance = g.subtract(&p, &q)?;
    let distance = g.multiply(&[&distance, &distance])?;
    let y = g.call_named("head", Dense::new(1), &distance)?;
    g.build_with(&[&a, &b], &[&y], init)
}

fn autoencoder(init: &mut Init) -> Result<Graph> {
    let mut g = Graph::new();
    let x = g.input([6]);
    let encoder = g.layer_named("encoder", Dense::new(3).activation(Activation::Tanh))?;
    let h = g.call(&encoder, &x)?;
    let y = g.call_with(&encoder, Dense::TRANSPOSED, &h)?;
    g.build_with(&[&x], &[&y], init)
}

fn transfer(init: &mut Init) -> Result<Graph> {
    let backbone = Sequential::new().push(Conv2d::new(4, 3)).push(BatchNorm2d::new()).push(RELU);
    let mut g = Graph::new();
    let x = g.input([2, 6, 6]);
    let h = g.call_named("backbone", backbone, &x)?;
    let h = g.call(GlobalAvgPool::new(), &h)?;
    let y = g.call_named("head", Dense::new(3), &h)?;
    let mut model = g.build_with(&[&x], &[&y], init)?;
    model.freeze("backbone.*")?;
    Ok(model)
}

/// A convolution with its normalization, under PyTorch's names.
fn conv(g: &mut Graph, x: &Node, at: &str, number: usize, layer: Conv2d, norm: BatchNorm2d) -> Result<Node> {
    let y = g.call_named(format!("{at}conv{number}"), layer.use_bias(false), x)?;
    g.call_named(format!("{at}bn{number}"), norm, &y)
}

fn block(g: &mut Graph, x: &Node, at: &str, filters: usize, stride: usize) -> Result<Node> {
    let relu = || BatchNorm2d::new().activation(RELU);
    let y = conv(g, x, at, 1, Conv2d::new(filters, 3).stride(stride).padding(1), relu())?;
    let y = conv(g, &y, at, 2, Conv2d::new(filters, 3).padding(1), BatchNorm2d::new())?;
    let shortcut = match stride {
        1 => *x,
        _ => {
            let down = Conv2d::new(filters, 1).stride(stride).use_bias(false);
            g.call_named(format!("{at}downsample"), Sequential::new().push(down).push(BatchNorm2d::new()), x)?
        }
    };
    let sum = g.add(&[&y, &shortcut])?;
    g.call(RELU, &sum)
}

fn resnet(init: &mut Init) -> Result<Graph> {
    let mut g = Graph::new();
    let x = g.input([3, 6, 6]);
    let h = conv(&mut g, &x, "", 1, Conv2d::new(4, 3).padding(1), BatchNorm2d::new().activation(RELU))?;
    let h = block(&mut g, &h, "layer1.0.", 4, 1)?;
    let h = block(&mut g, &h, "layer2.0.", 8, 2)?;
    let h = g.call(GlobalAvgPool::new(), &h)?;
    let y = g.call_named("fc", Dense::new(5), &h)?;
    g.build_with(&[&x], &[&y], init)
}

fn close(name: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.dims(), expected.dims(), "{name}");
    let (found, expected) = (found.to_f64_vec().unwrap(), expected.to_f64_vec().unwrap());
    for (found, expected) in found.into_iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12, "{name}: {found} for {expected}");
    }
}

#[test]
fn the_same_models_as_pytorchs() {
    let values = safetensors::read("tests/fixtures/graphs.safetensors", &Device::cpu()).unwrap();
    type Build = fn(&mut Init) -> Result<Graph>;
    let builders: [(&str, Build); 5] = [
        ("two_inputs", two_inputs),
        ("siamese", siamese),
        ("autoencoder", autoencoder),
        ("transfer", transfer),
        ("resnet", resnet),
    ];
    for (name, build) in builders {
        let below = |kind: &str| -> StateDict {
            let prefix = format!("{name}/{kind}/");
            values
                .iter()
                .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone())))
                .collect()
        };
        let mut model = build(&mut Init::new(1, &Device::cpu()).dtype(DType::F64)).unwrap();
        model.load_state_dict(&below("before"), true).unwrap();
        let inputs = Tensors::of(below("input").into_values()).unwrap();
        let data = TensorDataset::new(inputs.clone(), values[&format!("{name}/target")].clone()).unwrap();
        let outputs = model.forward(&inputs, &Ctx::train(1, 0)).unwrap();
        close(name, outputs.tensor(), &values[&format!("{name}/output")]);
        let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
        trainer.fit(&data, FitOptions::new().shuffle(false)).unwrap();
        let (model, after) = (trainer.into_model(), below("after"));
        for (path, value) in model.state_dict() {
            close(&format!("{name}: {path}"), &value, &after[&path]);
        }
        // And from its description.
        let mut again = Graph::from_architecture(&model.architecture(), &Device::cpu()).unwrap();
        assert_eq!(again.architecture(), model.architecture());
        again.to_dtype(DType::F64).unwrap();
        again.load_state_dict(&model.state_dict(), true).unwrap();
        let run = |model: &Graph| model.forward(&inputs, &Ctx::eval()).unwrap().tensor().to_f64_vec().unwrap();
        assert_eq!(run(&again), run(&model), "{name}");
    }
}
