//! A last batch that is not full: left out by `drop_last`, and refused before the first step where it cannot be trained on.

use kiln_datasets::TensorDataset;
use kiln_nn::{BatchNorm1d, BatchNorm2d, Conv2d, Dense, Flatten, MeanSquaredError, Module, Sequential};
use kiln_optim::{Clip, Sgd};
use kiln_tensor::{Device, ErrorKind, Tensor};
use kiln_train::{FitOptions, Supervised, Trainer, compile};

fn numbers(dims: &[usize]) -> Tensor {
    let count = dims.iter().product();
    let numbers: Vec<f32> = (0..count).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
    Tensor::from_vec(numbers, dims, &Device::cpu()).unwrap()
}

fn data(samples: usize) -> TensorDataset {
    TensorDataset::new(numbers(&[samples, 3]), numbers(&[samples, 2])).unwrap()
}

type Model = Trainer<Supervised<Sequential, MeanSquaredError>, Sgd>;

fn trainer(norm: BatchNorm1d) -> Model {
    let layers = Sequential::new().push(Dense::new(4)).push_named("norm", norm).push(Dense::new(2));
    compile(layers.build([3], &Device::cpu(), 1).unwrap(), Sgd::new(0.1), MeanSquaredError::new())
}

fn weights(trainer: &Model) -> Vec<Vec<f64>> {
    trainer.objective.state_dict().values().map(|value| value.to_f64_vec().unwrap()).collect()
}

#[test]
fn one_sample_before_a_batch_normalization_is_refused_before_the_first_step() {
    let mut trainer = trainer(BatchNorm1d::new());
    let before = weights(&trainer);
    let mut begun = 0;
    let options = FitOptions::new().batch_size(4).seed(3).on_batch(|_| begun += 1);
    let error = trainer.fit(&data(9), options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert_eq!(
        error.to_string(),
        "fit: 9 training samples in batches of 4 leave a last batch of 1 sample, which this model cannot be trained on; leave \
         it out with FitOptions::drop_last, or choose another batch_size (model.norm (BatchNorm1d): batch_norm: more than one \
         element of each channel is needed in training, got (1, 4); use another batch size, leave out a last batch of 1 \
         sample with `drop_last`, or take `BatchNorm::keras`)"
    );
    assert_eq!((begun, trainer.steps(), weights(&trainer)), (0, 0, before), "nothing was trained");

    // The ways out, and what is no such batch.
    let fit = |norm: BatchNorm1d, samples: usize, options: FitOptions<'_>| {
        let mut trainer = self::trainer(norm);
        trainer.fit(&data(samples), options).map(|_| trainer.steps())
    };
    assert_eq!(fit(BatchNorm1d::new(), 9, FitOptions::new().batch_size(4).drop_last(true)).unwrap(), 2);
    assert_eq!(fit(BatchNorm1d::new(), 9, FitOptions::new().batch_size(5)).unwrap(), 2);
    assert_eq!(fit(BatchNorm1d::new(), 10, FitOptions::new().batch_size(4)).unwrap(), 3);
    assert_eq!(fit(BatchNorm1d::new().keras(), 9, FitOptions::new().batch_size(4)).unwrap(), 3);
    assert_eq!(fit(BatchNorm1d::new().frozen(true), 9, FitOptions::new().batch_size(4)).unwrap(), 3);
    // What is left by a validation split counts.
    let split = FitOptions::new().batch_size(4).validation_split(0.25);
    let error = fit(BatchNorm1d::new(), 12, split).unwrap_err().to_string();
    assert!(error.starts_with("fit: 9 training samples in batches of 4 leave"), "{error}");
}

#[test]
fn one_sample_of_several_positions_is_trained_on() {
    let model = Sequential::new()
        .push(Conv2d::new(2, 3))
        .push(BatchNorm2d::new())
        .push(Flatten::new())
        .push(Dense::new(2))
        .build([1, 6, 6], &Device::cpu(), 1)
        .unwrap();
    let data = TensorDataset::new(numbers(&[5, 1, 6, 6]), numbers(&[5, 2])).unwrap();
    let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
    trainer.fit(&data, FitOptions::new().batch_size(2)).unwrap();
    assert_eq!(trainer.steps(), 3);
}

#[test]
fn data_that_does_not_fit_is_not_taken_for_a_short_batch() {
    let mut trainer = trainer(BatchNorm1d::new());
    let data = TensorDataset::new(numbers(&[9, 5]), numbers(&[9, 2])).unwrap();
    let error = trainer.fit(&data, FitOptions::new().batch_size(4)).unwrap_err().to_string();
    assert!(error.starts_with("model.0 (Dense): linear: expected (…, 3)"), "{error}");
}

#[test]
fn drop_last_needs_a_full_batch() {
    let error = trainer(BatchNorm1d::new()).fit(&data(3), FitOptions::new().batch_size(4).drop_last(true)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Value);
    assert_eq!(
        error.to_string(),
        "fit: drop_last leaves out a batch that is not full, and 3 training samples do not fill one of 4: nothing is left to \
         train on; make batch_size 3 or smaller"
    );
    trainer(BatchNorm1d::new()).fit(&data(4), FitOptions::new().batch_size(4).drop_last(true)).unwrap();
}

/// In the data's order, what is left out makes no difference: also where gradients are clipped and classes weighted.
#[test]
fn what_is_left_out_makes_no_difference() {
    let labels = |samples: usize| {
        let labels: Vec<i64> = (0..samples as i64).map(|i| i % 2).collect();
        let labels = Tensor::from_vec(labels, [samples], &Device::cpu()).unwrap();
        TensorDataset::new(numbers(&[11, 3]).slice(0, 0..samples).unwrap(), labels).unwrap()
    };
    let fit = |data: &TensorDataset, drop_last: bool| {
        let model = Sequential::new().push(BatchNorm1d::new()).push(Dense::new(2));
        let model = model.build([3], &Device::cpu(), 1).unwrap();
        let optimizer = Sgd::new(0.5).clip_norm(0.1);
        let mut trainer = compile(model, optimizer, kiln_nn::SparseCategoricalCrossentropy::from_logits());
        let mut batches = Vec::new();
        let options = FitOptions::new().epochs(2).batch_size(4).shuffle(false).drop_last(drop_last);
        let options = options.class_weight(&[(1, 3.0)]).on_batch(|progress| {
            batches.push((progress.batch, progress.batches, progress.samples));
        });
        let history = trainer.fit(data, options).unwrap();
        let weights: Vec<Vec<f64>> =
            trainer.objective.state_dict().values().map(|value| value.to_f64_vec().unwrap()).collect();
        (batches, history.last().unwrap().train.loss, weights)
    };
    let dropped = fit(&labels(11), true);
    assert_eq!(dropped, fit(&labels(8), false));
    assert_eq!(dropped.0, [(1, 2, 4), (2, 2, 4), (1, 2, 4), (2, 2, 4)]);
}
