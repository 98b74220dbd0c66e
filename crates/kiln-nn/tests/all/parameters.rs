//! What is done to parameters: Dirac weights, constraints, weight and spectral normalization, against PyTorch's and Keras's
//! values (tests/fixtures/parameters.safetensors).

use kiln_autograd::{Var, grad_check};
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_tensor::{DType, Device, Result, Shape, Tensor};

fn cpu() -> Device {
    Device::cpu()
}

fn fixture() -> StateDict {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/parameters.safetensors");
    safetensors::read(path, &cpu()).unwrap()
}

/// What is below a name, by the rest of it.
fn below(values: &StateDict, name: &str) -> StateDict {
    let rest = |path: &str| path.strip_prefix(name).map(str::to_owned);
    values.iter().filter_map(|(path, value)| Some((rest(path)?, value.clone()))).collect()
}

fn close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (f, e) in found.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap()) {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{what}: {f}, expected {e}");
    }
}

fn random(shape: &[usize], index: u64) -> Tensor {
    Tensor::uniform(shape, -1.0, 1.0, DType::F64, &cpu(), RandomStream::new(1, Purpose::Data, index)).unwrap()
}

#[test]
fn dirac_weights_are_pytorchs() {
    let cases = below(&fixture(), "dirac/");
    assert_eq!(cases.len(), 4);
    for (name, expected) in cases {
        let groups = name.split_once('/').unwrap().1.parse().unwrap();
        let stream = RandomStream::new(1, Purpose::Init, 0);
        let fans = Fans { input: 1, output: 1 };
        let found = Initializer::Dirac { groups }.tensor(expected.shape(), fans, DType::F64, &cpu(), stream).unwrap();
        close(&name, &found, &expected, 0.0);
    }
}

#[test]
fn constraints_are_kerass() {
    let values = fixture();
    let axis_0 = [
        Constraint::from(MaxNorm::new(1.25).axis(0)),
        UnitNorm::new().axis(0).into(),
        MinMaxNorm::new(1.5, 2.0).rate(0.75).axis(-2).into(),
    ];
    let by_default =
        [Constraint::from(MaxNorm::new(1.25)), UnitNorm::new().into(), MinMaxNorm::new(1.5, 2.0).rate(0.75).into()];
    for (name, constraints) in [("5x4", &by_default), ("3x2x3x3", &by_default), ("6", &by_default), ("5x4/0", &axis_0)]
    {
        let w = &values[&format!("constraint/{name}/w")];
        for (kind, constraint) in ["max_norm", "unit_norm", "min_max_norm"].iter().zip(constraints) {
            let expected = &values[&format!("constraint/{name}/{kind}")];
            close(kind, &constraint.apply(w).unwrap(), expected, 1e-14);
        }
        // Keras rounds this one to f32.
        let expected = &values[&format!("constraint/{name}/non_neg")];
        close("non_neg", &Constraint::from(NonNeg).apply(w).unwrap(), expected, 1e-7);
    }
}

/// A step: its commit, of so many passes, where it applies.
fn commit(model: &mut Sequential, passes: usize, applies: Option<bool>) {
    let x = Var::constant(Tensor::ones([2, 3], DType::F32, &cpu()).unwrap());
    let passes: Vec<Ctx> = (0..passes as u64).map(|step| Ctx::train(1, step)).collect();
    passes.iter().for_each(|ctx| drop(model.forward(&x, ctx).unwrap()));
    let applies = applies.map(|applies| Tensor::scalar(applies, &cpu()).unwrap());
    Ctx::commit_all(&passes, model, applies.as_ref()).unwrap();
}

#[test]
fn a_commit_applies_constraints_once_in_place_and_where_the_step_counts() {
    let halving = || MinMaxNorm::new(0.0, 0.0).rate(0.5);
    let model = || {
        let layer = Dense::new(4).kernel_constraint(halving()).bias_constraint(NonNeg);
        let layer = layer.bias_initializer(Initializer::Constant(-1.0));
        Sequential::new().push(layer).build([3], &cpu(), 1).unwrap()
    };
    let weight = |model: &Sequential| model.parameters()[0].1.value().to_f64_vec().unwrap();
    let mut one = model();
    let (before, place) = (weight(&one), one.parameters()[0].1.value().storage_id());
    commit(&mut one, 3, Some(false));
    assert_eq!(weight(&one), before, "a step that does not count");
    commit(&mut one, 3, Some(true));
    let half: Vec<f64> = before.iter().map(|w| w / 2.0).collect();
    weight(&one).iter().zip(&half).for_each(|(w, half)| assert!((w - half).abs() < 1e-6, "{w} {half}"));
    assert_eq!(one.parameters()[1].1.value().to_f64_vec().unwrap(), [0.0; 4]);
    assert_eq!(one.parameters()[0].1.value().storage_id(), place, "in its own memory");

    let mut frozen = model();
    frozen.freeze("0.weight").unwrap();
    commit(&mut frozen, 1, None);
    assert_eq!(weight(&frozen), before);
    let x = Var::constant(Tensor::ones([2, 3], DType::F32, &cpu()).unwrap());
    let (ctx, mut evaluated) = (Ctx::eval(), model());
    evaluated.forward(&x, &ctx).unwrap();
    ctx.commit(&mut evaluated).unwrap();
    assert_eq!(weight(&evaluated), before);
}

#[test]
fn constraints_of_all_layers_are_saved_and_applied() {
    let unit = UnitNorm::new;
    let model = Sequential::new()
        .push(Embedding::new(7, 3).embeddings_constraint(unit()))
        .push(Lstm::new(4).kernel_constraint(unit()).recurrent_constraint(unit()).bias_constraint(NonNeg))
        .push(Reshape::new([1, 4]))
        .push(Conv1d::new(2, 3).kernel_constraint(MaxNorm::new(0.5).axis([1, 2])))
        .push(SeparableConv1d::new(3, 2).kernel_constraint(MinMaxNorm::new(1.0, 1.0)))
        .build([5], &cpu(), 1)
        .unwrap();
    let mut model = Sequential::from_architecture(&model.architecture(), &cpu()).unwrap();
    let again = Sequential::from_architecture(&model.architecture(), &cpu()).unwrap();
    assert_eq!(model.architecture(), again.architecture());
    assert!(model.architecture().to_string().contains(r#""kernel_constraint":{"max_norm":{"axes":[1,2],"max":0.5}}"#));
    let tokens = Var::constant(Tensor::zeros([2, 5], DType::I64, &cpu()).unwrap());
    let ctx = Ctx::train(1, 0);
    model.forward(&tokens, &ctx).unwrap();
    ctx.commit(&mut model).unwrap();
    for (path, parameter) in model.parameters().into_iter().filter(|(path, _)| path.contains("weight")) {
        let w = parameter.value();
        let norms = w.reshape([w.dims()[0], w.elements() / w.dims()[0]]).unwrap().norm(2.0, 1).unwrap();
        let expected = if path == "3.weight" { 0.0..=0.5 + 1e-6 } else { 1.0 - 1e-5..=1.0 + 1e-5 };
        norms.to_f64_vec().unwrap().iter().for_each(|norm| assert!(expected.contains(norm), "{path}: {norm}"));
    }
}

#[test]
fn constraints_that_make_no_sense_are_refused() {
    let error = |layer: Dense| Sequential::new().push(layer).build([2], &cpu(), 1).unwrap_err().to_string();
    let dense = || Dense::new(3);
    let negative = error(dense().kernel_constraint(MaxNorm::new(-1.0)));
    assert!(negative.contains("kernel_constraint: a finite norm of at least 0 is expected, got -1"), "{negative}");
    assert!(error(dense().kernel_constraint(MinMaxNorm::new(2.0, 1.0))).contains("0 ≤ min ≤ max"));
    assert!(error(dense().kernel_constraint(MinMaxNorm::new(0.0, 1.0).rate(2.0))).contains("rate from 0 to 1"));
    assert!(error(dense().bias_constraint(UnitNorm::new().axis(1))).contains("axis 1 is out of range"));
    let twice = error(dense().kernel_constraint(MaxNorm::new(1.0).axis([1, -1])));
    assert!(twice.contains("its axis -1 of a parameter of 2 axes is given twice"), "{twice}");
    // A parameter that the model does not have.
    let other = Param::new(random(&[2], 0));
    let ctx = Ctx::train(0, 0);
    ctx.constrain(&other, &NonNeg.into());
    let committed = ctx.commit(&mut Sequential::new()).unwrap_err().to_string();
    assert!(committed.contains("not visited"), "{committed}");
}

/// The fixture's layers, by the name of the case.
fn wrapped(case: &str) -> (Box<dyn AnyLayer>, Vec<usize>) {
    fn wrap(norm: &str, layer: impl AnyLayer + 'static) -> Box<dyn AnyLayer> {
        match norm {
            "weight_norm" => Box::new(WeightNorm::new(layer)),
            _ => Box::new(SpectralNorm::new(layer).power_iterations(2)),
        }
    }
    let (norm, layer) = case.split_once('/').unwrap();
    match layer {
        "linear" => (wrap(norm, Dense::new(3)), vec![4]),
        "conv" => (wrap(norm, Conv2d::new(4, 3)), vec![2, 5, 4]),
        "conv_transpose" => (wrap(norm, ConvTranspose2d::new(3, 3)), vec![2, 3, 3]),
        _ => (Box::new(WeightNorm::new(Dense::new(3)).dim(None)), vec![4]),
    }
}

const CASES: [&str; 7] = [
    "weight_norm/linear",
    "weight_norm/conv",
    "weight_norm/conv_transpose",
    "weight_norm/whole",
    "spectral_norm/linear",
    "spectral_norm/conv",
    "spectral_norm/conv_transpose",
];

#[test]
fn reparametrized_layers_are_pytorchs() {
    let all = fixture();
    for case in CASES {
        let values = below(&all, &format!("{case}/"));
        let (mut layer, sample) = wrapped(case);
        let mut init = Init::new(1, &cpu()).dtype(DType::F64);
        layer.build_any(&Shapes::One(Shape::new(&sample).unwrap()), &mut init).unwrap();
        layer.load_state_dict(&below(&values, "before/"), true).unwrap();
        let (ctx, x) = (Ctx::train(1, 0), Var::variable(values["x"].clone()));
        let y = ctx.run(&*layer, &x).unwrap().var().unwrap();
        close(case, y.tensor(), &values["y"], 1e-12);
        let n = y.shape().elements();
        let seed = Tensor::linspace(-1.0, 1.0, n, DType::F64, &cpu()).unwrap().reshape(y.shape()).unwrap();
        let gradients = y.mul(&Var::constant(seed)).unwrap().sum_all().unwrap().backward().unwrap();
        close(case, gradients.of(&x).unwrap(), &values["x/gradient"], 1e-12);
        for (path, parameter) in layer.parameters() {
            let what = format!("{case}/{path}");
            close(&what, gradients.get(parameter.id()).unwrap(), &values[&format!("gradient/{path}")], 1e-11);
        }
        ctx.commit(&mut *layer).unwrap();
        for (path, value) in layer.state_dict() {
            close(&format!("{case}/after/{path}"), &value, &values[&format!("after/{path}")], 1e-12);
        }
        let y = Ctx::eval().run(&*layer, &x).unwrap().var().unwrap();
        close(case, y.tensor(), &values["eval"], 1e-12);
    }
}

/// With respect to what is learned, through norms and singular values, and to the input.
#[test]
fn gradients_go_through_the_norms() {
    for case in CASES {
        let (mut layer, sample) = wrapped(case);
        let mut init = Init::new(1, &cpu()).dtype(DType::F64);
        layer.build_any(&Shapes::One(Shape::new(&sample).unwrap()), &mut init).unwrap();
        // Of the weights, one after the other, as functions: each stands for its parameter.
        let parameters: Vec<Tensor> = layer.parameters().iter().map(|(_, p)| p.value().clone()).collect();
        let x = random(&[&[2], &sample[..]].concat(), 3);
        let output = |inputs: &[Var]| -> Result<Var> {
            let ctx = Ctx::eval();
            replacing(&ctx, &layer.parameters(), &inputs[1..], &|| {
                ctx.run(&*layer, &inputs[0])?.var()?.tanh()?.sum_all()
            })
        };
        let mut inputs = vec![x];
        inputs.extend(parameters);
        grad_check(output, &inputs).unwrap();
    }
}

/// Runs something with values in the places of parameters.
fn replacing(ctx: &Ctx, parameters: &[(String, &Param)], values: &[Var], run: &dyn Fn() -> Result<Var>) -> Result<Var> {
    match (parameters.split_first(), values.split_first()) {
        (Some(((_, parameter), parameters)), Some((value, values))) => {
            ctx.replacing(parameter, value.clone(), || replacing(ctx, parameters, values, run))
        }
        _ => run(),
    }
}

#[test]
fn a_normalized_layer_begins_as_the_layer_itself_and_a_weights_spectrum_ends_at_1() {
    let build = |model: Sequential| model.build_with(6, &mut Init::new(3, &cpu()).dtype(DType::F64)).unwrap();
    let x = Var::constant(random(&[4, 6], 1));
    let plain = build(Sequential::new().push(Dense::new(5)));
    let expected = plain.forward(&x, &Ctx::eval()).unwrap();
    let normed = build(Sequential::new().push(WeightNorm::new(Dense::new(5))));
    close("weight norm", normed.forward(&x, &Ctx::eval()).unwrap().tensor(), expected.tensor(), 1e-14);

    let mut spectral = build(Sequential::new().push(SpectralNorm::new(Dense::new(5).use_bias(false))));
    for step in 0..60 {
        let ctx = Ctx::train(1, step);
        spectral.forward(&x, &ctx).unwrap();
        ctx.commit(&mut spectral).unwrap();
    }
    let eye = Var::constant(Tensor::eye(6, DType::F64, &cpu()).unwrap());
    let weight = spectral.forward(&eye, &Ctx::eval()).unwrap().into_tensor(); // (in, out)
    let (mut v, transposed) = (random(&[5], 2), weight.t().unwrap());
    let mut sigma = 0.0;
    for _ in 0..300 {
        v = transposed.mv(&weight.mv(&v).unwrap()).unwrap();
        sigma = v.norm(2.0, ..).unwrap().item().unwrap().sqrt();
        v = v.normalized(2.0, 0, 0.0).unwrap();
    }
    assert!((sigma - 1.0).abs() < 1e-6, "{sigma}");
}

#[test]
fn reparametrized_models_are_saved_and_read() {
    let model = Sequential::new()
        .push(WeightNorm::new(Conv1d::new(4, 2)).dim(None))
        .push(Permute::new([2, 1]))
        .push(WeightNorm::new(Lstm::new(3)).parameter("weight_hh_l0"))
        .push(SpectralNorm::new(WeightNorm::new(Dense::new(2))).parameter("weight_g").dim(1).epsilon(1e-10))
        .build([2, 6], &cpu(), 1)
        .unwrap();
    assert!(model.state_dict().contains_key("2.weight_hh_l0_g"));
    let mut again = Sequential::from_architecture(&model.architecture(), &cpu()).unwrap();
    assert_eq!(again.architecture(), model.architecture());
    let bytes = safetensors::encode(&model.state_dict()).unwrap();
    again.load_state_dict(&safetensors::decode(&bytes, &cpu()).unwrap(), true).unwrap();
    let x = Var::constant(Tensor::ones([1, 2, 6], DType::F32, &cpu()).unwrap());
    let of = |model: &Sequential| model.forward(&x, &Ctx::eval()).unwrap().tensor().to_f64_vec().unwrap();
    assert_eq!(of(&model), of(&again));
    assert_eq!(model.summary("m").matches("WeightNorm").count(), 2);
}

#[test]
fn layers_that_cannot_be_normalized_are_refused() {
    fn error(layer: impl AnyLayer + 'static) -> String {
        Sequential::new().push(layer).build([4], &cpu(), 1).unwrap_err().to_string()
    }
    assert!(error(WeightNorm::new(Dropout::new(0.5))).contains("Dropout has no parameters"));
    let named = error(SpectralNorm::new(Dense::new(2)).parameter("kernel"));
    assert!(named.contains("Dense has no parameter `kernel`, but weight, bias"), "{named}");
    let zeros = Dense::new(2).kernel_initializer(Initializer::Zeros);
    assert!(error(SpectralNorm::new(zeros.clone())).contains("a weight of zeros"));
    assert!(error(WeightNorm::new(zeros)).contains("has no direction"));
    assert!(error(WeightNorm::new(Dense::new(2)).dim(2)).contains("axis 2 is out of range"));
    assert!(error(SpectralNorm::new(Dense::new(2)).power_iterations(0)).contains("1 or more power iterations"));
}
