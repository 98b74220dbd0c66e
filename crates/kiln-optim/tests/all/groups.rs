//! Parameter groups.

use crate::steps::{bits, gradients, network, step};
use kiln_nn::{Module, Stateful};
use kiln_optim::{Adam, AdamW, Group, Optimizer, Sgd};

/// The change of each parameter in a step, by path.
fn changes(optimizer: &mut dyn Optimizer) -> Vec<(String, Vec<f64>)> {
    let mut model = network();
    let before = model.state_dict();
    step(optimizer, &mut model, 1).unwrap();
    let change = |(path, value): (String, kiln_tensor::Tensor)| {
        (path.clone(), value.sub(&before[&path]).unwrap().to_f64_vec().unwrap())
    };
    model.state_dict().into_iter().map(change).collect()
}

#[test]
fn rates_are_scaled_and_parameters_frozen_by_pattern() {
    let plain = changes(&mut Sgd::new(0.1));
    let mut sgd =
        Sgd::new(0.1).group("0.*", Group::new().learning_rate_scale(0.5)).group("*.bias", Group::new().frozen(true));
    let grouped = changes(&mut sgd);
    for ((path, all), (_, found)) in plain.iter().zip(&grouped) {
        let factor = match path.as_str() {
            "0.weight" => 0.5,
            "1.weight" => 1.0,
            _ => 0.0,
        };
        for (all, found) in all.iter().zip(found) {
            assert!((all * factor - found).abs() < 1e-6, "{path}: {found}, {all}");
        }
    }
}

#[test]
fn no_decay_of_biases_in_one_call() {
    let decayed = changes(&mut AdamW::new(0.1).weight_decay(0.5));
    let spared = changes(&mut AdamW::new(0.1).weight_decay(0.5).no_decay_on_biases_and_norms());
    let none = changes(&mut AdamW::new(0.1).weight_decay(0.0));
    for (((path, spared), (_, decayed)), (_, none)) in spared.iter().zip(&decayed).zip(&none) {
        assert_eq!(spared, if path.ends_with("bias") { none } else { decayed }, "{path}");
    }
    // The biases of a new model are 0; the weights' decay shows.
    assert_ne!(decayed[1], none[1]);
    // A later group may say otherwise.
    let mut again = AdamW::new(0.1)
        .weight_decay(0.0)
        .no_decay_on_biases_and_norms()
        .group("*.weight", Group::new().weight_decay(0.5));
    assert_eq!(changes(&mut again)[1], decayed[1]);
}

#[test]
fn a_pattern_that_matches_nothing_changes_nothing() {
    let mut model = network();
    let before = bits(&model);
    let mut adam = Adam::new(0.1).group("features.*", Group::new().frozen(true));
    for _ in 0..2 {
        let error = step(&mut adam, &mut model, 1).unwrap_err().to_string();
        assert_eq!(
            error,
            "optimizer.step: the pattern `features.*` matches none of the 4 parameters, whose paths are `0.weight`, `0.bias`, \
             `1.weight`, `1.bias`"
        );
    }
    assert_eq!((bits(&model), adam.steps()), (before, 0));
    let mut adam = Adam::new(0.1).group("0.*", Group::new().learning_rate_scale(-1.0));
    let error = step(&mut adam, &mut model, 1).unwrap_err().to_string();
    assert!(error.contains("learning rate scale of a group is -1"), "{error}");
}

#[test]
fn groups_change_between_steps_and_are_in_the_state() {
    let mut model = network();
    let mut adam = Adam::new(0.1).group("0.*", Group::new().frozen(true));
    step(&mut adam, &mut model, 1).unwrap();
    let frozen = bits(&model)[0].clone();
    adam.set_group("0.*".into(), Group::new().learning_rate_scale(0.1));
    let state = adam.state_dict().unwrap();
    step(&mut adam, &mut model, 2).unwrap();
    assert_ne!(bits(&model)[0], frozen);

    // As it was made, then with what was set later.
    let mut resumed = Adam::new(0.1).group("0.*", Group::new().frozen(true));
    resumed.load_state_dict(&state).unwrap();
    let mut other = network();
    step(&mut Adam::new(0.1).group("0.*", Group::new().frozen(true)), &mut other, 1).unwrap();
    step(&mut resumed, &mut other, 2).unwrap();
    assert_eq!(bits(&model), bits(&other));

    for (mut wrong, why) in [
        (Adam::new(0.1), "the state of Adam has a group `group.0.0.*`, which this optimizer does not have"),
        (
            Adam::new(0.1).group("0.*", Group::new()).group("1.*", Group::new()),
            "the state of Adam has 1 groups, this optimizer 2",
        ),
    ] {
        let error = wrong.load_state_dict(&state).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert_eq!(wrong.steps(), 0);
    }
}

#[test]
fn frozen_parameters_keep_their_state() {
    let mut model = network();
    let mut adam = Adam::new(0.1);
    step(&mut adam, &mut model, 1).unwrap();
    adam.set_group("1.*".into(), Group::new().frozen(true));
    let before = adam.state_dict().unwrap();
    let gradients = gradients(&model, 2);
    adam.step(&mut model, &gradients).unwrap();
    let after = adam.state_dict().unwrap();
    let moments = |state: &kiln_nn::StateDict, path: &str| state[path].to_f64_vec().unwrap();
    assert_eq!(moments(&before, "state.1.bias.exp_avg"), moments(&after, "state.1.bias.exp_avg"));
    assert_ne!(moments(&before, "state.0.bias.exp_avg"), moments(&after, "state.0.bias.exp_avg"));
}
