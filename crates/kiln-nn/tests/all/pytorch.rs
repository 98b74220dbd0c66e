//! Against PyTorch's values (tests/fixtures): a network from its own file, its logits, each loss with all gradients, and
//! each activation with its slope; in f64 closely, in f32 to its precision.

use kiln_autograd::Var;
use kiln_nn::*;
use kiln_tensor::{DType, Device, Tensor};

fn fixture(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn values() -> StateDict {
    safetensors::read(fixture("mlp_values.safetensors"), &Device::cpu()).unwrap()
}

/// The network under PyTorch's own paths, with its weights.
fn network(dtype: DType) -> Sequential {
    let mut model = Sequential::new()
        .push(Flatten::new())
        .push(Dense::new(9))
        .push(Activation::Relu)
        .push(Dense::new(7))
        .push(Activation::Tanh)
        .push(Dense::new(4))
        .build_with([3, 4], &mut Init::new(0, &Device::cpu()).dtype(dtype))
        .unwrap();
    safetensors::load(&mut model, fixture("mlp_weights.safetensors")).unwrap();
    model
}

/// The same network with fused activations: its layers are 1, 2, 3 instead of 1, 3, 5.
fn fused(dtype: DType) -> Sequential {
    let mut model = Sequential::new()
        .push(Flatten::new())
        .push(Dense::new(9).activation(Activation::Relu))
        .push(Dense::new(7).activation(Activation::Tanh))
        .push(Dense::new(4))
        .build_with([3, 4], &mut Init::new(0, &Device::cpu()).dtype(dtype))
        .unwrap();
    let weights = network(dtype).state_dict();
    let state = model.state_dict().into_keys().map(|path| (path.clone(), weights[&original(&path)].clone())).collect();
    model.load_state_dict(&state, true).unwrap();
    model
}

/// The path in [`network`] of a path in [`fused`].
fn original(path: &str) -> String {
    path.replace("3.", "5.").replace("2.", "3.")
}

fn close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (f, e) in found.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap()) {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{what}: {f}, PyTorch gives {e}");
    }
}

fn tolerance(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e-13 } else { 2e-6 }
}

fn losses() -> [Box<dyn Loss>; 5] {
    [
        Box::new(SparseCategoricalCrossentropy::from_logits()),
        Box::new(CategoricalCrossentropy::from_logits()),
        Box::new(BinaryCrossentropy::from_logits()),
        Box::new(MeanSquaredError::new()),
        Box::new(MeanAbsoluteError::new()),
    ]
}

fn target<'v>(values: &'v StateDict, loss: &str) -> &'v Tensor {
    match loss {
        "sparse_categorical_crossentropy" => &values["labels"],
        "categorical_crossentropy" | "binary_crossentropy" => &values["soft"],
        _ => &values["numbers"],
    }
}

#[test]
fn logits_losses_and_gradients() {
    let values = values();
    for dtype in [DType::F64, DType::F32] {
        for (model, is_fused) in [(network(dtype), false), (fused(dtype), true)] {
            let x = Var::variable(values["x"].to_dtype(dtype).unwrap());
            for loss in losses() {
                let logits = model.forward(&x, &Ctx::train(0, 0)).unwrap();
                close("logits", logits.tensor(), &values["logits"], tolerance(dtype));
                let name = loss.name();
                let value = loss.forward(&logits, target(&values, name)).unwrap();
                close(name, value.tensor(), &values[&format!("{name}/loss")], tolerance(dtype));
                let per_sample = loss.per_sample(&logits, target(&values, name)).unwrap();
                assert_eq!(per_sample.dims(), [6]);
                let mean = per_sample.tensor().mean(..).unwrap();
                close(name, &mean, &values[&format!("{name}/loss")], tolerance(dtype));

                let gradients = value.backward().unwrap();
                assert_eq!(gradients.len(), 7);
                close(name, gradients.of(&x).unwrap(), &values[&format!("{name}/x")], tolerance(dtype));
                for (path, parameter) in model.parameters() {
                    let path = if is_fused { original(&path) } else { path };
                    let gradient = gradients.get(parameter.id()).unwrap();
                    let what = format!("{name}/{path}, fused: {is_fused}");
                    close(&what, gradient, &values[&format!("{name}/{path}")], tolerance(dtype));
                }
            }
        }
    }
}

/// On probabilities that come from a softmax, the losses are those of its logits, gradients included.
#[test]
fn losses_of_probabilities() {
    let values = values();
    for dtype in [DType::F64, DType::F32] {
        let model = network(dtype).push(Activation::Softmax);
        let pairs: [(Box<dyn Loss>, &str); 2] = [
            (Box::new(SparseCategoricalCrossentropy::new()), "sparse_categorical_crossentropy"),
            (Box::new(CategoricalCrossentropy::new()), "categorical_crossentropy"),
        ];
        for (loss, name) in pairs {
            let x = Var::variable(values["x"].to_dtype(dtype).unwrap());
            let probabilities = model.forward(&x, &Ctx::train(0, 0)).unwrap();
            // Without a softmax to look through, the clipped form gives the same value to rounding.
            let plain = loss.forward(&probabilities.detach(), target(&values, name)).unwrap();
            close(name, plain.tensor(), &values[&format!("{name}/loss")], 10.0 * tolerance(dtype));
            let value = loss.forward(&probabilities, target(&values, name)).unwrap();
            close(name, value.tensor(), &values[&format!("{name}/loss")], tolerance(dtype));
            let gradients = value.backward().unwrap();
            close(name, gradients.of(&x).unwrap(), &values[&format!("{name}/x")], tolerance(dtype));
        }
    }
}

#[test]
fn activations_and_their_slopes() {
    use Activation::*;
    let values = values();
    for (name, activation) in [
        ("relu", Relu),
        ("relu6", Relu6),
        ("leaky_relu", LeakyRelu(0.2)),
        ("elu", Elu(1.3)),
        ("celu", Celu(1.3)),
        ("selu", Selu),
        ("gelu", Gelu),
        ("gelu_tanh", GeluTanh),
        ("silu", Silu),
        ("mish", Mish),
        ("tanh", Tanh),
        ("sigmoid", Sigmoid),
        ("log_sigmoid", LogSigmoid),
        ("softplus", Softplus),
        ("softsign", Softsign),
        ("hard_sigmoid", HardSigmoid),
        ("hard_swish", HardSwish),
        ("exp", Exp),
        ("softmax", Softmax),
        ("log_softmax", LogSoftmax),
    ] {
        for dtype in [DType::F64, DType::F32] {
            let x = Var::variable(values["grid"].to_dtype(dtype).unwrap());
            let y = activation.forward(x.clone(), &Ctx::train(0, 0)).unwrap();
            close(name, y.tensor(), &values[&format!("activation/{name}/y")], tolerance(dtype));
            let weights = Var::constant(values["grid_weights"].to_dtype(dtype).unwrap());
            let gradients = y.mul(&weights).unwrap().sum_all().unwrap().backward().unwrap();
            close(name, gradients.of(&x).unwrap(), &values[&format!("activation/{name}/dx")], 2.0 * tolerance(dtype));
        }
    }
}

#[test]
fn a_file_of_pytorchs_is_written_back_as_it_was() {
    let path = std::env::temp_dir().join(format!("kiln-nn-pytorch-{}.safetensors", std::process::id()));
    safetensors::save(&network(DType::F64), &path).unwrap();
    let cpu = Device::cpu();
    let (ours, theirs) =
        (safetensors::read(&path, &cpu).unwrap(), safetensors::read(fixture("mlp_weights.safetensors"), &cpu).unwrap());
    std::fs::remove_file(&path).unwrap();
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, tensor) in &theirs {
        assert_eq!(ours[name].shape(), tensor.shape());
        assert_eq!(ours[name].to_vec::<f64>().unwrap(), tensor.to_vec::<f64>().unwrap());
    }
}
