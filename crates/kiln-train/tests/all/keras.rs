//! `fit` against Keras's (tests/fixtures): the numbers it reports epoch by epoch and the weights it leaves.

use kiln_datasets::{Dataset, Subset, TensorDataset};
use kiln_nn::*;
use kiln_optim::Sgd;
use kiln_tensor::{DType, Device, Tensor};
use kiln_train::*;

/// Epochs of the fixture's run that stops early.
const STOPPED: usize = 11;
const PATHS: [&str; 4] = ["0.weight", "0.bias", "1.weight", "1.bias"];

/// The fixture's values; Keras's kernels are (in, out), our weights (out, in).
fn fixture() -> StateDict {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fit.safetensors");
    let values = safetensors::read(path, &Device::cpu()).unwrap().into_iter();
    values
        .map(|(path, value)| if path.ends_with(".weight") { (path, value.t().unwrap()) } else { (path, value) })
        .collect()
}

/// The samples that Keras trains on with `validation_split=0.3`, and those that it validates with: the last.
fn split(data: &TensorDataset) -> [Subset<&TensorDataset>; 2] {
    let (samples, first) = (data.len(), data.len() * 7 / 10);
    [0..first, first..samples].map(|part| Subset::new(data, part).unwrap())
}

/// Runs a network as the fixture's script does, and compares all that Keras reports of this run.
fn compare(run: &str, first: Dense, rate: f64, options: FitOptions<'_>) {
    let values = fixture();
    let model = Sequential::new().push(first).push(Dense::new(3).activation(Activation::Softmax));
    let mut model = model.build_with(4, &mut Init::new(0, &Device::cpu()).dtype(DType::F64)).unwrap();
    for (path, parameter) in model.parameters_mut() {
        parameter.set(values[&format!("first/{path}")].clone()).unwrap();
    }
    let data = TensorDataset::new(values["x"].clone(), values["labels"].clone()).unwrap();
    let [training, validation] = split(&data);
    let validates = values.contains_key(&format!("{run}/val_loss"));
    let (data, options): (&dyn Dataset, _) =
        if validates { (&training, options.validation(&validation)) } else { (&data, options) };
    let mut trainer = compile(model, Sgd::new(rate), SparseCategoricalCrossentropy::new()).metric(Accuracy);
    let history = trainer.fit(data, options.batch_size(5).shuffle(false)).unwrap();

    let close = |what: &str, found: &[f64], expected: &Tensor| {
        let expected = expected.to_f64_vec().unwrap();
        assert_eq!(found.len(), expected.len(), "{run}/{what}");
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() < 1e-9, "{run}/{what}: {f}, Keras gives {e}");
        }
    };
    for (name, value) in [("loss", (|e| e.loss) as fn(&Evaluation) -> f64), ("accuracy", Evaluation::accuracy)] {
        let train: Vec<f64> = history.epochs.iter().map(|epoch| value(&epoch.train)).collect();
        close(name, &train, &values[&format!("{run}/{name}")]);
        if let Some(expected) = values.get(&format!("{run}/val_{name}")) {
            let validation: Vec<f64> =
                history.epochs.iter().map(|epoch| value(epoch.validation.as_ref().unwrap())).collect();
            close(&format!("val_{name}"), &validation, expected);
        }
    }
    let state = trainer.objective.state_dict();
    PATHS.iter().for_each(|&path| {
        close(path, &state[path].to_f64_vec().unwrap(), &values[&format!("{run}/{path}")]);
    });
}

fn dense() -> Dense {
    Dense::new(8).activation(Activation::Tanh)
}

#[test]
fn regularizers_count_in_every_loss() {
    let first = dense().kernel_regularizer(L2(0.03125)).activity_regularizer(L1(0.0625));
    compare("regularized", first, 0.5, FitOptions::new().epochs(3));
}

#[test]
fn classes_count_by_their_weights() {
    let options = FitOptions::new().epochs(3).class_weight(&[(2, 0.5), (0, 2.5)]);
    compare("class_weight", dense(), 0.5, options);
}

#[test]
fn training_stops_where_kerass_does() {
    let mut stopping = EarlyStopping::new().patience(3).min_delta(0.0078125).restore_best_weights(true);
    let options = || FitOptions::new().epochs(50);
    compare("stopped", dense(), 0.0625, options().callback(&mut stopping));
    // A second run begins afresh.
    compare("stopped", dense(), 0.0625, options().callback(&mut stopping));
    assert_eq!((stopping.best_epoch(), stopping.stopped_epoch()), (Some(STOPPED - 3), Some(STOPPED)));
    let mut stopping = EarlyStopping::new().monitor("accuracy");
    compare("no_patience", dense(), 0.5, FitOptions::new().epochs(50).callback(&mut stopping));
    assert_eq!((stopping.best_epoch(), stopping.stopped_epoch()), (Some(3), Some(4)));
}
