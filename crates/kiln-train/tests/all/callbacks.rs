//! Callbacks, splits and weights: what they see, when they stop, and what is refused.

use kiln_datasets::{Batch, Dataset, Pass, TensorDataset};
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_optim::Sgd;
use kiln_tensor::{DType, Device, Result, Tensor};
use kiln_train::*;
use std::sync::Mutex;

fn cpu() -> Device {
    Device::cpu()
}

/// Twenty points of three classes; their targets as labels.
fn points() -> (Tensor, Tensor) {
    let x = Tensor::uniform([20, 2], -1.0, 1.0, DType::F32, &cpu(), RandomStream::new(3, Purpose::Data, 0)).unwrap();
    let labels: Vec<i64> = (0..20).map(|i| i * i % 3).collect();
    (x, Tensor::from_slice(&labels, [20], &cpu()).unwrap())
}

fn data() -> TensorDataset {
    let (x, labels) = points();
    TensorDataset::new(x, labels).unwrap()
}

fn trainer<L: Loss>(loss: L) -> Trainer<Supervised<Sequential, L>, Sgd> {
    let model = Sequential::new().push(Dense::new(3).activation(Activation::Softmax)).build([2], &cpu(), 1).unwrap();
    compile(model, Sgd::new(0.3), loss).metric(Accuracy)
}

/// Every bit of every parameter after a fit.
fn trained<L: Loss>(loss: L, data: &dyn Dataset, options: FitOptions<'_>) -> Vec<u32> {
    let mut trainer = trainer(loss);
    trainer.fit(data, options.batch_size(7).seed(5)).unwrap();
    let parameters = trainer.objective.parameters();
    parameters.iter().flat_map(|(_, p)| p.value().to_vec::<f32>().unwrap()).map(f32::to_bits).collect()
}

/// Notes what it sees, and stops after an epoch.
#[derive(Default)]
struct Notes {
    lines: Vec<String>,
    stop_after: usize,
}

impl Callback for Notes {
    fn on_fit_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.lines.push(run.reported().join(" "));
        Ok(())
    }
    fn on_epoch_end(&mut self, run: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        self.lines.push(format!("{}: {} parameters", record.epoch, run.model.parameter_count()));
        if record.epoch == self.stop_after {
            run.stop();
        }
        Ok(())
    }
    fn on_fit_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        // The model is its own to change.
        run.model.set_trainable(false);
        self.lines.push("end".to_owned());
        Ok(())
    }
}

#[test]
fn callbacks_see_every_epoch_and_one_is_enough_to_stop() {
    let (mut first, mut second) = (Notes { stop_after: 2, ..Notes::default() }, Notes::default());
    let mut trainer = trainer(SparseCategoricalCrossentropy::new());
    let options = FitOptions::new().epochs(5).validation_split(0.2).callback(&mut first).callback(&mut second);
    let mut epochs = 0;
    let history = trainer.fit(&data(), options.on_epoch(|_| epochs += 1)).unwrap();
    assert_eq!((history.epochs.len(), epochs), (2, 2));
    assert_eq!(first.lines, ["loss accuracy val_loss val_accuracy", "1: 9 parameters", "2: 9 parameters", "end"]);
    assert_eq!(first.lines, second.lines);
    assert!(trainer.objective.parameters().iter().all(|(_, parameter)| !parameter.trainable()));
    let last = history.last().unwrap();
    assert_eq!(last.value("val_loss"), last.validation.as_ref().map(|v| v.loss));
    assert_eq!((last.value("accuracy"), last.value("val_f1")), (Some(last.train.accuracy()), None));
}

#[test]
fn the_best_weights_come_back_and_are_not_those_of_the_end() {
    let keep = |restore: bool, epochs: usize| {
        let (mut seen, mut stopping) = (Vec::new(), EarlyStopping::new().patience(4).restore_best_weights(restore));
        let mut trainer = trainer(SparseCategoricalCrossentropy::new());
        let options = FitOptions::new().epochs(epochs).batch_size(4).validation_split(0.4).callback(&mut stopping);
        trainer.fit(&data(), options.on_epoch(|record| seen.push(record.value("val_loss").unwrap()))).unwrap();
        let data = data();
        let [_, held_out] = data.split_stratified(0.4, 0).unwrap();
        (seen, stopping, trainer.evaluate(&held_out).unwrap().loss)
    };
    let (seen, stopping, loss) = keep(true, 200);
    let best = seen.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(stopping.stopped_epoch(), Some(seen.len()));
    assert_eq!(seen[stopping.best_epoch().unwrap() - 1], best);
    assert_eq!(loss, best);
    let (seen, _, loss) = keep(false, 200);
    assert!(loss == *seen.last().unwrap() && loss > best);
    // As in Keras, also where there was no need to stop.
    let (seen, stopping, loss) = keep(true, stopping.best_epoch().unwrap() + 2);
    assert!(stopping.stopped_epoch().is_none() && loss == best && *seen.last().unwrap() > best);
}

#[test]
fn early_stopping_says_what_it_cannot_do() {
    let refused = |stopping: EarlyStopping| {
        let mut trainer = trainer(SparseCategoricalCrossentropy::new());
        let error = trainer.fit(&data(), FitOptions::new().callback(stopping)).unwrap_err().to_string();
        assert_eq!(trainer.steps(), 0, "nothing is trained");
        error
    };
    let error = refused(EarlyStopping::new());
    assert!(error.contains("`val_loss`, only loss, accuracy; give `fit` data to validate on"), "{error}");
    let error = refused(EarlyStopping::new().monitor("los"));
    assert!(error.contains("`los`, only loss, accuracy") && !error.contains("give"), "{error}");
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(refused(EarlyStopping::new().monitor("loss").min_delta(bad)).contains("min_delta"));
    }
}

#[test]
fn a_threshold_ends_the_training() {
    let fit = |callback: TerminateOn| {
        let mut trainer = trainer(SparseCategoricalCrossentropy::new());
        let mut losses = Vec::new();
        let options = FitOptions::new().epochs(30).validation_split(0.2).callback(callback);
        trainer.fit(&data(), options.on_epoch(|record| losses.push(record.train.loss)))?;
        Ok::<_, kiln_tensor::Error>(losses)
    };
    let all = fit(TerminateOn::new("loss").below(0.0)).unwrap();
    assert!(all.len() == 30 && all[9] < all[0]);
    assert_eq!(fit(TerminateOn::new("loss").below(all[9] + 1e-9)).unwrap(), all[..10]);
    assert_eq!(fit(TerminateOn::new("loss").above(all[0] - 1e-9)).unwrap(), all[..1]);
    for bad in [TerminateOn::new("loss"), TerminateOn::new("loss").below(f64::NAN)] {
        assert!(fit(bad).unwrap_err().to_string().contains("say `below` or `above`"));
    }
    let error = fit(TerminateOn::new("val_f1").above(0.9)).unwrap_err().to_string();
    assert!(error.contains("`val_f1`, only loss, accuracy, val_loss, val_accuracy"), "{error}");
}

/// A number whose better side nobody knows.
struct Label;

impl MeanMetric for Label {
    fn name(&self) -> &'static str {
        "label"
    }
    fn each(&self, _: &Tensor, targets: &Tensor) -> Result<Tensor> {
        targets.to_dtype(DType::F32)
    }
}

#[test]
fn a_metric_of_ones_own_needs_a_direction() {
    let fit = |stopping: EarlyStopping| {
        let options = FitOptions::new().epochs(9).callback(stopping.monitor("label"));
        trainer(SparseCategoricalCrossentropy::new()).metric(Label).fit(&data(), options)
    };
    let error = fit(EarlyStopping::new()).unwrap_err().to_string();
    assert!(error.contains("larger_is_better"), "{error}");
    // It never changes: the second epoch is no better than the first.
    assert_eq!(fit(EarlyStopping::new().larger_is_better(true)).unwrap().epochs.len(), 2);
    assert_eq!(fit(EarlyStopping::new().larger_is_better(false).patience(3)).unwrap().epochs.len(), 4);
}

#[test]
fn a_split_is_the_data_sets_by_class_and_trains_on_the_rest() {
    let data = data();
    let [training, held_out] = data.split_stratified(0.3, 5).unwrap();
    let run = |data: &dyn Dataset, options: FitOptions<'_>| {
        let mut seen = Vec::new();
        let note = |record: &EpochRecord| seen.push((record.train.clone(), record.validation.clone()));
        let weights = trained(SparseCategoricalCrossentropy::new(), data, options.epochs(2).on_epoch(note));
        (weights, seen)
    };
    let split = run(&data, FitOptions::new().validation_split(0.3));
    assert_eq!(split, run(&training, FitOptions::new().validation(&held_out)));
    // Repeatable.
    assert_eq!(split, run(&data, FitOptions::new().validation_split(0.3)));
}

/// Which samples are asked for: their number is their input.
struct Sorted<'a> {
    data: TensorDataset,
    validated: &'a Mutex<Vec<usize>>,
}

impl Dataset for Sorted<'_> {
    fn len(&self) -> usize {
        self.data.len()
    }
    fn input_shape(&self) -> &[usize] {
        self.data.input_shape()
    }
    fn class_labels(&self) -> Result<Option<Vec<i64>>> {
        self.data.class_labels()
    }
    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch> {
        self.validated.lock().unwrap().extend(indices);
        self.data.batch(indices, upcoming, device)
    }
    fn training_batch(&self, indices: &[usize], upcoming: &[usize], _: Pass, device: &Device) -> Result<Batch> {
        self.data.batch(indices, upcoming, device)
    }
}

#[test]
fn data_that_is_sorted_by_class_is_validated_on_every_class() {
    let validated = Mutex::new(Vec::new());
    let x = Tensor::ones([60, 2], DType::F32, &cpu()).unwrap();
    let labels: Vec<i64> = (0..60).map(|sample| sample / 20).collect();
    let labels = Tensor::from_slice(&labels, [60], &cpu()).unwrap();
    let chosen = |targets: &Tensor, seed| {
        let data = Sorted { data: TensorDataset::new(x.clone(), targets.clone()).unwrap(), validated: &validated };
        let options = FitOptions::new().batch_size(7).seed(seed).validation_split(0.25);
        if targets.dtype().is_float() {
            let model = Sequential::new().push(Dense::new(1)).build([2], &cpu(), 1).unwrap();
            compile(model, Sgd::new(0.01), MeanSquaredError::new()).fit(&data, options).unwrap();
        } else {
            trainer(SparseCategoricalCrossentropy::new()).fit(&data, options).unwrap();
        }
        std::mem::take(&mut *validated.lock().unwrap())
    };
    let by_class = chosen(&labels, 1);
    let of_class = |class| by_class.iter().filter(|&&sample| sample / 20 == class).count();
    assert_eq!([0, 1, 2].map(of_class), [5; 3]);
    assert_ne!(by_class, chosen(&labels, 2));
    // Values to be predicted are chosen at random among all.
    let values = labels.to_dtype(DType::F32).unwrap().reshape([60, 1]).unwrap();
    let of_values = chosen(&values, 1);
    assert!(of_values.len() == 15 && of_values[0] < 20 && of_values[14] >= 40, "{of_values:?}");
}

#[test]
fn splits_that_leave_nothing_are_refused() {
    let refused = |options: FitOptions<'_>| {
        let mut trainer = trainer(SparseCategoricalCrossentropy::new());
        trainer.fit(&data(), options).unwrap_err().to_string()
    };
    for fraction in [0.0, 1.0, -0.2, 1.5, f64::NAN, f64::INFINITY] {
        let error = refused(FitOptions::new().validation_split(fraction));
        assert!(error.contains("validation_split") && error.contains("above 0 and below 1"), "{error}");
    }
    for (fraction, part) in [(0.999, "first"), (1e-18, "second")] {
        let error = refused(FitOptions::new().validation_split(fraction));
        assert!(error.contains(part) && error.contains("there are 20 samples"), "{error}");
    }
    let more = data();
    assert!(refused(FitOptions::new().validation(&more).validation_split(0.5)).contains("one or the other"));
}

/// The same classes by every form of target have the same weights, and they are those of each sample.
#[test]
fn class_weights_are_sample_weights() {
    let (x, labels) = points();
    let weights: Vec<f32> = labels.to_vec::<i64>().unwrap().iter().map(|&l| [0.25, 1.0, 3.0][l as usize]).collect();
    let by_sample = data().sample_weights(Tensor::from_slice(&weights, [20], &cpu()).unwrap()).unwrap();
    let sparse = SparseCategoricalCrossentropy::new();
    let expected = trained(sparse, &by_sample, FitOptions::new().epochs(2));
    assert_ne!(expected, trained(sparse, &data(), FitOptions::new().epochs(2)));

    let options = || FitOptions::new().epochs(2).class_weight(&[(2, 3.0), (0, 0.25), (77, 5.0)]);
    let with = |targets: Tensor| TensorDataset::new(x.clone(), targets).unwrap();
    assert_eq!(trained(sparse, &data(), options()), expected);
    assert_eq!(trained(sparse, &with(labels.to_dtype(DType::U8).unwrap()), options()), expected);
    assert_eq!(trained(sparse, &with(labels.reshape([20, 1]).unwrap()), options()), expected);
    let one_hot = labels.one_hot(3).unwrap().to_dtype(DType::F32).unwrap();
    let categorical = CategoricalCrossentropy::new();
    let one_hot_weighted = with(one_hot.clone()).sample_weights(Tensor::from_slice(&weights, [20], &cpu()).unwrap());
    assert_eq!(
        trained(categorical, &with(one_hot), options()),
        trained(categorical, &one_hot_weighted.unwrap(), FitOptions::new().epochs(2)),
    );
}

#[test]
fn weights_of_classes_and_of_samples_are_multiplied() {
    let (_, labels) = points();
    let own: Vec<f32> = (0..20).map(|i| (i % 4) as f32).collect();
    let by_class = |label: i64| [0.25, 1.0, 3.0][label as usize];
    let both: Vec<f32> = own.iter().zip(labels.to_vec::<i64>().unwrap()).map(|(w, l)| w * by_class(l)).collect();
    let with = |weights: &[f32]| data().sample_weights(Tensor::from_slice(weights, [20], &cpu()).unwrap()).unwrap();
    let sparse = SparseCategoricalCrossentropy::new();
    let options = FitOptions::new().epochs(2);
    let found = trained(sparse, &with(&own), FitOptions::new().epochs(2).class_weight(&[(2, 3.0), (0, 0.25)]));
    assert_eq!(found, trained(sparse, &with(&both), options));
}

#[test]
fn class_weights_that_make_no_sense_are_refused() {
    let refused = |data: &dyn Dataset, weights: &[(usize, f64)]| {
        let mut trainer = trainer(SparseCategoricalCrossentropy::new());
        trainer.fit(data, FitOptions::new().class_weight(weights)).unwrap_err().to_string()
    };
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(refused(&data(), &[(0, 1.0), (1, bad)]).contains("class 1 with weight"));
    }
    assert!(refused(&data(), &[(1, 2.0), (1, 2.0)]).contains("already"));
    assert!(refused(&data(), &[(usize::MAX, 2.0)]).contains("not a class"));
    let (x, _) = points();
    let cubes = TensorDataset::new(x, Tensor::zeros([20, 2, 2], DType::F32, &cpu()).unwrap()).unwrap();
    assert!(refused(&cubes, &[(1, 2.0)]).contains("labels of integers are expected"));
}

#[test]
fn weights_of_another_number_than_the_samples_are_refused() {
    let weights = |count: usize| Tensor::ones([count], DType::F32, &cpu()).unwrap();
    assert!(data().sample_weights(weights(19)).unwrap_err().to_string().contains("one float a sample"));
    assert!(data().sample_weights(weights(20).to_dtype(DType::I64).unwrap()).is_err());
    // Without the check they would be repeated along the batch.
    let model = trainer(SparseCategoricalCrossentropy::new());
    let (x, labels) = points();
    let batch = Batch { weights: weights(1).into(), ..Batch::new(x, labels) };
    let error = model.objective.loss(&batch, &Ctx::eval()).err().unwrap().to_string();
    assert!(error.contains("one for each sample"), "{error}");
}
