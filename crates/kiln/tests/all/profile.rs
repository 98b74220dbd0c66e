//! Profiles of whole training steps: layers are named forward and backward, FLOPs are those of the model, a trace can be read.

use kiln::nn::{Describe, Shapes};
use kiln::prelude::*;
use kiln::profile::{Phase, Profile, Profiling};
use serde_json::Value as Json;

const SAMPLES: usize = 8;
const BATCH: usize = 4;
const STEPS: u64 = (SAMPLES / BATCH) as u64;

fn data(shape: &[usize]) -> TensorDataset {
    let cpu = Device::cpu();
    let stream = RandomStream::new(1, Purpose::Data, 0);
    let shape: Vec<usize> = [&[SAMPLES], shape].concat();
    let inputs = Tensor::normal(&shape[..], 0.0, 1.0, DType::F32, &cpu, stream).unwrap();
    let labels: Vec<i64> = (0..SAMPLES as i64).map(|sample| sample % 3).collect();
    TensorDataset::new(inputs, Tensor::from_slice(&labels, [SAMPLES], &cpu).unwrap()).unwrap()
}

fn network() -> Sequential {
    Sequential::new().push(Dense::new(8).activation(Activation::Relu)).push(Dense::new(3))
}

fn images() -> Sequential {
    Sequential::new()
        .push_named("conv1", Conv2d::new(4, 3))
        .push(BatchNorm2d::new().activation(Activation::Relu))
        .push(MaxPool2d::new(2))
        .push(Flatten::new())
        .push_named("fc", Dense::new(3))
}

/// One epoch; the model after it.
fn train(model: Sequential, shape: &[usize], options: FitOptions<'_>) -> Sequential {
    let model = model.build(shape, &Device::cpu(), 1).unwrap();
    let mut trainer = compile(model, Adam::new(0.01), SparseCategoricalCrossentropy::from_logits());
    trainer.fit(&data(shape), options.epochs(1).batch_size(BATCH)).unwrap();
    trainer.into_model()
}

fn profile(model: Sequential, shape: &[usize]) -> (Profile, Sequential) {
    let profiling = Profiling::start().unwrap();
    let model = train(model, shape, FitOptions::new());
    (profiling.stop(), model)
}

/// FLOPs and calls of products, in a layer and a phase.
fn products(profile: &Profile, layer: &str, phase: Phase) -> (u64, u64) {
    let of = |name: &str| name == "matmul" || name.starts_with("conv");
    let records = profile.records().iter();
    let found = records.filter(|record| of(&record.operation) && record.layer == layer && record.phase == phase);
    found.fold((0, 0), |(flops, calls), record| (flops + record.totals.flops, calls + record.totals.calls))
}

#[test]
fn products_of_a_step_are_those_of_the_layers() {
    let (seen, model) = profile(network(), &[6]);
    let samples = SAMPLES as u64;
    let [first, second] = [2 * samples * 6 * 8, 2 * samples * 8 * 3];
    assert_eq!(products(&seen, "0 (Dense)", Phase::Forward), (first, STEPS));
    assert_eq!(products(&seen, "1 (Dense)", Phase::Forward), (second, STEPS));
    // Backward: the weight's gradient, and but for the first layer the input's.
    assert_eq!(products(&seen, "0 (Dense)", Phase::Backward), (first, STEPS));
    assert_eq!(products(&seen, "1 (Dense)", Phase::Backward), (2 * second, 2 * STEPS));
    let output = Shapes::One(Shape::new(&[3]).unwrap());
    assert_eq!(model.flops(&output) * samples, first + second);

    let update = seen.records().iter().find(|record| record.operation == "update Adam").unwrap();
    assert_eq!((update.layer.as_str(), update.phase, update.totals.calls), ("optimizer", Phase::Optimizer, STEPS));
    // Parameter and two moments are read and written, the gradient is read; and the constants.
    let parameters = 4 * (6 * 8 + 8 + 8 * 3 + 3) * 7;
    assert!((parameters..parameters + 100).contains(&(update.totals.bytes / STEPS)), "{update:?}");
}

#[test]
fn each_layer_is_there_in_both_passes() {
    let (seen, model) = profile(images(), &[1, 8, 8]);
    let layers = seen.layers();
    let row = |name: &str| layers.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no row {name}"));
    for name in ["conv1 (Conv2d)", "1 (BatchNorm2d)", "2 (MaxPool2d)", "fc (Dense)", "loss"] {
        let row = row(name);
        assert!(row.seconds_in(Phase::Forward) > 0.0 && row.seconds_in(Phase::Backward) > 0.0, "{row:?}");
        assert_eq!(row.seconds_in(Phase::Evaluation), 0.0);
    }
    for name in ["optimizer", "buffers and constraints"] {
        assert!(row(name).seconds_in(Phase::Optimizer) > 0.0);
    }
    assert_eq!(layers.iter().map(|row| row.total.calls).sum::<u64>(), seen.total().calls);
    let output = Shapes::One(Shape::new(&[3]).unwrap());
    let names = ["conv1 (Conv2d)", "fc (Dense)"];
    let flops: u64 = names.iter().map(|name| products(&seen, name, Phase::Forward).0).sum();
    assert_eq!(flops, model.flops(&output) * SAMPLES as u64);
    // What is validated with is no training.
    let held = data(&[1, 8, 8]);
    let profiling = Profiling::start().unwrap();
    train(images(), &[1, 8, 8], FitOptions::new().validation(&held));
    let seen = profiling.stop();
    assert_eq!(products(&seen, "fc (Dense)", Phase::Forward), products(&seen, "fc (Dense)", Phase::Evaluation));
}

#[test]
fn what_the_backward_pass_computes_again_is_its_own() {
    let (plain, _) = profile(network(), &[6]);
    let (again, _) = profile(network().checkpoint_every(1), &[6]);
    let of = |profile: &Profile, phase| products(profile, "0 (Dense)", phase).1;
    assert_eq!(of(&again, Phase::Forward), of(&plain, Phase::Forward));
    assert_eq!(of(&again, Phase::Backward), of(&plain, Phase::Backward) + STEPS);
}

#[test]
fn a_profile_changes_no_bit() {
    let bits = |model: &Sequential| -> Vec<u32> {
        let values = model.state_dict().into_values();
        values.flat_map(|value| value.to_vec::<f32>().unwrap()).map(f32::to_bits).collect()
    };
    let (_, profiled) = profile(images(), &[1, 8, 8]);
    assert_eq!(bits(&profiled), bits(&train(images(), &[1, 8, 8], FitOptions::new())));
}

#[test]
fn a_trace_is_json_whose_events_lie_within_each_other() {
    let (seen, _) = profile(network(), &[6]);
    let trace: Json = serde_json::from_str(&seen.chrome_trace()).unwrap();
    let events: Vec<&Json> = trace["traceEvents"].as_array().unwrap().iter().filter(|e| e["ph"] == "X").collect();
    assert_eq!((events.len(), seen.events_left_out()), (seen.events(), 0));
    assert_eq!(events.iter().filter(|event| event["args"].get("bytes").is_some()).count() as u64, seen.total().calls);
    let mut open: Vec<(f64, &str)> = Vec::new();
    let mut within = Vec::new();
    for event in &events {
        let (begin, time) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
        let name = event["name"].as_str().unwrap();
        while open.last().is_some_and(|(end, _)| *end <= begin) {
            open.pop();
        }
        // Nanoseconds, in microseconds.
        assert!(open.iter().all(|(end, _)| begin + time <= end + 1e-4), "{event}");
        let around: Vec<&str> = open.iter().map(|(_, name)| *name).collect();
        within.push(format!("{}: {name} in {}", event["cat"].as_str().unwrap(), around.join(", ")));
        open.push((begin + time, name));
    }
    let expected = "forward: matmul in model (Sequential), 0 (Dense)";
    assert!(within.iter().any(|line| line == expected), "{within:#?}");
    let expected = "backward: matmul in backward pass, 0 (Dense)";
    assert!(within.iter().any(|line| line == expected), "{within:#?}");
    assert!(within.iter().any(|line| line == "optimizer: update Adam in optimizer"), "{within:#?}");
}
