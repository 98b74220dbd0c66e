//! `ActivationStatistics`: numbers by hand, dead units, and a training that does not notice.

use super::logged::{Logged, bits_of};
use crate::support::StopAfter;
use kiln_datasets::{TensorDataset, TextStreams};
use kiln_nn::*;
use kiln_optim::{Adam, Sgd};
use kiln_tensor::{Device, IntoShape, Tensor};
use kiln_train::*;
use std::sync::{Arc, Mutex};

fn cpu() -> Device {
    Device::cpu()
}

fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &cpu()).unwrap()
}

/// Three hidden units of two inputs: x₀, −x₀ − 10 and −1, of which ReLU leaves the first alone.
fn model(hidden: impl FnOnce(Dense) -> Sequential) -> Sequential {
    let mut model = hidden(Dense::new(3)).push_named("drop", Dropout::new(0.5));
    model = model.push_named("head", Dense::new(1)).build([2], &cpu(), 1).unwrap();
    let set = |model: &mut Sequential, path: &str, value: Tensor| {
        let mut parameters = model.parameters_mut();
        parameters.iter_mut().find(|(known, _)| known == path).unwrap().1.set(value).unwrap();
    };
    set(&mut model, "hidden.weight", tensor(&[1.0, 0.0, -1.0, 0.0, 0.0, 0.0], &[3, 2]));
    set(&mut model, "hidden.bias", tensor(&[0.0, -10.0, -1.0], &[3]));
    set(&mut model, "head.weight", tensor(&[-1.0, 0.0, 0.0], &[1, 3]));
    model
}

fn fused(layer: Dense) -> Sequential {
    Sequential::new().push_named("hidden", layer.activation(Activation::Relu))
}

/// Two batches of two samples, whose first numbers are 1, 3 and −2, 2.
fn data() -> TensorDataset {
    TensorDataset::new(tensor(&[1.0, 0.0, 3.0, 0.0, -2.0, 0.0, 2.0, 0.0], &[4, 2]), tensor(&[0.0; 4], &[4, 1])).unwrap()
}

fn fit(model: Sequential, statistics: &mut ActivationStatistics, epochs: usize) -> Logged {
    let mut logged = Logged::default();
    // Steps so small that they change nothing.
    let mut trainer = compile(model, Sgd::new(1e-30), MeanSquaredError::new());
    let options = FitOptions::new().epochs(epochs).batch_size(2).shuffle(false).callback(statistics);
    trainer.fit(&data(), options.callback(&mut logged)).unwrap();
    logged
}

#[test]
fn numbers_are_those_of_the_layers_output() {
    let mut statistics = ActivationStatistics::new().every(1);
    let logged = fit(model(fused), &mut statistics, 1);
    // (1, 0, 0) and (3, 0, 0); then (0, 0, 0) and (2, 0, 0).
    for (step, mean, squares, zeros) in [(1, 4.0f64 / 6.0, 10.0 / 6.0, 4.0 / 6.0), (2, 2.0 / 6.0, 4.0 / 6.0, 5.0 / 6.0)]
    {
        let std = (squares - mean * mean).sqrt();
        for (name, expected) in [("mean", mean), ("std", std), ("zeros", zeros)] {
            let found = logged.value(&format!("activation_{name}.hidden"), step);
            assert!((found - expected).abs() < 1e-6, "{name} at step {step}: {found}, expected {expected}");
        }
        assert_eq!(logged.value("dead_units.hidden", step), 2.0 / 3.0);
    }
    // Dropout hands on what it is given here, and the model gives what its last layer gives.
    let known = |name: &str| name.ends_with(".hidden") || name.ends_with(".head");
    assert!(logged.lines.iter().all(|(_, name, _)| known(name)), "{:?}", logged.lines);
}

#[test]
fn dead_units_are_those_that_no_batch_of_the_epoch_wakes() {
    let with_layer = |layer: Dense| Sequential::new().push_named("hidden", layer).push_named("relu", Activation::Relu);
    for (model, path, layer) in [(model(fused), "hidden", "Dense"), (model(with_layer), "relu", "Relu")] {
        let warned: Arc<Mutex<Vec<DeadUnits>>> = Arc::default();
        let note = Arc::clone(&warned);
        let mut statistics =
            ActivationStatistics::new().every(1).warn(move |dead| note.lock().unwrap().push(dead.clone()));
        let logged = fit(model, &mut statistics, 3);
        let expected =
            |epoch| DeadUnits { path: path.into(), layer: layer.into(), dead: 2, units: 3, batches: 2, epoch };
        assert_eq!(statistics.dead(), [expected(3)]);
        // Once.
        assert_eq!(*warned.lock().unwrap(), [expected(1)]);
        let said = expected(1).to_string();
        assert!(
            said.starts_with(&format!("2 of 3 units of {path} ({layer}) were 0 for all samples of the 2 batches")),
            "{said}"
        );
        assert!(!logged.has("dead_units.head"), "numbers below 0 are those of no ReLU");
        assert_eq!(logged.has("dead_units.hidden"), path == "hidden");
    }
}

#[test]
fn only_layers_whose_activation_gives_0_have_dead_units() {
    let model = |head: Activation| {
        let model = Sequential::new().push(Dense::new(3).activation(Activation::Relu));
        // The biases are so far below 0 that a sigmoid or an exponential function gives exactly 0.
        let mut model = model.push(Dense::new(1).activation(head)).build([2], &cpu(), 1).unwrap();
        model.parameters_mut()[3].1.set(tensor(&[-1e4], &[1])).unwrap();
        model
    };
    for head in [Activation::Sigmoid, Activation::Exp, Activation::Softplus, Activation::Softmax] {
        let logged = fit(model(head), &mut ActivationStatistics::new().every(1), 1);
        assert!(logged.has("dead_units.0") && !logged.has("dead_units.1"), "{head:?}: {:?}", logged.lines);
    }
    for head in [Activation::Relu6, Activation::HardSigmoid, Activation::Threshold(0.5, 0.0)] {
        let logged = fit(model(head), &mut ActivationStatistics::new().every(1), 1);
        assert_eq!(logged.value("dead_units.1", 1), 1.0, "{head:?}");
    }
}

#[test]
fn a_warning_is_of_a_completed_epoch_and_not_repeated_by_a_resumed_training() {
    let warned: Arc<Mutex<Vec<DeadUnits>>> = Arc::default();
    let statistics = || {
        let note = Arc::clone(&warned);
        ActivationStatistics::new().every(1).warn(move |dead| note.lock().unwrap().push(dead.clone()))
    };
    let mut trainer = compile(model(fused), Sgd::new(1e-30), MeanSquaredError::new());
    let data = data();
    let options = || FitOptions::new().batch_size(2).shuffle(false);
    let mut first = statistics();
    trainer.fit(&data, options().epochs(1).callback(StopAfter(1)).callback(&mut first)).unwrap();
    assert!(warned.lock().unwrap().is_empty(), "the epoch was left");
    trainer.fit(&data, options().until_epoch(1).callback(&mut first)).unwrap();
    assert_eq!(warned.lock().unwrap().iter().map(|dead| (dead.epoch, dead.batches)).collect::<Vec<_>>(), [(1, 2)]);
    let mut resumed = statistics();
    resumed.load_state_dict(&first.state_dict().unwrap()).unwrap();
    trainer.fit(&data, options().epochs(1).callback(&mut resumed)).unwrap();
    assert_eq!((warned.lock().unwrap().len(), resumed.dead().len()), (1, 1));
}

#[test]
fn units_of_maps_are_channels() {
    // One channel is the image, the other one is 0 everywhere.
    let convolution = Conv2d::new(2, 1).activation(Activation::Relu);
    let model = Sequential::new().push(convolution).push(Flatten::new()).push(Dense::new(1));
    let mut model = model.build([1, 2, 2], &cpu(), 1).unwrap();
    model.parameters_mut()[0].1.set(tensor(&[1.0, 0.0], &[2, 1, 1, 1])).unwrap();
    // Each pixel is above 0 in one of the samples.
    let images = tensor(&[1.0, 0.0, 0.0, 2.0, 0.0, 3.0, 4.0, 0.0], &[2, 1, 2, 2]);
    let data = TensorDataset::new(images, tensor(&[0.0; 2], &[2, 1])).unwrap();
    let (mut statistics, mut logged) = (ActivationStatistics::new().every(1), Logged::default());
    let mut trainer = compile(model, Sgd::new(1e-30), MeanSquaredError::new());
    trainer.fit(&data, FitOptions::new().callback(&mut statistics).callback(&mut logged)).unwrap();
    assert_eq!(logged.value("dead_units.0", 1), 0.5);
    assert_eq!(logged.value("activation_zeros.0", 1), 0.75);
    assert!(statistics.dead().is_empty(), "a half is not more than a half");
}

/// Dropout, and an LSTM that carries its states from batch to batch.
fn reader() -> Trainer<Supervised<Sequential, SparseCategoricalCrossentropy>, Adam> {
    let model = Sequential::new()
        .push(Embedding::new(5, 4))
        .push(Lstm::new(6).dropout(0.2).return_sequences(true).stateful(true))
        .push(Dropout::new(0.2))
        .push(Dense::new(5));
    let model = model.build([4], &cpu(), 1).unwrap();
    compile(model, Adam::new(0.01), SparseCategoricalCrossentropy::from_logits()).metric(Accuracy)
}

#[test]
fn the_training_has_the_same_bits() {
    let data = TextStreams::new((0..160).map(|i| i * i / 3 % 5).collect(), 3, 4).unwrap();
    let (mut plain, mut watched, mut logged) = (reader(), reader(), Logged::default());
    plain.fit(&data, FitOptions::new().epochs(3)).unwrap();
    let statistics = ActivationStatistics::new().every(2);
    watched.fit(&data, FitOptions::new().epochs(3).callback(statistics).callback(&mut logged)).unwrap();
    assert_eq!(bits_of(&plain), bits_of(&watched));
    assert!(logged.has("activation_std.1") && !logged.has("activation_mean.2"));
    let refused = watched.fit(&data, FitOptions::new().callback(ActivationStatistics::new().every(0))).unwrap_err();
    assert!(refused.to_string().contains("every(0)"), "{refused}");
}

#[test]
fn a_training_that_is_resumed_in_the_middle_of_an_epoch_reports_the_same() {
    // Each batch leaves another unit alive.
    let model = || {
        let mut model = Sequential::new().push(Dense::new(2).activation(Activation::Relu)).push(Dense::new(1));
        model = model.build([2], &cpu(), 1).unwrap();
        model.parameters_mut()[0].1.set(tensor(&[1.0, 0.0, -1.0, 0.0], &[2, 2])).unwrap();
        compile(model, Sgd::new(1e-30), MeanSquaredError::new())
    };
    let points = tensor(&[1.0, 0.0, 2.0, 0.0, -1.0, 0.0, -2.0, 0.0], &[4, 2]);
    let data = TensorDataset::new(points, tensor(&[0.0; 4], &[4, 1])).unwrap();
    let options = || FitOptions::new().batch_size(2).shuffle(false).epochs(2);
    let (mut statistics, mut whole) = (ActivationStatistics::new().every(1), Logged::default());
    model().fit(&data, options().callback(&mut statistics).callback(&mut whole)).unwrap();
    assert_eq!([3, 4].map(|step| whole.value("dead_units.0", step)), [0.5, 0.0]);
    let (mut first, mut second, mut logged) = (model(), model(), Logged::default());
    let mut before = ActivationStatistics::new().every(1);
    first.fit(&data, options().callback(StopAfter(3)).callback(&mut before).callback(&mut logged)).unwrap();
    let mut after = ActivationStatistics::new().every(1);
    second.load_state_dict(&first.state_dict().unwrap()).unwrap();
    after.load_state_dict(&before.state_dict().unwrap()).unwrap();
    second.fit(&data, options().until_epoch(2).callback(&mut after).callback(&mut logged)).unwrap();
    assert_eq!(logged.lines, whole.lines);
    assert!(after.load_state_dict(&StateDict::new()).unwrap_err().to_string().contains("`batches` is missing"));
}

#[test]
fn a_shared_layer_is_reported_for_each_use() {
    #[derive(Module, Describe)]
    struct Twice {
        layer: Dense,
    }
    impl Layer for Twice {
        type Input = kiln_autograd::Var;
        type Output = kiln_autograd::Var;
        fn forward(&self, x: kiln_autograd::Var, ctx: &Ctx) -> kiln_tensor::Result<kiln_autograd::Var> {
            let once = ctx.layer("layer", &self.layer, &x)?;
            ctx.layer("layer", &self.layer, &once)?.relu()
        }
    }
    let mut layer = Dense::new(2);
    layer.build(&[2].into_shape().unwrap(), &mut Init::new(1, &cpu())).unwrap();
    let mut trainer = compile(Twice { layer }, Sgd::new(0.1), MeanSquaredError::new());
    let data = TensorDataset::new(tensor(&[1.0; 8], &[4, 2]), tensor(&[0.0; 8], &[4, 2])).unwrap();
    let mut logged = Logged::default();
    let options = FitOptions::new().callback(ActivationStatistics::new().every(1)).callback(&mut logged);
    trainer.fit(&data, options).unwrap();
    let zeros = |path: &str| logged.value(&format!("activation_zeros.{path}"), 1);
    assert_eq!([zeros("layer"), zeros("layer#2")], [0.0, 0.0]);
    assert!(logged.has("activation_mean.model"));
}
