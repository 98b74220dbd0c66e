//! `fit`, `evaluate` and metrics of one number for each sample, whose targets may be (n,) or (n, 1).

use kiln_datasets::TensorDataset;
use kiln_nn::*;
use kiln_optim::Sgd;
use kiln_tensor::{Device, ErrorKind, Result, Tensor};
use kiln_train::{Accuracy, Evaluation, FitOptions, MeanMetric, compile};

/// A custom metric, which broadcasts whatever it is given.
struct Distance;

impl MeanMetric for Distance {
    fn name(&self) -> &'static str {
        "distance"
    }
    fn each(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
        predictions.sub(targets)?.abs()
    }
}

fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::cpu()).unwrap()
}

fn half() -> [Box<dyn Loss>; 4] {
    [
        Box::new(MeanSquaredError::new()),
        Box::new(MeanAbsoluteError::new()),
        Box::new(BinaryCrossentropy::new()),
        Box::new(BinaryCrossentropy::from_logits()),
    ]
}

/// What training and evaluation report, and the predictions.
fn trained(loss: Box<dyn Loss>, column: bool, targets: &[usize], weighted: bool) -> (Evaluation, Evaluation, Vec<f64>) {
    let layers = Sequential::new().push(Dense::new(1).activation(Activation::Sigmoid));
    let layers = if column { layers } else { layers.push(Reshape::new([])) };
    let mut trainer = compile(layers.build([2], &Device::cpu(), 1).unwrap(), Sgd::new(0.5), loss);
    trainer = trainer.metric(Accuracy).metric(Distance);
    let inputs = tensor(&[0.0, 1.0, 1.0, 0.5, 0.3, 0.7, 0.9, 0.1, 0.2, 0.2], &[5, 2]);
    let mut data = TensorDataset::new(inputs.clone(), tensor(&[1.0, 0.0, 1.0, 0.0, 0.0], targets)).unwrap();
    let mut options = FitOptions::new().epochs(3).batch_size(2);
    if weighted {
        data = data.sample_weights(tensor(&[1.0, 2.0, 0.5, 0.0, 1.0], &[5])).unwrap();
        options = options.class_weight(&[(1, 3.0)]);
    }
    let history = trainer.fit(&data, options).unwrap();
    let predictions = trainer.predict(&inputs).unwrap();
    assert_eq!(predictions.elements(), 5);
    let train = history.last().unwrap().train.clone();
    (train, trainer.evaluate(&data).unwrap(), predictions.to_f64_vec().unwrap())
}

#[test]
fn an_axis_of_one_number_makes_no_difference() {
    for number in 0..half().len() {
        for weighted in [false, true] {
            let of = |column, targets: &[usize]| {
                let [a, b, c, d] = half();
                trained([a, b, c, d].into_iter().nth(number).unwrap(), column, targets, weighted)
            };
            let same = of(true, &[5, 1]);
            for (column, targets) in [(true, &[5][..]), (false, &[5, 1]), (false, &[5])] {
                assert_eq!(of(column, targets), same, "{} {column} {targets:?}", half()[number].name());
            }
        }
    }
}

#[test]
fn metrics_pair_each_prediction_with_its_own_target() {
    for n in [0usize, 1, 4] {
        let values = |factor: usize| (0..n).map(|i| (i * factor % 5) as f32 / 4.0).collect::<Vec<f32>>();
        let shapes: [&[usize]; 3] = [&[n], &[n, 1], &[n, 1, 1]];
        for metric in [&Accuracy as &dyn MeanMetric, &Distance] {
            let sum = |p: &[usize], t: &[usize]| {
                let measured = metric.measure(&tensor(&values(3), p), &tensor(&values(2), t), None).unwrap();
                assert!(matches!(measured.count, kiln_train::Count::Known(count) if count == n as f64));
                measured.sum.item().unwrap()
            };
            let same = sum(&[n], &[n]);
            for (p, t) in shapes.iter().flat_map(|p| shapes.iter().map(move |t| (p, t))) {
                assert_eq!(sum(p, t), same, "{} of {p:?} and {t:?}", metric.name());
            }
        }
    }
    let error = Distance.measure(&tensor(&[0.0; 4], &[4, 1]), &tensor(&[0.0; 4], &[1, 4]), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert!(error.to_string().starts_with("distance: predictions have shape (4, 1), targets (1, 4); "), "{error}");
}

#[test]
fn a_wrong_number_of_targets_is_refused() {
    let model = Sequential::new().push(Dense::new(2)).build([2], &Device::cpu(), 1).unwrap();
    let mut trainer = compile(model, Sgd::new(0.5), MeanSquaredError::new());
    let data = TensorDataset::new(tensor(&[0.5; 10], &[5, 2]), tensor(&[1.0; 5], &[5])).unwrap();
    let error = trainer.fit(&data, FitOptions::new()).unwrap_err().to_string();
    let says = "predictions have shape (5, 2), targets (5,); the last layer's size must be that of the targets";
    assert_eq!(error, format!("mean_squared_error: {says}"));
}
