//! Penalties and their gradients: against Keras's values (tests/fixtures) and central differences, and what is not penalized.

use kiln_autograd::{Var, grad_check};
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_tensor::{DType, Device, Tensor};

fn cpu() -> Device {
    Device::cpu()
}

/// The fixture's values; Keras's kernels are (in, out), our weights (out, in).
fn fixture() -> StateDict {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/regularizers.safetensors");
    let values = safetensors::read(path, &cpu()).unwrap().into_iter();
    values
        .map(|(path, value)| {
            if path.ends_with("weight") || path.ends_with("weight/gradient") {
                (path, value.t().unwrap())
            } else {
                (path, value)
            }
        })
        .collect()
}

fn close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (f, e) in found.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap()) {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{what}: {f}, Keras gives {e}");
    }
}

/// The first layer of each of the fixture's networks.
fn layers() -> [(&'static str, Dense); 5] {
    let dense = || Dense::new(5).activation(Activation::Tanh);
    [
        ("l1", dense().kernel_regularizer(L1(0.03125))),
        ("l2", dense().kernel_regularizer(L2(0.015625)).bias_regularizer(L2(0.0625))),
        ("l1_l2", dense().kernel_regularizer(L1L2 { l1: 0.0078125, l2: 0.03125 }).bias_regularizer(L1(0.015625))),
        ("activity", dense().activity_regularizer(L1L2 { l1: 0.25, l2: 0.75 })),
        ("all", dense().kernel_regularizer(L2(0.015625)).bias_regularizer(L1(0.0625)).activity_regularizer(L2(0.125))),
    ]
}

#[test]
fn penalties_and_gradients_are_kerass() {
    let values = fixture();
    for (dtype, tolerance) in [(DType::F64, 1e-14), (DType::F32, 2e-6)] {
        for (name, layer) in layers() {
            let model = Sequential::new().push(layer).push(Dense::new(3).kernel_regularizer(L2(0.0078125)));
            let mut model = model.build_with(4, &mut Init::new(0, &cpu()).dtype(dtype)).unwrap();
            for (path, parameter) in model.parameters_mut() {
                parameter.set(values[&format!("{name}/{path}")].to_dtype(dtype).unwrap()).unwrap();
            }
            let x = Var::constant(values["x"].to_dtype(dtype).unwrap());
            let loss_of = |ctx: &Ctx| {
                let loss =
                    MeanSquaredError::new().forward(&model.forward(&x, ctx).unwrap(), &values["target"]).unwrap();
                let penalty = ctx.penalty().unwrap().unwrap();
                close(name, penalty.tensor(), &values[&format!("{name}/penalty")], tolerance);
                loss.add(&penalty).unwrap()
            };
            let loss = loss_of(&Ctx::train(0, 0));
            close(name, loss.tensor(), &values[&format!("{name}/loss")], tolerance);
            let gradients = loss.backward().unwrap();
            for (path, parameter) in model.parameters() {
                let what = format!("{name}/{path}/gradient");
                close(&what, gradients.get(parameter.id()).unwrap(), &values[&what], tolerance);
            }
            // Evaluation has the same penalty, and nothing to differentiate.
            assert!(!loss_of(&Ctx::eval()).requires_grad());
        }
    }
}

#[test]
fn gradients_are_the_slopes() {
    let x = Tensor::uniform([3, 4], -1.0, 1.0, DType::F64, &cpu(), RandomStream::new(1, Purpose::Data, 0)).unwrap();
    for regularizer in [L1(0.3).into(), L2(0.2).into(), L1L2 { l1: 0.5, l2: 0.7 }] {
        grad_check(|x| Ok(regularizer.penalty(&x[0])?.unwrap()), std::slice::from_ref(&x)).unwrap();
    }
    // |w| has no slope at 0; 0 is taken, as Keras and PyTorch do.
    let zero = Var::variable(Tensor::zeros([2], DType::F64, &cpu()).unwrap());
    let gradients = L1L2::from(L1(1.0)).penalty(&zero).unwrap().unwrap().backward().unwrap();
    assert_eq!(gradients.of(&zero).unwrap().to_f64_vec().unwrap(), [0.0, 0.0]);
}

fn built(layer: Dense) -> Sequential {
    Sequential::new().push(layer).build([2], &cpu(), 1).unwrap()
}

fn penalty(model: &Sequential, samples: usize) -> Option<f64> {
    let ctx = Ctx::train(0, 0);
    model.forward(Var::constant(Tensor::ones([samples, 2], DType::F32, &cpu()).unwrap()), &ctx).unwrap();
    ctx.penalty().unwrap().map(|penalty| penalty.item().unwrap())
}

#[test]
fn no_regularizer_no_penalty() {
    assert_eq!(penalty(&built(Dense::new(3)), 4), None);
    assert_eq!(penalty(&built(Dense::new(3).kernel_regularizer(L2(0.0)).activity_regularizer(L1(0.0))), 4), None);
    assert_eq!(penalty(&built(Dense::new(3).use_bias(false).bias_regularizer(L2(1.0))), 4), None);
    // An empty batch has no outputs to be penalized.
    assert_eq!(penalty(&built(Dense::new(3).activity_regularizer(L2(1.0))), 0), Some(0.0));
}

#[test]
fn a_batchs_size_does_not_change_an_activitys_penalty() {
    let model = built(Dense::new(3).activity_regularizer(L1L2 { l1: 0.1, l2: 0.2 }));
    let one = penalty(&model, 1).unwrap();
    assert!(one > 0.0 && (penalty(&model, 7).unwrap() - one).abs() < 1e-6 * one);
}

#[test]
fn frozen_weights_are_free_and_shared_ones_count_once() {
    let mut model = built(Dense::new(2).kernel_regularizer(L2(1.0)));
    let once = penalty(&model, 1).unwrap();
    let ctx = Ctx::train(0, 0);
    let x = Var::constant(Tensor::ones([1, 2], DType::F32, &cpu()).unwrap());
    let y = model.forward(&x, &ctx).unwrap();
    model.forward(&y, &ctx).unwrap();
    assert_eq!(ctx.penalty().unwrap().unwrap().item().unwrap(), once);
    assert!(ctx.penalty().unwrap().is_none(), "handed out once");
    model.set_trainable(false);
    assert_eq!(penalty(&model, 1), None);
}

#[test]
fn a_layers_own_loss_is_added() {
    let ctx = Ctx::train(0, 0);
    let own = Var::variable(Tensor::scalar(3.0f32, &cpu()).unwrap());
    ctx.add_loss(own.clone());
    ctx.add_loss(own.square().unwrap());
    let penalty = ctx.penalty().unwrap().unwrap();
    assert_eq!(penalty.item().unwrap(), 12.0);
    assert_eq!(penalty.backward().unwrap().of(&own).unwrap().item().unwrap(), 7.0);
}

#[test]
fn factors_that_make_no_penalty_are_refused() {
    for bad in [-0.1, f64::NAN, f64::INFINITY] {
        let build = |layer: Dense| Sequential::new().push(layer).build([2], &cpu(), 1).unwrap_err().to_string();
        let error = build(Dense::new(2).kernel_regularizer(L1(bad)));
        assert!(error.contains("model.0 (Dense): kernel_regularizer: factors of at least 0"), "{error}");
        assert!(build(Dense::new(2).bias_regularizer(L2(bad))).contains("bias_regularizer"));
        assert!(build(Dense::new(2).activity_regularizer(L2(bad))).contains("activity_regularizer"));
        let x = Var::constant(Tensor::ones([2], DType::F32, &cpu()).unwrap());
        assert!(L1L2::from(L2(bad)).penalty(&x).is_err());
    }
}

/// Σw² and Σ|w| are beyond f16 here, the penalties are not; the gradient is that of f32, rounded once.
#[test]
fn sums_of_half_types_are_taken_in_f32() {
    for dtype in [DType::F16, DType::BF16] {
        let w = Tensor::full([16], 256.0, DType::F32, &cpu()).unwrap().to_dtype(dtype).unwrap();
        let w = Var::variable(w);
        for (regularizer, penalty, gradient) in
            [(L1L2::from(L2(2e-4)), 209.7152, 0.1024), (L1(0.5).into(), 2048.0, 0.5)]
        {
            let value = regularizer.penalty(&w).unwrap().unwrap();
            assert_eq!(value.dtype(), dtype);
            let rounded = |x: f64| Tensor::scalar(x, &cpu()).unwrap().to_dtype(dtype).unwrap().item().unwrap();
            assert_eq!(value.tensor().item().unwrap(), rounded(penalty), "{dtype}");
            let found = value.backward().unwrap().of(&w).unwrap().to_f64_vec().unwrap();
            assert_eq!(found, [rounded(gradient); 16], "{dtype}");
        }
    }
}
