//! Parameters and buffers keep their memory: a step, a load and a snapshot write into it, and whoever shares it sees no change.

use kiln_autograd::Var;
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_tensor::{DType, Device, Tensor};

fn model(seed: u64) -> Sequential {
    let layers = Sequential::new().push(Dense::new(3)).push(BatchNorm1d::new()).push(Dense::new(2));
    layers.build([4], &Device::cpu(), seed).unwrap()
}

fn x(seed: u64) -> Var {
    let stream = RandomStream::new(seed, Purpose::Data, 0);
    Var::constant(Tensor::uniform([5, 4], -1.0, 1.0, DType::F32, &Device::cpu(), stream).unwrap())
}

/// Where every value is in memory.
fn places(model: &Sequential) -> Vec<usize> {
    model.state_dict().values().map(Tensor::storage_id).collect()
}

fn values(state: &StateDict) -> Vec<Vec<f64>> {
    state.values().map(|value| value.to_f64_vec().unwrap()).collect()
}

/// A forward pass of training and its commit.
fn step(model: &mut Sequential, seed: u64, applies: Option<bool>) {
    let ctx = Ctx::train(1, seed);
    model.forward(x(seed), &ctx).unwrap();
    match applies {
        None => ctx.commit(model).unwrap(),
        Some(applies) => {
            let applies = Tensor::scalar(applies, &Device::cpu()).unwrap();
            Ctx::commit_all(std::slice::from_ref(&ctx), model, Some(&applies)).unwrap();
        }
    }
}

#[test]
fn a_commit_writes_into_the_buffers_memory() {
    let mut model = model(1);
    let (before, old) = (places(&model), values(&model.state_dict()));
    (0..3).for_each(|seed| step(&mut model, seed, None));
    assert_eq!(places(&model), before);
    assert_ne!(values(&model.state_dict()), old);
}

#[test]
fn a_step_that_does_not_apply_changes_no_buffer() {
    let (mut model, mut twin) = (model(1), model(1));
    step(&mut model, 1, Some(true));
    step(&mut twin, 1, None);
    assert_eq!(values(&model.state_dict()), values(&twin.state_dict()));
    let before = places(&model);
    step(&mut model, 2, Some(false));
    assert_eq!(values(&model.state_dict()), values(&twin.state_dict()));
    assert_eq!(places(&model), before);
}

#[test]
fn whoever_shares_a_value_keeps_it() {
    let mut model = model(1);
    let kept = model.state_dict();
    let old = values(&kept);
    step(&mut model, 1, None);
    model.load_state_dict(&self::model(2).state_dict(), true).unwrap();
    assert_eq!(values(&kept), old);
    assert_ne!(values(&model.state_dict()), old);
}

#[test]
fn loading_writes_into_the_parameters_memory() {
    let (mut model, other) = (model(1), model(2).state_dict());
    let before = places(&model);
    model.load_state_dict(&other, true).unwrap();
    assert_eq!((places(&model), values(&model.state_dict())), (before.clone(), values(&other)));
    // Other float types are converted on the way.
    let doubles = |(path, value): (&String, &Tensor)| (path.clone(), value.to_dtype(DType::F64).unwrap());
    let doubles = self::model(3).state_dict().iter().map(doubles).collect();
    model.load_state_dict(&doubles, true).unwrap();
    assert_eq!((places(&model), values(&model.state_dict())), (before.clone(), values(&doubles)));
    // Its own values are there already.
    model.load_state_dict(&model.state_dict(), true).unwrap();
    assert_eq!(places(&model), before);
}

#[test]
fn a_refused_load_changes_nothing() {
    let mut model = model(1);
    let (before, old) = (places(&model), values(&model.state_dict()));
    let mut other = self::model(2).state_dict();
    other.insert("2.weight".to_owned(), Tensor::ones([3, 3], DType::F32, &Device::cpu()).unwrap());
    assert!(model.load_state_dict(&other, true).is_err());
    assert_eq!((places(&model), values(&model.state_dict())), (before, old));
}

#[test]
fn a_snapshot_has_memory_of_its_own_and_moves_nothing() {
    let mut model = model(1);
    let before = places(&model);
    let mut snapshot = Snapshot::new();
    assert!(snapshot.is_empty() && snapshot.restore(&mut model).is_err());
    snapshot.take(&model).unwrap();
    let kept: Vec<usize> = snapshot.state_dict().values().map(Tensor::storage_id).collect();
    step(&mut model, 1, None);
    let old = values(&model.state_dict());
    snapshot.take(&model).unwrap();
    assert_eq!(snapshot.state_dict().values().map(Tensor::storage_id).collect::<Vec<_>>(), kept);
    step(&mut model, 2, None);
    assert_ne!(values(&model.state_dict()), old);
    snapshot.restore(&mut model).unwrap();
    assert_eq!((places(&model), values(&model.state_dict())), (before, old));
    let mut another = Sequential::new().push(Dense::new(3)).build([4], &Device::cpu(), 1).unwrap();
    assert!(snapshot.restore(&mut another).is_err());
}

#[test]
fn carried_states_are_read_and_set_by_path() {
    let recurrent = || {
        let layers = Sequential::new().push(Lstm::new(3).stateful(true)).push(Dense::new(1));
        layers.build([4, 2], &Device::cpu(), 1).unwrap()
    };
    let (first, second) = (recurrent(), recurrent());
    let x = |seed| {
        let stream = RandomStream::new(seed, Purpose::Data, 0);
        Var::constant(Tensor::uniform([2, 4, 2], -1.0, 1.0, DType::F32, &Device::cpu(), stream).unwrap())
    };
    let y = |model: &Sequential, seed| model.forward(x(seed), &Ctx::train(1, seed)).unwrap().tensor().to_f64_vec();
    assert!(first.carried_states().is_empty());
    y(&first, 1).unwrap();
    let states = first.carried_states();
    assert_eq!(states.keys().collect::<Vec<_>>(), ["0.carried.training[0#0].0", "0.carried.training[0#0].1"]);
    second.set_carried_states(&states).unwrap();
    assert_eq!(y(&first, 2).unwrap(), y(&second, 2).unwrap());
    assert_eq!(first.carried_states().len(), 2, "a copy was given out");
    // What is not named is forgotten; a strange name is refused and forgets nothing.
    let strange = StateDict::from([("1.carried.training[1#0].0".to_owned(), x(1).into_tensor())]);
    let error = second.set_carried_states(&strange).unwrap_err().to_string();
    assert!(error.contains("`1.carried.training[1#0].0`") && error.contains("nothing was changed"), "{error}");
    assert_eq!(second.carried_states().len(), 2);
    second.set_carried_states(&StateDict::new()).unwrap();
    assert!(second.carried_states().is_empty());
}
