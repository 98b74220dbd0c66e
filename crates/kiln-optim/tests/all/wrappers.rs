//! Lookahead, SAM, L-BFGS and averages of weights: fifty steps against PyTorch's and the authors' code (tests/fixtures), their states and what
//! they refuse.

use crate::steps::{bits, gradients, network, step};
use kiln_autograd::{Gradients, Var};
use kiln_nn::{Ctx, Module, Param, StateDict, Stateful, safetensors};
use kiln_optim::*;
use kiln_tensor::{DType, Device, Error, Result, Tensor};

const STEPS: usize = 50;

#[derive(Module)]
struct Weights {
    weight: Param,
    bias: Param,
}

fn fixtures() -> StateDict {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/steps.safetensors");
    safetensors::read(path, &Device::cpu()).unwrap()
}

fn start(values: &StateDict) -> Weights {
    let param = |name: &str| Param::new(values[name].copied().unwrap());
    Weights { weight: param("start.weight"), bias: param("start.bias") }
}

/// (tanh(x·w) + b − y)², the mean.
fn loss(values: &StateDict, model: &Weights) -> Result<Var> {
    let ctx = Ctx::train(1, 0);
    let x = Var::constant(values["problem.x"].clone());
    let output = x.matmul(&model.weight.var(&ctx))?.tanh()?.add(&model.bias.var(&ctx))?;
    output.sub(&Var::constant(values["problem.y"].clone()))?.square()?.mean_all()
}

fn of_step(values: &StateDict, name: &str, step: usize) -> Tensor {
    values[name].slice(0, step..step + 1).unwrap().squeeze(0).unwrap()
}

fn compare(values: &StateDict, label: &str, step: usize, found: &dyn Module, tolerance: f64) {
    for (name, parameter) in found.parameters() {
        let expected = of_step(values, &format!("{label}.{name}"), step).to_f64_vec().unwrap();
        for (f, e) in parameter.value().to_f64_vec().unwrap().into_iter().zip(expected) {
            assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{label}.{name}, step {step}: {f}, expected {e}");
        }
    }
}

#[test]
fn fifty_steps_of_sam() {
    let values = fixtures();
    let optimizers: [(&str, Box<dyn Optimizer>); 2] = [
        ("sam", Box::new(Sam::new(Sgd::new(0.05).momentum(0.9), 0.05))),
        ("sam_adaptive", Box::new(Sam::new(Sgd::new(0.1), 0.5).adaptive(true))),
    ];
    for (label, mut optimizer) in optimizers {
        let mut model = start(&values);
        for step in 0..STEPS {
            let before = loss(&values, &model).unwrap().item().unwrap();
            let given = optimizer.step_with(&mut model, |model| loss(&values, model)).unwrap();
            assert_eq!(given.item().unwrap(), before);
            compare(&values, label, step, &model, 1e-11);
        }
    }
}

#[test]
fn fifty_steps_of_lbfgs() {
    let values = fixtures();
    let optimizers = [
        ("lbfgs", STEPS, Lbfgs::new(0.3).iterations(1).history(4)),
        ("lbfgs_iterations", STEPS, Lbfgs::new(0.1).iterations(3).evaluations(2).tolerances(1e-3, 1e-6)),
        ("lbfgs_wolfe", STEPS, Lbfgs::new(1.0).iterations(1).evaluations(9).history(3).line_search(true)),
        ("lbfgs_wolfe_one", STEPS, Lbfgs::new(0.5).iterations(1).history(3).line_search(true)),
        ("lbfgs_wolfe_long", 15, Lbfgs::new(8.0).iterations(4).line_search(true)),
    ];
    // Close to the minimum, a line search makes much of rounding: of the last one 60 iterations are compared.
    for (label, steps, mut optimizer) in optimizers {
        let mut model = start(&values);
        for step in 0..steps {
            // Another one that takes over the state goes on alike.
            if step == 10 {
                let state = optimizer.state_dict().unwrap();
                optimizer.set_learning_rate(0.0);
                optimizer.load_state_dict(&state).unwrap();
            }
            optimizer.step(&mut model, |model| loss(&values, model)).unwrap();
            compare(&values, label, step, &model, 1e-7);
        }
        let (first, last) = (loss(&values, &start(&values)).unwrap(), loss(&values, &model).unwrap());
        assert!(last.item().unwrap() < 0.5 * first.item().unwrap());
    }
}

#[test]
fn fifty_steps_of_averages() {
    let values = fixtures();
    for (label, mut average) in [("average_ema", WeightAverage::ema(0.9)), ("average_equal", WeightAverage::equal())] {
        let (mut model, mut copy) = (start(&values), start(&values));
        for step in 0..STEPS {
            for (name, parameter) in model.parameters_mut() {
                parameter.value_mut().copy_from(&of_step(&values, &format!("adam.{name}"), step)).unwrap();
            }
            average.update(&model).unwrap();
            average.copy_to(&mut copy).unwrap();
            compare(&values, label, step, &copy, 1e-12);
        }
        assert_eq!(average.updates(), STEPS as u64);
    }
}

#[test]
fn an_average_is_swapped_in_and_out() {
    let mut model = network();
    let mut average = WeightAverage::ema(0.5);
    let error = average.swap(&mut model).unwrap_err().to_string();
    assert!(error.contains("there is no average yet"), "{error}");
    let mut optimizer = Adam::new(0.1);
    for at in 0..3 {
        average.update(&model).unwrap();
        step(&mut optimizer, &mut model, at).unwrap();
    }
    let trained = bits(&model);
    average.swap(&mut model).unwrap();
    let averaged = bits(&model);
    assert_ne!(averaged, trained);
    assert!(average.update(&model).unwrap_err().to_string().contains("swap it back"));
    // What was trained is part of the state.
    let mut other = WeightAverage::ema(0.5);
    other.load_state_dict(&average.state_dict().unwrap()).unwrap();
    assert!(other.is_swapped());
    for average in [&mut average, &mut other] {
        average.swap(&mut model).unwrap();
        assert_eq!(bits(&model), trained);
        average.swap(&mut model).unwrap();
        assert_eq!(bits(&model), averaged);
    }
    let mut stranger = average.state_dict().unwrap();
    stranger.insert("decay".into(), Tensor::scalar(1.0f64, &Device::cpu()).unwrap());
    assert!(other.load_state_dict(&stranger).unwrap_err().to_string().contains("`decay` does not belong here"));
    for wrong in [1.0, -0.1, f64::NAN] {
        let error = WeightAverage::ema(wrong).update(&model).unwrap_err().to_string();
        assert!(error.contains("expected a number in [0, 1)"), "{error}");
    }
    let error = average.copy_to(&mut start(&fixtures())).unwrap_err().to_string();
    assert!(error.contains("the average has no `weight`: it is that of another model"), "{error}");
}

#[test]
fn lookaheads_slow_weights_are_its_state() {
    let made = || Lookahead::new(Adam::new(0.05).clip_norm(1.0), 3, 0.5);
    let (mut whole, mut model) = (made(), network());
    for at in 0..4 {
        step(&mut whole, &mut model, at).unwrap();
    }
    let (state, mut other) = (whole.state_dict().unwrap(), network());
    assert!(state.contains_key("slow.0.weight"));
    other.load_state_dict(&model.state_dict(), true).unwrap();
    let mut resumed = made();
    resumed.load_state_dict(&state).unwrap();
    for at in 4..8 {
        step(&mut whole, &mut model, at).unwrap();
        step(&mut resumed, &mut other, at).unwrap();
        assert_eq!(bits(&model), bits(&other));
    }
    // With and without.
    let error = Adam::new(0.05).load_state_dict(&state).unwrap_err().to_string();
    assert!(error.contains("`slow.0.bias` is not an entry of an optimizer's state"), "{error}");
    let mut plain = Adam::new(0.05);
    step(&mut plain, &mut network(), 1).unwrap();
    let error = made().load_state_dict(&plain.state_dict().unwrap()).unwrap_err().to_string();
    assert!(error.contains("there are no slow weights"), "{error}");
    // Slow weights of another shape are found before a step is made.
    let mut wrong = state.clone();
    wrong.insert("slow.0.weight".into(), Tensor::zeros([1], DType::F32, &Device::cpu()).unwrap());
    let mut loaded = made();
    loaded.load_state_dict(&wrong).unwrap();
    let before = bits(&model);
    for at in 4..8 {
        let error = step(&mut loaded, &mut model, at).unwrap_err().to_string();
        assert!(error.contains("the slow weights of 0.weight are (1,), the parameter"), "{error}");
        assert_eq!((bits(&model), loaded.steps()), (before.clone(), 4));
    }
    // A step that is left out writes nothing.
    let flag = Tensor::from_slice(&[false], (), &Device::cpu()).unwrap();
    let (before, slow) = (bits(&model), whole.state_dict().unwrap());
    let given = gradients(&model, 1);
    whole.step_if(&mut model, &given, Some(&flag)).unwrap();
    assert_eq!((bits(&model), whole.steps()), (before, 9));
    let bits = |state: &StateDict| state["slow.1.bias"].to_f64_vec().unwrap();
    assert_eq!(bits(&slow), bits(&whole.state_dict().unwrap()));
}

#[test]
fn sams_passes() {
    let mut model = network();
    let (before, given) = (bits(&model), gradients(&model, 1));
    let mut sam = Sam::new(Adam::new(0.01), 0.1);
    let error = sam.step(&mut model, &given).unwrap_err().to_string();
    assert!(error.contains("a step of Sam takes two passes"), "{error}");
    assert_eq!((bits(&model), sam.steps()), (before.clone(), 0));
    // Up and down again, to the bit; a step that is not applied does not move.
    sam.ascend(&mut model, &given, None).unwrap();
    assert_ne!(bits(&model), before);
    sam.descend(&mut model).unwrap();
    assert_eq!(bits(&model), before);
    let flag = Tensor::from_slice(&[false], (), &Device::cpu()).unwrap();
    sam.ascend(&mut model, &given, Some(&flag)).unwrap();
    assert_eq!(bits(&model), before);
    // The step from where it was, by what is given.
    sam.ascend(&mut model, &given, None).unwrap();
    let error = sam.step(&mut network(), &given).unwrap_err().to_string();
    assert!(error.contains("over another model"), "{error}");
    let second = gradients(&model, 2);
    sam.step(&mut model, &second).unwrap();
    let mut plain = network();
    step(&mut Adam::new(0.01), &mut plain, 2).unwrap();
    assert_eq!(bits(&model), bits(&plain));
    // A loss that fails leaves the parameters where they were.
    let mut calls = 0;
    let (before, ctx) = (bits(&model), Ctx::train(1, 0));
    let failing = |model: &kiln_nn::Sequential| {
        calls += 1;
        if calls == 2 { Err(Error::value("loss", "no")) } else { model.parameters()[0].1.var(&ctx).square()?.sum_all() }
    };
    assert!(sam.step_with(&mut model, failing).unwrap_err().to_string().contains("no"));
    assert_eq!(bits(&model), before);
    // And the next step begins with its first pass, also after one that was refused.
    let refused = |sam: &mut Sam<Adam>, model: &mut kiln_nn::Sequential| {
        let error = sam.step(model, &second).unwrap_err().to_string();
        assert!(error.contains("a step of Sam takes two passes"), "{error}");
    };
    refused(&mut sam, &mut model);
    sam.ascend(&mut model, &given, None).unwrap();
    assert!(sam.step(&mut model, &Gradients::default()).is_err());
    refused(&mut sam, &mut model);
    assert_eq!(bits(&model), before);
}

#[test]
fn wrong_settings_change_nothing() {
    let mut model = network();
    let before = bits(&model);
    let wrong: [(Box<dyn Optimizer>, &str); 5] = [
        (Box::new(Lookahead::new(Adam::new(0.1), 0, 0.5)), "Lookahead with k = 0: k must be at least 1"),
        (Box::new(Lookahead::new(Adam::new(0.1), 5, 0.0)), "the alpha of Lookahead is 0, expected a number in (0, 1]"),
        (Box::new(Lookahead::new(Adam::new(0.1), 5, 1.5)), "the alpha of Lookahead is 1.5"),
        (Box::new(Sam::new(Adam::new(0.1), -1.0)), "the radius of Sam is -1, expected a finite number above 0"),
        (Box::new(Sam::new(Adam::new(0.1), f64::NAN)), "the radius of Sam is NaN"),
    ];
    let ctx = Ctx::train(1, 0);
    for (mut optimizer, expected) in wrong {
        let loss = |model: &kiln_nn::Sequential| model.parameters()[0].1.var(&ctx).square()?.sum_all();
        let error = optimizer.step_with(&mut model, loss).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(optimizer.check(&model).unwrap_err().to_string().contains(expected));
        assert_eq!((bits(&model), optimizer.steps()), (before.clone(), 0));
    }
    let wrong = [
        (Lbfgs::new(0.0), "the learning rate is 0, expected a finite number above 0"),
        (Lbfgs::new(1.0).iterations(0), "0 iterations: at least 1 is needed"),
        (Lbfgs::new(1.0).evaluations(0), "0 evaluations"),
        (Lbfgs::new(1.0).history(0), "0 iterations of history"),
        (Lbfgs::new(1.0).tolerances(-1.0, 0.0), "the gradient tolerance is -1"),
        (Lbfgs::new(1.0).tolerances(0.0, f64::NAN), "the change tolerance is NaN"),
    ];
    for (mut optimizer, expected) in wrong {
        let loss = |model: &kiln_nn::Sequential| model.parameters()[0].1.var(&ctx).square()?.sum_all();
        let error = optimizer.step(&mut model, loss).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(bits(&model), before);
    }
}

/// A loss that is not finite, and a state of another model: the parameters are those from before the step.
#[test]
fn lbfgs_changes_nothing_where_it_fails() {
    let values = fixtures();
    let (mut model, mut optimizer) = (start(&values), Lbfgs::new(1e200));
    let before = bits(&model);
    let error = optimizer.step(&mut model, |model| loss(&values, model)?.mul_scalar(1e100)).unwrap_err().to_string();
    assert!(error.contains("the loss is inf: a smaller learning rate"), "{error}");
    assert_eq!(bits(&model), before);
    let mut optimizer = Lbfgs::new(1.0);
    optimizer.step(&mut model, |model| loss(&values, model)).unwrap();
    model.bias.set_trainable(false);
    let error = optimizer.step(&mut model, |model| loss(&values, model)).unwrap_err().to_string();
    assert!(error.contains("the state is of 40 numbers, the model has 35 that learn"), "{error}");
    let error = optimizer.load_state_dict(&Adam::new(0.1).state_dict().unwrap()).unwrap_err().to_string();
    assert!(error.contains("`H_diag` is missing"), "{error}");
    // One that is frozen stays.
    let (mut optimizer, bias) = (Lbfgs::new(1.0), model.bias.value().to_f64_vec().unwrap());
    optimizer.step(&mut model, |model| loss(&values, model)).unwrap();
    assert_eq!(model.bias.value().to_f64_vec().unwrap(), bias);
}

/// The gradient of the square root of 0 is not finite, the loss is.
#[test]
fn lbfgs_refuses_gradients_that_are_not_finite() {
    let values = fixtures();
    for search in [false, true] {
        let (mut model, mut optimizer) = (start(&values), Lbfgs::new(1.0).line_search(search));
        let before = bits(&model);
        let root = |model: &Weights| model.bias.var(&Ctx::train(1, 0)).mul_scalar(0.0)?.sqrt()?.sum_all();
        assert_eq!(root(&model).unwrap().item().unwrap(), 0.0);
        let error = optimizer.step(&mut model, root).unwrap_err().to_string();
        assert!(error.contains("the largest element of the gradient is NaN"), "{error}");
        assert_eq!((bits(&model), optimizer.evaluations_made()), (before, 0));
    }
}

#[test]
fn lbfgs_goes_on_until_it_is_done() {
    let values = fixtures();
    let (mut model, mut optimizer) = (start(&values), Lbfgs::new(1.0).iterations(usize::MAX).line_search(true));
    optimizer.step(&mut model, |model| loss(&values, model)).unwrap();
    let least = loss(&values, &model).unwrap().backward().unwrap();
    let norm = least.norm().unwrap();
    assert!(norm < 1e-3, "{norm}");
}
