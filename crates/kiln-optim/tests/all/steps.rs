//! What a step must and must not do: nothing by halves, nothing denormal, the same bits for any number of threads, and a
//! state that goes on where it stopped.

use kiln_autograd::Gradients;
use kiln_math::{Purpose, RandomStream};
use kiln_nn::Stateful;
use kiln_nn::{
    Activation, Ctx, Dense, Dropout, Flatten, Init, Loss, Module, Param, Sequential, SparseCategoricalCrossentropy,
};
use kiln_optim::*;
use kiln_tensor::{DType, Device, Result, Tensor};

pub(crate) fn network() -> Sequential {
    Sequential::new().push(Dense::new(5)).push(Dense::new(3)).build(4, &Device::cpu(), 1).unwrap()
}

pub(crate) fn gradients(model: &dyn Module, seed: u64) -> Gradients {
    let mut gradients = Gradients::default();
    for (index, (_, parameter)) in model.parameters().into_iter().enumerate() {
        let value = parameter.value();
        let stream = RandomStream::new(seed, Purpose::Data, index as u64);
        let gradient = Tensor::normal(value.shape(), 0.0, 1.0, value.dtype(), value.device(), stream).unwrap();
        gradients.insert(parameter.id(), gradient);
    }
    gradients
}

/// A step by the gradients of this seed.
pub(crate) fn step(optimizer: &mut dyn Optimizer, model: &mut dyn Module, seed: u64) -> Result<()> {
    let gradients = gradients(model, seed);
    optimizer.step(model, &gradients)
}

pub(crate) fn bits(model: &dyn Module) -> Vec<Vec<u64>> {
    let bits = |t: &Tensor| t.to_f64_vec().unwrap().into_iter().map(f64::to_bits).collect();
    model.parameters().into_iter().map(|(_, p)| bits(p.value())).collect()
}

fn optimizers() -> Vec<Box<dyn Optimizer>> {
    vec![
        Box::new(Sgd::new(0.1)),
        Box::new(Sgd::new(0.1).momentum(0.9)),
        Box::new(Sgd::new(0.1).momentum(0.9).nesterov(true)),
        Box::new(Adam::new(0.01)),
        Box::new(AdamW::new(0.01)),
        Box::new(RmsProp::new(0.01)),
        Box::new(RmsProp::new(0.01).momentum(0.9).centered(true)),
        Box::new(AmsGrad::new(0.01)),
        Box::new(Adamax::new(0.01)),
        Box::new(NAdam::new(0.01)),
        Box::new(RAdam::new(0.01)),
        Box::new(Adagrad::new(0.1)),
        Box::new(Adadelta::new(1.0)),
        Box::new(Lion::new(0.01).betas(0.9, 0.9)),
        Box::new(Lamb::new(0.01).weight_decay(0.01)),
        Box::new(Adafactor::new(0.01).beta1(0.9)),
        Box::new(Muon::new(0.01).adamw("*bias")),
    ]
}

#[test]
fn settings_that_make_no_sense_change_nothing() {
    let mut model = network();
    let (before, gradients) = (bits(&model), gradients(&model, 1));
    let wrong: Vec<Box<dyn Optimizer>> = vec![
        Box::new(Adam::new(f64::NAN)),
        Box::new(Adam::new(-0.1)),
        Box::new(AdamW::new(-1.0)),
        Box::new(Sgd::new(f64::INFINITY)),
        Box::new(Adam::new(0.1).betas(1.0, 0.9)),
        Box::new(Adam::new(0.1).betas(0.9, f64::NAN)),
        Box::new(Adam::new(0.1).epsilon(-1e-8)),
        Box::new(AdamW::new(0.1).weight_decay(-0.1)),
        Box::new(Sgd::new(0.1).momentum(-0.5)),
        Box::new(Sgd::new(0.1).momentum(f64::NAN)),
        Box::new(Adagrad::new(0.1).decay(-1.0)),
        Box::new(Adadelta::new(1.0).rho(1.0)),
        Box::new(Adamax::new(0.1).betas(0.9, 1.0)),
        Box::new(NAdam::new(0.1).momentum_decay(f64::NAN)),
        Box::new(RAdam::new(0.1).epsilon(f64::INFINITY)),
        Box::new(AmsGrad::new(0.1).betas(-0.1, 0.9)),
        Box::new(Lion::new(0.1).betas(1.5, 0.9)),
        Box::new(Lamb::new(0.1).betas(0.9, 1.0)),
        Box::new(Lamb::new(0.1).epsilon(f64::NAN)),
        Box::new(Lamb::new(-0.1)),
        Box::new(Adafactor::new(0.1).decay(-0.8)),
        Box::new(Adafactor::new(0.1).epsilons(-1.0, 0.0)),
        Box::new(Adafactor::new(0.1).epsilons(0.0, f64::NAN)),
        Box::new(Adafactor::new(0.1).clip_threshold(0.0)),
        Box::new(Adafactor::new(0.1).beta1(1.0)),
        Box::new(Muon::new(0.1).momentum(1.0)),
        Box::new(Muon::new(0.1).newton_schulz([1.0, f64::NAN, 0.0], 5)),
        Box::new(Muon::new(0.1).newton_schulz([1.0, 0.0, 0.0], 0)),
        Box::new(Muon::new(0.1).adamw_settings(0.9, 1.0, 0.0)),
        Box::new(Muon::new(0.1).adamw("head.*")),
        Box::new(Sgd::new(0.1).nesterov(true)),
        Box::new(Sgd::new(0.1).momentum(0.9).dampening(0.1).nesterov(true)),
    ];
    for mut optimizer in wrong {
        let error = optimizer.step(&mut model, &gradients).unwrap_err().to_string();
        assert!(error.starts_with("optimizer.step: "), "{error}");
        assert_eq!((optimizer.steps(), bits(&model)), (0, before.clone()), "{error}");
    }
}

#[test]
fn gradients_that_do_not_fit_change_nothing() {
    let cpu = Device::cpu();
    let other_cpu = Device::cpu_with(kiln_cpu::Isa::Portable);
    for mut optimizer in optimizers() {
        let mut model = network();
        let before = bits(&model);
        let last = model.parameters()[3].1.id();
        let wrong = [
            (
                Tensor::ones([4], DType::F32, &cpu).unwrap(),
                "the gradient of 1.bias is f32 (4,) on cpu, the parameter f32 (3,)",
            ),
            (Tensor::ones([3], DType::F64, &cpu).unwrap(), "the gradient of 1.bias is f64 (3,)"),
            (Tensor::ones([3], DType::F32, &other_cpu).unwrap(), "the gradient of 1.bias is f32 (3,)"),
        ];
        for (gradient, expected) in wrong {
            let mut gradients = gradients(&model, 1);
            gradients.insert(last, gradient);
            let error = optimizer.step(&mut model, &gradients).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("nothing was changed"), "{error}");
            assert_eq!((optimizer.steps(), bits(&model)), (0, before.clone()));
        }
        let error = optimizer.step(&mut model, &Gradients::default()).unwrap_err().to_string();
        assert!(error.contains("none of the model's 4 parameters has a gradient"), "{error}");
        // And then it works.
        step(&mut optimizer, &mut model, 1).unwrap();
        assert_ne!(bits(&model), before);
    }
}

/// Schedules pass through a rate of 0: parameters stay, moments and the count of steps move on.
#[test]
fn a_learning_rate_of_zero_moves_the_state_alone() {
    for mut optimizer in optimizers() {
        let mut model = network();
        let before = bits(&model);
        let rate = optimizer.learning_rate();
        optimizer.set_learning_rate(0.0);
        step(&mut optimizer, &mut model, 1).unwrap();
        assert_eq!((bits(&model), optimizer.steps()), (before.clone(), 1));
        let state = optimizer.state_dict().unwrap().into_iter().filter(|(name, _)| name.starts_with("state."));
        // Adafactor's average is one of steps, not of gradients.
        let state = state.filter(|(name, _)| optimizer.name() != "Adafactor" || !name.ends_with("exp_avg"));
        for (name, state) in state {
            assert!(state.to_f64_vec().unwrap().iter().all(|&v| v != 0.0), "{name}");
        }
        optimizer.set_learning_rate(rate);
        step(&mut optimizer, &mut model, 2).unwrap();
        assert_ne!(bits(&model), before);
    }
}

fn constant(value: f64, dtype: DType) -> Tensor {
    Tensor::full([2], value, dtype, &Device::cpu()).unwrap()
}

/// A parameter of zeros after steps by this gradient.
fn after(mut optimizer: impl Optimizer, gradient: f64, steps: usize, dtype: DType) -> f64 {
    #[derive(Module)]
    struct One {
        weight: Param,
    }
    let mut model = One { weight: Param::new(constant(0.0, dtype)) };
    for _ in 0..steps {
        let mut gradients = Gradients::default();
        gradients.insert(model.weight.id(), constant(gradient, dtype));
        optimizer.step(&mut model, &gradients).unwrap();
    }
    model.weight.value().to_f64_vec().unwrap()[0]
}

#[test]
fn settings_do_nothing_without_what_they_belong_to() {
    for dtype in [DType::F32, DType::F64] {
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
        near(after(Sgd::new(0.1).dampening(0.5), 1.0, 3, dtype), -0.3);
        near(after(Sgd::new(0.1).momentum(0.5).momentum(0.0).dampening(0.5), 1.0, 3, dtype), -0.3);
        near(after(Sgd::new(0.1).momentum(0.5).dampening(0.5), 1.0, 3, dtype), -0.1 * (1.0 + 1.0 + 1.0));
        near(after(AdamW::new(0.1).weight_decay(0.0), 1.0, 1, dtype), after(Adam::new(0.1), 1.0, 1, dtype));
    }
}

/// PyTorch's 0.1 · 2e−14 / (2e−14 + 1e−15), and no NaN of gradients of 0.
#[test]
fn small_gradients_and_an_epsilon_of_zero() {
    for dtype in [DType::F32, DType::F64] {
        let step = |epsilon: f64, gradient: f64| after(Adam::new(0.1).epsilon(epsilon), gradient, 1, dtype);
        assert!((step(1e-15, 2e-14) + 0.095_238_095).abs() < 1e-7, "{}", step(1e-15, 2e-14));
        assert!((step(0.0, 1e-17) + 0.1).abs() < 1e-7 && (step(0.0, -1e15) - 0.1).abs() < 1e-7);
        assert_eq!(step(0.0, 0.0), 0.0);
    }
    assert!((after(Adam::new(0.1).epsilon(0.0), 1e-150, 1, DType::F64) + 0.1).abs() < 1e-12);
}

#[test]
fn parameters_without_a_gradient_stay() {
    for mut optimizer in optimizers() {
        let mut model = network();
        step(&mut optimizer, &mut model, 1).unwrap();
        let before = bits(&model);
        let mut some = gradients(&model, 2);
        let ids: Vec<_> = model.parameters().iter().map(|(_, p)| p.id()).collect();
        some.remove(ids[0]).unwrap();
        some.remove(ids[3]).unwrap();
        optimizer.step(&mut model, &some).unwrap();
        let after = bits(&model);
        assert_eq!((&before[0], &before[3]), (&after[0], &after[3]));
        assert!(before[1] != after[1] && before[2] != after[2]);
    }
}

#[test]
fn a_state_dict_goes_on_where_it_stopped() {
    for (index, mut whole) in optimizers().into_iter().enumerate() {
        let mut model = network();
        for at in 0..3 {
            step(&mut whole, &mut model, at).unwrap();
        }
        whole.set_learning_rate(0.003);
        let (weights, state) = (model.state_dict(), whole.state_dict().unwrap());

        // As after a restart: another model object, with other ids.
        let mut resumed_model = network();
        resumed_model.load_state_dict(&weights, true).unwrap();
        let mut resumed = optimizers().remove(index);
        resumed.load_state_dict(&state).unwrap();
        assert_eq!((resumed.steps(), resumed.learning_rate()), (3, 0.003));
        // The state is whole even before the first step after loading.
        assert_eq!(resumed.state_dict().unwrap().keys().collect::<Vec<_>>(), state.keys().collect::<Vec<_>>());
        for at in 3..6 {
            step(&mut whole, &mut model, at).unwrap();
            step(&mut resumed, &mut resumed_model, at).unwrap();
        }
        assert_eq!(bits(&model), bits(&resumed_model));
    }
}

#[test]
fn states_of_something_else_are_refused() {
    let mut model = network();
    let mut adam = Adam::new(0.01);
    step(&mut adam, &mut model, 1).unwrap();
    let state = adam.state_dict().unwrap();
    assert!(state.contains_key("state.0.weight.exp_avg_sq"), "{:?}", state.keys());

    let mut sgd = Sgd::new(0.1).momentum(0.9);
    let error = sgd.load_state_dict(&state).unwrap_err().to_string();
    assert!(error.contains("the state is that of the optimizer Adam, not of the optimizer Sgd"), "{error}");
    assert_eq!((sgd.steps(), sgd.learning_rate()), (0, 0.1));
    let mut stranger = state.clone();
    stranger.insert("state.0.weight.momentum_buffer".into(), state["state.0.weight.exp_avg"].clone());
    let error = adam.load_state_dict(&stranger).unwrap_err().to_string();
    assert!(error.contains("momentum_buffer") && error.contains("exp_avg"), "{error}");
    for name in ["optimizer", "step", "learning_rate"] {
        let mut partial = state.clone();
        partial.remove(name);
        assert!(adam.load_state_dict(&partial).unwrap_err().to_string().contains(name));
    }

    // Tensors that do not fit the model are found by the step, before it changes anything.
    let mut misshapen = state;
    misshapen.insert("state.1.bias.exp_avg".into(), Tensor::zeros([7], DType::F32, &Device::cpu()).unwrap());
    adam.load_state_dict(&misshapen).unwrap();
    let before = bits(&model);
    let error = step(&mut adam, &mut model, 2).unwrap_err().to_string();
    assert!(error.contains("the state of 1.bias is f32 (7,)"), "{error}");
    assert_eq!(bits(&model), before);
}

#[test]
fn the_model_may_change_between_steps() {
    let mut adam = Adam::new(0.01);
    let mut model = network();
    step(&mut adam, &mut model, 1).unwrap();
    let moments = adam.state_dict().unwrap()["state.0.weight.exp_avg"].to_f64_vec().unwrap();
    // A layer more: known paths keep their state, new ones start at zero.
    let mut model = model.push(Dense::new(2)).build(4, &Device::cpu(), 1).unwrap();
    step(&mut adam, &mut model, 1).unwrap();
    let state = adam.state_dict().unwrap();
    assert!(state.contains_key("state.2.weight.exp_avg"));
    assert_ne!(state["state.0.weight.exp_avg"].to_f64_vec().unwrap(), moments);
    // A model of another type and size, then back.
    let mut small = Sequential::new().push(Dense::new(5)).build(4, &Device::cpu(), 1).unwrap();
    step(&mut adam, &mut small, 1).unwrap();
    assert!(adam.state_dict().unwrap().contains_key("state.2.weight.exp_avg"), "kept for when it is back");
    model.to_dtype(DType::F64).unwrap();
    step(&mut adam, &mut model, 1).unwrap();
}

/// After gradients stop coming, moments decay: through the denormal range, if they may.
#[test]
fn no_denormal_number_in_any_state() {
    for dtype in [DType::F32, DType::F64] {
        for mut optimizer in optimizers() {
            let mut init = Init::new(1, &Device::cpu()).dtype(dtype);
            let mut model = Dense::new(3).with_input(4, &mut init).unwrap();
            step(&mut optimizer, &mut model, 1).unwrap();
            let mut zeros = Gradients::default();
            for (_, p) in model.parameters() {
                zeros.insert(p.id(), Tensor::zeros(p.value().shape(), dtype, p.value().device()).unwrap());
            }
            let smallest = if dtype == DType::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
            for step in 0..7000 {
                optimizer.step(&mut model, &zeros).unwrap();
                if step % 20 == 0 || step > 6990 {
                    for (name, state) in optimizer.state_dict().unwrap() {
                        let denormal =
                            state.to_f64_vec().unwrap().into_iter().find(|v| *v != 0.0 && v.abs() < smallest);
                        assert_eq!(denormal, None, "{} {name} after {step} steps", optimizer.name());
                    }
                }
            }
            let decayed = optimizer.state_dict().unwrap().into_iter().filter(|(name, _)| name.ends_with("exp_avg"));
            for (name, state) in decayed {
                assert!(state.to_f64_vec().unwrap().iter().all(|&v| v == 0.0), "{name} has died out");
            }
        }
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    #[derive(Module)]
    struct Large {
        weight: Param,
        bias: Param,
    }
    let run = |threads: usize, mut optimizer: Box<dyn Optimizer>| {
        let pool = kiln_cpu::team::ThreadPool::new(threads);
        kiln_cpu::team::run_in(&pool, move || {
            let cpu = Device::cpu();
            let draw = |n: usize, index| {
                Param::new(
                    Tensor::normal(n, 0.0, 1.0, DType::F32, &cpu, RandomStream::new(3, Purpose::Data, index)).unwrap(),
                )
            };
            let mut model = Large { weight: draw(300_001, 0), bias: draw(17, 1) };
            for at in 0..3 {
                step(&mut optimizer, &mut model, at).unwrap();
            }
            bits(&model)
        })
    };
    for index in 0..optimizers().len() {
        let one = run(1, optimizers().remove(index));
        for threads in [2, 3] {
            assert!(one == run(threads, optimizers().remove(index)), "{threads} threads");
        }
    }
}

/// A whole step (product, dropout, loss, backward, update) on the classifier of the introduction, from one seed.
#[test]
fn training_has_the_same_bits_for_any_number_of_threads() {
    let train = |threads: usize| {
        let pool = kiln_cpu::team::ThreadPool::new(threads);
        kiln_cpu::team::run_in(&pool, || {
            let cpu = Device::cpu();
            let mut model = Sequential::new()
                .push(Flatten::new())
                .push(Dense::new(128).activation(Activation::Relu))
                .push(Dropout::new(0.2))
                .push(Dense::new(10).activation(Activation::Softmax))
                .build([28, 28], &cpu, 1)
                .unwrap();
            let labels: Vec<i64> = (0..32).map(|i| i % 10).collect();
            let labels = Tensor::from_slice(&labels, 32, &cpu).unwrap();
            let mut adam = Adam::new(1e-3);
            for step in 0..5 {
                let stream = RandomStream::new(2, Purpose::Data, step);
                let images = Tensor::uniform([32, 28, 28], 0.0, 1.0, DType::F32, &cpu, stream).unwrap();
                let prediction = model.forward(images, &Ctx::train(1, step)).unwrap();
                let loss = SparseCategoricalCrossentropy::new().forward(&prediction, &labels).unwrap();
                adam.step(&mut model, &loss.backward().unwrap()).unwrap();
            }
            bits(&model)
        })
    };
    let one = train(1);
    assert!(one.iter().flatten().all(|b| f64::from_bits(*b).is_finite()));
    for threads in [2, 3, 4] {
        assert!(one == train(threads), "{threads} threads");
    }
}

/// A step that is not to be applied changes neither a parameter nor a state.
#[test]
fn a_step_that_is_not_applied_writes_nothing() {
    let flag = |value: bool| Tensor::from_slice(&[value], (), &Device::cpu()).unwrap();
    for mut optimizer in optimizers() {
        let mut model = network();
        step(&mut optimizer, &mut model, 1).unwrap();
        let states = |optimizer: &dyn Optimizer| -> Vec<Vec<f64>> {
            let state = optimizer.state_dict().unwrap().into_iter().filter(|(name, _)| name.starts_with("state."));
            state.map(|(_, tensor)| tensor.to_f64_vec().unwrap()).collect()
        };
        let before = (bits(&model), states(&optimizer));
        let mut wild = Gradients::default();
        for (_, parameter) in model.parameters() {
            let value = parameter.value();
            wild.insert(parameter.id(), Tensor::full(value.shape(), f64::NAN, value.dtype(), value.device()).unwrap());
        }
        optimizer.step_if(&mut model, &wild, Some(&flag(false))).unwrap();
        assert_eq!((bits(&model), states(&optimizer)), before);
        let gradients = gradients(&model, 2);
        optimizer.step_if(&mut model, &gradients, Some(&flag(true))).unwrap();
        assert_ne!(bits(&model), before.0);
        // A flag of another type or size is refused.
        let numbers = Tensor::ones([1], DType::F32, &Device::cpu()).unwrap();
        let before = bits(&model);
        let error = optimizer.step_if(&mut model, &gradients, Some(&numbers)).unwrap_err().to_string();
        assert!(error.contains("bool is expected"), "{error}");
        assert_eq!(bits(&model), before);
    }
}

/// A bf16 model by gradients of both types: computed in f32, rounded once, with states of f32 or as they are asked for.
#[test]
fn half_parameters_have_wide_states() {
    for (mut optimizer, mut reference) in optimizers().into_iter().zip(optimizers()) {
        let (mut model, mut wide) = (network(), network());
        model.to_dtype(DType::BF16).unwrap();
        let values = model.state_dict();
        wide.load_state_dict(&values, true).unwrap();
        let mut half = Gradients::default();
        let mut single = Gradients::default();
        for (at, ((_, parameter), (_, other))) in model.parameters().into_iter().zip(wide.parameters()).enumerate() {
            let stream = RandomStream::new(5, Purpose::Data, at as u64);
            let shape = parameter.value().shape();
            let gradient = Tensor::normal(shape, 0.0, 1.0, DType::BF16, &Device::cpu(), stream).unwrap();
            single.insert(other.id(), gradient.to_dtype(DType::F32).unwrap());
            let dtype = if at % 2 == 0 { DType::BF16 } else { DType::F32 };
            half.insert(parameter.id(), gradient.to_dtype(dtype).unwrap());
        }
        reference.step(&mut wide, &single).unwrap();
        optimizer.step(&mut model, &half).unwrap();
        for (path, value) in wide.state_dict() {
            let rounded = value.to_dtype(DType::BF16).unwrap().to_f64_vec().unwrap();
            assert_eq!(model.state_dict()[&path].to_f64_vec().unwrap(), rounded, "{path}");
        }
        let states = optimizer.state_dict().unwrap().into_iter().filter(|(name, _)| name.starts_with("state."));
        assert!(states.into_iter().all(|(_, tensor)| tensor.dtype() == DType::F32));
    }
    let mut adam = Adam::new(0.1).state_dtype(DType::BF16);
    let mut model = network();
    step(&mut adam, &mut model, 1).unwrap();
    step(&mut adam, &mut model, 2).unwrap();
    assert_eq!(adam.state_dict().unwrap()["state.0.weight.exp_avg"].dtype(), DType::BF16);
    let before = bits(&model);
    let mut wrong = Adam::new(0.1).state_dtype(DType::I64);
    let error = step(&mut wrong, &mut model, 1).unwrap_err().to_string();
    assert!(error.contains("states of i64"), "{error}");
    assert_eq!(bits(&model), before);
}

/// Layers of f32 and of f64 in one model: each is computed in its own type.
#[test]
fn types_of_one_model_may_differ() {
    let layer = |dtype| Dense::new(3).with_input(4, &mut Init::new(1, &Device::cpu()).dtype(dtype)).unwrap();
    for (mut both, (mut first, mut second)) in optimizers().into_iter().zip(optimizers().into_iter().zip(optimizers()))
    {
        let mut model = (layer(DType::F32), layer(DType::F64));
        let (mut single, mut double) = (layer(DType::F32), layer(DType::F64));
        for _ in 0..3 {
            let (of_single, of_double) = (gradients(&single, 1), gradients(&double, 2));
            let mut all = Gradients::default();
            let parts = model.0.parameters().into_iter().zip(single.parameters()).map(|pair| (pair, &of_single));
            let others = model.1.parameters().into_iter().zip(double.parameters()).map(|pair| (pair, &of_double));
            for (((_, own), (_, other)), given) in parts.chain(others) {
                all.insert(own.id(), given.get(other.id()).unwrap().clone());
            }
            both.step(&mut model, &all).unwrap();
            first.step(&mut single, &of_single).unwrap();
            second.step(&mut double, &of_double).unwrap();
        }
        assert_eq!(bits(&model), [bits(&single), bits(&double)].concat(), "{}", both.name());
    }
}

#[test]
fn a_step_works_in_place() {
    let mut model = network();
    let mut adam = Adam::new(0.01);
    step(&mut adam, &mut model, 0).unwrap();
    let ids = |model: &Sequential| model.parameters().iter().map(|(_, p)| p.value().storage_id()).collect::<Vec<_>>();
    let before = ids(&model);
    step(&mut adam, &mut model, 1).unwrap();
    assert_eq!(before, ids(&model));
    // What shares a parameter's memory is not written: the parameter moves away.
    let kept = model.state_dict();
    let values = kept["0.weight"].to_f64_vec().unwrap();
    step(&mut adam, &mut model, 2).unwrap();
    assert_eq!(kept["0.weight"].to_f64_vec().unwrap(), values);
}
