//! Schedules.

use crate::steps::{bits, network, step};
use kiln_nn::{StateDict, Stateful, safetensors};
use kiln_optim::*;
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
}

/// Values of PyTorch's schedulers at a rate of 1: `CosineAnnealingLR(T_max=10, eta_min=0.1)`, `StepLR(3, 0.5)`.
#[test]
fn values() {
    let cosine = CosineDecay::new(10).floor(0.1);
    for (step, value) in [(0, 1.0), (1, 0.977_975_432_332_818_6), (5, 0.55), (9, 0.122_024_567_667_181_4), (10, 0.1)] {
        near(cosine.at(step), value);
    }
    near(cosine.at(1000), 0.1);
    for (step, value) in [(0, 1.0), (2, 1.0), (3, 0.5), (8, 0.25), (30, 0.5f64.powi(10))] {
        near(StepDecay::new(3, 0.5).at(step), value);
    }
    assert_eq!([0, 1, 3, 4, 9].map(|step| LinearWarmup::new(4).at(step)), [0.25, 0.5, 1.0, 1.0, 1.0]);
    assert_eq!(Constant::new(0.3).at(7), 0.3);
}

/// Fifty steps of each schedule are PyTorch's or Keras's (tests/fixtures).
#[test]
fn fifty_steps() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schedules.safetensors");
    let values = safetensors::read(path, &Device::cpu()).unwrap();
    let schedules: Vec<(&str, Box<dyn Schedule>)> = vec![
        ("step", Box::new(StepDecay::new(7, 0.5))),
        ("multi_step", Box::new(MultiStepDecay::new([20, 5, 21], 0.3))),
        ("exponential", Box::new(ExponentialDecay::new(1, 0.93))),
        ("polynomial", Box::new(PolynomialDecay::new(40))),
        ("polynomial_power", Box::new(PolynomialDecay::new(30).power(2.5))),
        ("cosine", Box::new(CosineDecay::new(49).floor(0.1))),
        ("cosine_restarts", Box::new(CosineRestarts::new(12).floor(0.05))),
        ("cosine_restarts_growth", Box::new(CosineRestarts::new(5).growth(3))),
        ("one_cycle", Box::new(OneCycle::new(50))),
        ("one_cycle_settings", Box::new(OneCycle::new(50).rise(0.5).division(5.0).final_division(20.0))),
        ("cyclic", Box::new(Cyclic::new(8, 0.1))),
        ("cyclic_halved", Box::new(Cyclic::new(6, 0.2).down(9).cycle_factor(0.5))),
        ("cyclic_range", Box::new(Cyclic::new(5, 0.0).step_factor(0.97))),
        ("warmup", Box::new(LinearWarmup::new(11))),
        ("cosine_warmup", Box::new(CosineWarmup::new(13))),
        ("warmup_then_cosine", Box::new(LinearWarmup::new(10).then(9, CosineDecay::new(41)))),
        (
            "chained",
            Box::new(
                Constant::new(0.1)
                    .then(20, Constant::new(1.0))
                    .times(ExponentialDecay::new(1, 0.9))
                    .times(StepDecay::new(15, 0.5)),
            ),
        ),
        (
            "sequential",
            Box::new(Constant::new(0.1).then(20, ExponentialDecay::new(1, 0.9).then(15, StepDecay::new(4, 0.5)))),
        ),
        ("inverse_sqrt", Box::new(InverseSqrt::new(9))),
        ("piecewise", Box::new(Piecewise::new([10, 25, 26], [1.0, 0.5, 0.25, 0.125]))),
    ];
    assert_eq!(schedules.len(), values.len());
    for (name, schedule) in schedules {
        schedule.check().unwrap();
        for (step, expected) in values[name].to_f64_vec().unwrap().into_iter().enumerate() {
            let found = schedule.at(step as u64);
            assert!((found - expected).abs() < 1e-12, "{name}, step {step}: {found}, expected {expected}");
        }
        assert!(schedule.at(u64::MAX).is_finite(), "{name}");
    }
}

/// Over ten steps the factor goes by the tenth root.
#[test]
fn a_decay_between_its_steps() {
    let decay = ExponentialDecay::new(10, 0.5);
    near(decay.at(10), 0.5);
    near(decay.at(5), 0.5f64.sqrt());
}

#[test]
fn schedules_follow_one_another_and_are_multiplied() {
    let schedule =
        LinearWarmup::new(4).then(4, CosineDecay::new(10)).times(|step: u64| if step < 6 { 1.0 } else { 0.5 });
    assert_eq!([0, 3, 4, 5].map(|step| schedule.at(step)), [0.25, 1.0, 1.0, CosineDecay::new(10).at(1)]);
    assert_eq!(schedule.at(9), 0.25);
    assert_eq!(schedule.name(), "(LinearWarmup, CosineDecay) · (closure)");
}

#[test]
fn the_rate_of_each_step_is_scheduled() {
    // By hand and by schedule.
    let (mut by_hand, mut scheduled) = (Sgd::new(0.1), Sgd::new(0.1).schedule(StepDecay::new(2, 0.5)));
    let (mut first, mut second) = (network(), network());
    for at in 0..5 {
        by_hand.set_learning_rate(0.1 * 0.5f64.powi(at as i32 / 2));
        assert_eq!(scheduled.scheduled_learning_rate(), by_hand.learning_rate());
        step(&mut by_hand, &mut first, at).unwrap();
        step(&mut scheduled, &mut second, at).unwrap();
    }
    assert_eq!(bits(&first), bits(&second));
    assert_eq!(scheduled.learning_rate(), 0.1);
    let mut wrong = Sgd::new(0.1).schedule(|_: u64| f64::NAN);
    let error = step(&mut wrong, &mut first, 1).unwrap_err().to_string();
    assert!(error.contains("the scheduled learning rate is NaN"), "{error}");
    // One that is chosen while the program runs.
    let chosen: Box<dyn Schedule> = Box::new(Constant::new(0.5));
    assert_eq!(Sgd::new(0.1).schedule(chosen).scheduled_learning_rate(), 0.05);
}

#[test]
fn settings_that_make_no_sense_are_refused_by_the_first_step() {
    let wrong: [(Box<dyn Schedule>, &str); 11] = [
        (Box::new(LinearWarmup::new(0)), "LinearWarmup over 0 steps: at least 1 is needed"),
        (Box::new(StepDecay::new(0, 0.5)), "StepDecay over 0 steps"),
        (
            Box::new(CosineDecay::new(3).floor(f64::NAN)),
            "the floor of CosineDecay is NaN: a finite number of at least 0",
        ),
        (Box::new(CosineRestarts::new(0)), "CosineRestarts over 0 steps"),
        (Box::new(CosineRestarts::new(2).growth(0)), "the growth of CosineRestarts is 0"),
        (Box::new(OneCycle::new(9).rise(1.0)), "the rise of OneCycle is 1: a share in [0, 1)"),
        (Box::new(OneCycle::new(9).division(0.0)), "the division of OneCycle is 0"),
        (Box::new(Piecewise::new([3], [1.0])), "Piecewise has 1 boundaries and 1 factors: one factor more is expected"),
        (Box::new(Piecewise::new([3, 3], [1.0, 0.5, 0.2])), "the boundaries of Piecewise do not increase"),
        (Box::new(Cyclic::new(3, 0.1).down(0)), "Cyclic over 0 steps"),
        (Box::new(Constant::new(-1.0).then(2, LinearWarmup::new(2))), "the factor of Constant is -1"),
    ];
    for (schedule, expected) in wrong {
        let mut model = network();
        let before = bits(&model);
        let error = step(&mut Sgd::new(0.1).schedule(schedule), &mut model, 1).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(bits(&model), before);
    }
}

/// Halves the rate each time that it is told to.
struct Told {
    halvings: i32,
}

impl Schedule for Told {
    fn at(&self, _: u64) -> f64 {
        0.5f64.powi(self.halvings)
    }
    fn name(&self) -> String {
        "Told".into()
    }
    fn stateful(&self) -> Option<&dyn Stateful> {
        Some(self)
    }
    fn stateful_mut(&mut self) -> Option<&mut dyn Stateful> {
        Some(self)
    }
}

impl Stateful for Told {
    fn state_dict(&self) -> Result<StateDict> {
        let halvings = Tensor::scalar(i64::from(self.halvings), &Device::cpu())?;
        Ok(StateDict::from([("halvings".into(), halvings)]))
    }
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let halvings = state.get("halvings").ok_or_else(|| Error::new(ErrorKind::Format, "told", "no halvings"))?;
        self.halvings = halvings.item()? as i32;
        Ok(())
    }
}

#[test]
fn a_schedules_state_is_the_optimizers() {
    let told = |halvings| LinearWarmup::new(2).then(2, Told { halvings });
    let (mut whole, mut model) = (Adam::new(0.1).schedule(told(3)), network());
    for at in 0..3 {
        step(&mut whole, &mut model, at).unwrap();
    }
    let (weights, state) = (kiln_nn::Module::state_dict(&model), whole.state_dict().unwrap());
    assert!(state.contains_key("schedule.1.halvings"), "{:?}", state.keys());
    let (mut resumed, mut other) = (Adam::new(0.1).schedule(told(0)), network());
    kiln_nn::Module::load_state_dict(&mut other, &weights, true).unwrap();
    resumed.load_state_dict(&state).unwrap();
    assert_eq!(resumed.scheduled_learning_rate(), 0.1 / 8.0);
    for at in 3..6 {
        step(&mut whole, &mut model, at).unwrap();
        step(&mut resumed, &mut other, at).unwrap();
    }
    assert_eq!(bits(&model), bits(&other));

    // That of another schedule, of none, and of one that has no state.
    let mut none = Adam::new(0.1);
    let error = none.load_state_dict(&state).unwrap_err().to_string();
    assert!(error.contains("the state is that of the schedule LinearWarmup, Told, not of no schedule"), "{error}");
    let mut cosine = Adam::new(0.1).schedule(CosineDecay::new(10));
    let error = cosine.load_state_dict(&state).unwrap_err().to_string();
    assert!(error.contains("LinearWarmup, Told, not of the schedule CosineDecay"), "{error}");
    let error = resumed.load_state_dict(&none.state_dict().unwrap()).unwrap_err().to_string();
    assert!(error.contains("the state is that of no schedule, not of the schedule LinearWarmup, Told"), "{error}");
    let mut partial = state.clone();
    partial.remove("schedule.1.halvings");
    let steps = resumed.steps();
    assert!(resumed.load_state_dict(&partial).unwrap_err().to_string().contains("no halvings"));
    assert_eq!((cosine.steps(), resumed.steps(), resumed.scheduled_learning_rate()), (0, steps, 0.1 / 8.0));
}
