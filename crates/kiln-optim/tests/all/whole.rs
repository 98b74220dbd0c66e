//! A custom optimizer over whole tensors.

use crate::steps::{bits, gradients, network, step};
use kiln_autograd::Gradients;
use kiln_nn::{Module, Param, StateDict, Stateful};
use kiln_optim::{Adafactor, AdamW, Clip, Group, Muon, Optimizer, Sgd, State, StepDecay};
use kiln_tensor::{DType, Device, Result, Tensor};

/// Momentum, as `Sgd` has it.
struct Heavy {
    broken: bool,
    state: State,
}

impl Heavy {
    fn new() -> Self {
        Heavy { broken: false, state: State::new(0.1, &["momentum_buffer"]) }
    }
}

impl Optimizer for Heavy {
    fn step_if(&mut self, model: &mut dyn Module, gradients: &Gradients, apply: Option<&Tensor>) -> Result<()> {
        let broken = self.broken;
        self.state.step_whole(model, gradients, apply, |x| {
            let g = x.gradient.add(&x.parameter.mul_scalar(x.weight_decay)?)?;
            let v = x.state(0)?.mul_scalar(0.5)?.add(&g)?;
            let states = if broken && x.path == "1.bias" { vec![] } else { vec![Some(v.clone())] };
            Ok((x.parameter.sub(&v.mul_scalar(x.learning_rate)?)?, states))
        })
    }
    fn name(&self) -> &'static str {
        "Heavy"
    }
    fn state(&self) -> &State {
        &self.state
    }
    fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Stateful for Heavy {
    fn state_dict(&self) -> Result<StateDict> {
        self.state.state_dict(self.name())
    }
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let name = self.name();
        self.state.load_state_dict(name, state)
    }
}

fn near(a: &dyn Module, b: &dyn Module, tolerance: f64) {
    for ((path, a), (_, b)) in a.parameters().into_iter().zip(b.parameters()) {
        let (a, b) = (a.value().to_f64_vec().unwrap(), b.value().to_f64_vec().unwrap());
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= tolerance), "{path}: {a:?}, expected {b:?}");
    }
}

#[test]
fn it_has_groups_schedules_clipping_and_a_state() {
    let made = |own: bool| -> Box<dyn Optimizer> {
        fn set(optimizer: impl Optimizer + 'static) -> Box<dyn Optimizer> {
            let group = Group::new().learning_rate_scale(0.5).weight_decay(0.1);
            Box::new(optimizer.group("0.*", group).schedule(StepDecay::new(2, 0.5)).clip_norm(1.0))
        }
        if own { set(Heavy::new()) } else { set(Sgd::new(0.1).momentum(0.5)) }
    };
    let (mut own, mut sgd) = (made(true), made(false));
    let (mut first, mut second) = (network(), network());
    for at in 0..3 {
        step(&mut own, &mut first, at).unwrap();
        step(&mut sgd, &mut second, at).unwrap();
    }
    near(&first, &second, 1e-6);
    let state = own.state_dict().unwrap();
    let keys = |state: &StateDict| state.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&state), keys(&sgd.state_dict().unwrap()));
    assert!(
        sgd.load_state_dict(&state).unwrap_err().to_string().contains("the optimizer Heavy, not of the optimizer Sgd")
    );
    let (mut resumed, mut third) = (made(true), network());
    third.load_state_dict(&first.state_dict(), true).unwrap();
    resumed.load_state_dict(&state).unwrap();
    step(&mut own, &mut first, 3).unwrap();
    step(&mut resumed, &mut third, 3).unwrap();
    assert_eq!(bits(&first), bits(&third));
}

#[test]
fn a_flag_leaves_a_step_out_and_an_error_changes_nothing() {
    let flag = |value: bool| Tensor::from_slice(&[value], (), &Device::cpu()).unwrap();
    let (mut own, mut model) = (Heavy::new(), network());
    let (before, given) = (bits(&model), gradients(&model, 1));
    own.step_if(&mut model, &given, Some(&flag(false))).unwrap();
    assert_eq!(bits(&model), before);
    let velocity = own.state_dict().unwrap()["state.0.weight.momentum_buffer"].to_f64_vec().unwrap();
    assert!(velocity.iter().all(|&v| v == 0.0));
    own.step_if(&mut model, &given, Some(&flag(true))).unwrap();
    let mut reference = network();
    step(&mut Sgd::new(0.1).momentum(0.5), &mut reference, 1).unwrap();
    near(&model, &reference, 1e-7);
    own.broken = true;
    let before = bits(&model);
    let error = own.step(&mut model, &given).unwrap_err().to_string();
    assert!(error.contains("the rule made of 1.bias, (3,), a parameter of (3,) with 0 states, expected 1"), "{error}");
    assert_eq!((bits(&model), own.steps()), (before, 2));
}

/// A half type is widened for the rule and rounded once.
#[test]
fn half_parameters() {
    let (mut model, mut wide) = (network(), network());
    model.to_dtype(DType::F16).unwrap();
    wide.load_state_dict(&model.state_dict(), true).unwrap();
    let mut given = Gradients::default();
    let of_wide = gradients(&wide, 1);
    for ((_, own), (_, other)) in model.parameters().into_iter().zip(wide.parameters()) {
        given.insert(own.id(), of_wide.get(other.id()).unwrap().clone());
    }
    let mut own = Heavy::new();
    own.step(&mut model, &given).unwrap();
    Heavy::new().step(&mut wide, &of_wide).unwrap();
    wide.to_dtype(DType::F16).unwrap();
    assert_eq!(bits(&model), bits(&wide));
    assert_eq!(own.state_dict().unwrap()["state.0.weight.momentum_buffer"].dtype(), DType::F32);
}

/// A convolution's weight is a matrix of its filters, and what a pattern names takes AdamW's step.
#[test]
fn muon_knows_matrices_and_patterns() {
    #[derive(Module)]
    struct One {
        weight: Param,
    }
    let value = |shape: &[usize]| {
        Tensor::arange_by(0.0, 24.0, 1.0, DType::F32, &Device::cpu())
            .unwrap()
            .reshape(shape)
            .unwrap()
            .mul_scalar(0.1)
            .unwrap()
    };
    let stepped = |shape: &[usize], optimizer: &mut dyn Optimizer| {
        let mut model = One { weight: Param::new(value(shape)) };
        let mut gradients = Gradients::default();
        gradients.insert(model.weight.id(), value(shape).cos().unwrap());
        optimizer.step(&mut model, &gradients).unwrap();
        model.weight.value().to_f64_vec().unwrap()
    };
    let matrix = stepped(&[4, 6], &mut Muon::new(0.1));
    assert_eq!(stepped(&[4, 3, 2, 1], &mut Muon::new(0.1)), matrix);
    let adamw = stepped(&[4, 6], &mut AdamW::new(0.1).weight_decay(0.1));
    assert_ne!(matrix, adamw);
    assert_eq!(stepped(&[4, 6], &mut Muon::new(0.1).adamw("weight")), adamw);
    assert_eq!(stepped(&[24], &mut Muon::new(0.1)), adamw);
}

/// The state of a matrix is its rows and columns; one of another shape is found before anything changes.
#[test]
fn adafactors_state_is_small_and_checked() {
    let (mut optimizer, mut model) = (Adafactor::new(0.01), network());
    step(&mut optimizer, &mut model, 1).unwrap();
    let mut state = optimizer.state_dict().unwrap();
    assert_eq!(state["state.0.weight.row_var"].dims(), [5, 1]);
    assert_eq!(state["state.0.weight.col_var"].dims(), [1, 4]);
    assert_eq!(state["state.0.bias.variance"].dims(), [5]);
    assert!(!state.contains_key("state.0.weight.variance") && !state.contains_key("state.0.weight.exp_avg"));
    let before = bits(&model);
    state.insert("state.1.weight.row_var".into(), Tensor::ones([3], DType::F32, &Device::cpu()).unwrap());
    optimizer.load_state_dict(&state).unwrap();
    let error = step(&mut optimizer, &mut model, 2).unwrap_err().to_string();
    assert!(error.contains("a state of 1.weight is of (3,), expected (3, 1); nothing was changed"), "{error}");
    assert_eq!(bits(&model), before);
}
