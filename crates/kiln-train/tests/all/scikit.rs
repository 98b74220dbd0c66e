//! Metrics against scikit-learn's (tests/fixtures), whole and in batches, with weights and masks; what is refused and what is undefined.

use kiln_autograd::Var;
use kiln_datasets::{SequenceDataset, TensorDataset};
use kiln_nn::*;
use kiln_optim::Sgd;
use kiln_tensor::{DType, Device, Tensor};
use kiln_train::*;

fn cpu() -> Device {
    Device::cpu()
}

fn fixtures() -> StateDict {
    safetensors::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/metrics.safetensors"), &cpu()).unwrap()
}

/// The value of batches of this size, some rows of which a mask leaves out where it is asked for.
fn in_batches(
    metric: &dyn Metric,
    data: &[&Tensor; 2],
    weights: Option<&Tensor>,
    size: usize,
    masked: bool,
) -> MetricValue {
    let mut state = MetricState::default();
    let count = data[0].dims()[0];
    for first in (0..count).step_by(size) {
        let part = |t: &Tensor| t.slice(0, first..(first + size).min(count)).unwrap();
        let [mut p, mut t] = data.map(part);
        let (mut weights, mut mask) = (weights.map(part), None);
        if masked {
            // As many rows again, of which nothing counts.
            let rows = p.dims()[0];
            let counts: Vec<bool> = (0..2 * rows).map(|row| row < rows).collect();
            mask = Some(Tensor::from_slice(&counts, [2 * rows], &cpu()).unwrap());
            let wrong = |t: &Tensor, value: f64| Tensor::full(*t.shape(), value, t.dtype(), &cpu()).unwrap();
            p = Tensor::concat(&[&p, &wrong(&p, f64::NAN)], 0).unwrap();
            t = Tensor::concat(&[&t, &wrong(&t, if t.dtype().is_float() { f64::NAN } else { -1.0 })], 0).unwrap();
            weights = weights.map(|w| Tensor::concat(&[&w, &w], 0).unwrap());
        }
        let output = Var::from(&p);
        let seen = Seen { mask: mask.as_ref(), weights: weights.as_ref(), ..Seen::new(&output, &t) };
        metric.update(&mut state, &seen).unwrap_or_else(|error| panic!("{}: {error}", metric.name()));
    }
    metric.value(&state).unwrap()
}

fn close(name: &str, found: &MetricValue, expected: &Tensor) {
    let found = found.table().map_or_else(|| vec![found.number()], |table| table.values().to_vec());
    let expected = expected.to_f64_vec().unwrap();
    assert_eq!(found.len(), expected.len(), "{name}");
    for (f, e) in found.into_iter().zip(expected) {
        assert!((f - e).abs() < 1e-9 * (1.0 + e.abs()), "{name}: {f}, scikit-learn gives {e}");
    }
}

type Case = (String, Box<dyn Metric>, [&'static str; 2]);

fn cases() -> Vec<Case> {
    let classes = ["p", "y"];
    let one = ["probability", "binary"];
    let mut cases: Vec<Case> = Vec::new();
    let mut add = |name: &str, metric: Box<dyn Metric>, of| cases.push((name.to_owned(), metric, of));
    macro_rules! ratios {
        ($($metric:ident $name:literal;)+) => {$(
            add(concat!($name, "/binary"), Box::new($metric::new().threshold(0.3)), one);
            for (word, average) in
                [("micro", ClassAverage::Micro), ("macro", ClassAverage::Macro), ("weighted", ClassAverage::Weighted)]
            {
                add(&format!("{}/{word}", $name), Box::new($metric::new().average(average)), classes);
                let several = $metric::new().average(average).multilabel().threshold(0.3);
                add(&format!("{}/multilabel_{word}", $name), Box::new(several), ["p", "labels"]);
            }
            add(concat!($name, "/per_class"), Box::new($metric::new().average(ClassAverage::PerClass)), classes);
        )+};
    }
    ratios! { Precision "precision"; Recall "recall"; F1 "f1"; }
    add("cohen_kappa", Box::new(CohenKappa::new()), classes);
    add("cohen_kappa/binary", Box::new(CohenKappa::new().threshold(0.3)), one);
    add("matthews", Box::new(Matthews::new()), classes);
    add("matthews/binary", Box::new(Matthews::new().threshold(0.3)), one);
    add("confusion_matrix", Box::new(ConfusionMatrix::new()), classes);
    add("iou", Box::new(Iou::new()), classes);
    add("iou/1", Box::new(Iou::new().class(1)), classes);
    add("accuracy", Box::new(Accuracy), classes);
    add("binary_accuracy", Box::new(BinaryAccuracy::new().threshold(0.3)), one);
    add("multilabel_accuracy", Box::new(MultilabelAccuracy::new().threshold(0.3)), ["p", "labels"]);
    add("auc", Box::new(Auc::new()), one);
    add("auc/11", Box::new(Auc::new().thresholds(11)), one);
    add("auc/labels", Box::new(Auc::new()), ["p", "labels"]);
    add("auc/classes", Box::new(Auc::new()), ["p", "every"]);
    // Scores are hundredths: with as many thresholds nothing is lost.
    add("auc", Box::new(Auc::new().thresholds(201)), one);
    add("average_precision", Box::new(AveragePrecision::new()), one);
    add("average_precision", Box::new(AveragePrecision::new().thresholds(201)), one);
    add("average_precision/labels", Box::new(AveragePrecision::new()), ["p", "labels"]);
    add("mse", Box::new(Mse), ["numbers", "wanted"]);
    add("mae", Box::new(Mae), ["numbers", "wanted"]);
    add("rmse", Box::new(Rmse), ["numbers", "wanted"]);
    add("mape", Box::new(Mape), ["numbers", "wanted"]);
    add("r2", Box::new(R2), ["numbers", "wanted"]);
    add("top_k", Box::new(TopKAccuracy::new(2)), ["apart", "every"]);
    add("perplexity", Box::new(Perplexity::new()), ["positive", "every"]);
    cases
}

#[test]
fn values_are_scikit_learns_whole_and_in_batches() {
    let values = fixtures();
    for (name, metric, of) in cases() {
        let data = of.map(|name| &values[name]);
        for (how, weights) in [("plain", None), ("weighted", Some(&values["weights"]))] {
            let expected = &values[&format!("{how}/{name}")];
            for (size, masked) in [(90, false), (7, false), (32, true)] {
                let found = in_batches(&*metric, &data, weights, size, masked);
                close(&format!("{how}/{name} in batches of {size}, masked {masked}"), &found, expected);
            }
        }
    }
}

#[test]
fn columns_logits_and_one_hot_targets_give_the_same() {
    let values = fixtures();
    let (p, y) = (&values["p"], &values["y"]);
    let one_hot = y.one_hot(4).unwrap();
    let (probability, binary) = (&values["probability"], &values["binary"]);
    let column = |t: &Tensor| t.unsqueeze(1).unwrap();
    let logits = probability.affine(0.98, 0.01).unwrap();
    let logits = logits.div(&logits.affine(-1.0, 1.0).unwrap()).unwrap().ln().unwrap();
    // Maps (n, classes, 1, 1) with labels (n, 1, 1), classes along axis 1.
    let maps = p.reshape([90, 4, 1, 1]).unwrap();
    let of_maps = y.reshape([90, 1, 1]).unwrap();
    let last = maps.permute(&[0, 2, 3, 1]).unwrap();
    let f1 = F1::new().average(ClassAverage::Macro);
    let same = f1.of(p, y).unwrap();
    assert_eq!(f1.of(p, &one_hot).unwrap(), same);
    assert_eq!(f1.of(&maps, &of_maps).unwrap(), same);
    assert_eq!(f1.axis(-1).of(&last, &of_maps).unwrap(), same);
    assert_eq!(Iou::new().of(&maps, &of_maps).unwrap(), Iou::new().of(p, y).unwrap());
    assert_eq!(Auc::new().of(&maps, &of_maps).unwrap(), Auc::new().of(p, y).unwrap());
    assert_eq!(TopKAccuracy::new(2).of(p, &one_hot).unwrap(), TopKAccuracy::new(2).of(&maps, &of_maps).unwrap());
    let binary_f1 = F1::new().of(probability, binary).unwrap();
    assert_eq!(F1::new().of(&column(probability), binary).unwrap(), binary_f1);
    assert_eq!(F1::new().of(&column(probability), &column(binary)).unwrap(), binary_f1);
    assert_eq!(F1::new().of(probability, &binary.to_dtype(DType::F32).unwrap()).unwrap(), binary_f1);
    // Two outputs are two classes.
    let pair = Tensor::stack(&[&probability.affine(-1.0, 1.0).unwrap(), probability], 1).unwrap();
    assert_eq!(F1::new().of(&pair, binary).unwrap(), binary_f1);
    let at = |threshold: f64| F1::new().from_logits().threshold(threshold);
    assert_eq!(
        at(0.3).of(&logits, binary).unwrap(),
        F1::new().threshold((0.3 - 0.01) / 0.98).of(probability, binary).unwrap()
    );
    assert_eq!(
        BinaryAccuracy::from_logits().of(&logits, binary).unwrap(),
        BinaryAccuracy::new().of(probability, binary).unwrap()
    );
    assert_eq!(Auc::new().of(&logits, binary).unwrap(), Auc::new().of(&column(probability), binary).unwrap());
    let log = p.affine(1.0, 0.01).unwrap().ln().unwrap();
    let soft = Var::from(&log).softmax(1).unwrap();
    let perplexity = |metric: Perplexity, output: &Var| {
        let mut state = MetricState::default();
        metric.update(&mut state, &Seen::new(output, y)).unwrap();
        metric.value(&state).unwrap()
    };
    assert_eq!(perplexity(Perplexity::new(), &soft), perplexity(Perplexity::from_logits(), &Var::from(&log)));
}

fn binary_trainer() -> Trainer<Supervised<Sequential, BinaryCrossentropy>, Sgd> {
    let model = Sequential::new().push(Dense::new(1).activation(Activation::Sigmoid)).build([1], &cpu(), 1).unwrap();
    compile(model, Sgd::new(0.1), BinaryCrossentropy::new())
}

#[test]
fn an_auc_of_one_class_is_undefined_and_says_why() {
    let x = Tensor::from_slice(&[0.0f32, 1.0, 2.0, 3.0], [4, 1], &cpu()).unwrap();
    let ones = Tensor::ones([4, 1], DType::F32, &cpu()).unwrap();
    let data = TensorDataset::new(x.clone(), ones).unwrap();
    let mut trainer =
        binary_trainer().metric(Auc::new()).metric(AveragePrecision::new()).metric(ConfusionMatrix::new());
    let history = trainer.fit(&data, FitOptions::new().batch_size(3).drop_last(true)).unwrap();
    let last = history.last().unwrap();
    assert!(last.value("auc").unwrap().is_nan() && last.value("average_precision") == Some(1.0));
    let why = "all targets are positive: targets of both classes are needed";
    assert_eq!(last.train.undefined("auc"), Some(why));
    assert!(last.line(1).ends_with(&format!("(auc: {why})")), "{}", last.line(1));
    let evaluation = trainer.evaluate(&data).unwrap();
    let table = evaluation.table("confusion_matrix").unwrap();
    assert_eq!((table.rows(), table.columns(), table.values().iter().sum::<f64>()), (2, 2, 4.0));
    assert_eq!(table.get(0, 1), Some(0.0));
    assert!(history.to_csv().starts_with("epoch,loss,auc,average_precision,seconds"));
    let p = Tensor::from_slice(&[0.5f32, 0.2], [2], &cpu()).unwrap();
    let undefined = |metric: &dyn Metric, p: &Tensor, t: &[i64]| {
        let t = Tensor::from_slice(t, [t.len()], &cpu()).unwrap();
        let MetricValue::Undefined(why) = metric.of(p, &t).unwrap() else { panic!("{} has a value", metric.name()) };
        why
    };
    assert!(undefined(&Auc::new(), &p, &[0, 0]).starts_with("all targets are negative"));
    assert_eq!(undefined(&AveragePrecision::new(), &p, &[0, 0]), "no target is positive");
    assert!(undefined(&CohenKappa::new(), &p, &[0, 0]).starts_with("all targets and predictions are of one class"));
    assert_eq!(undefined(&Iou::new().class(1), &p, &[0, 0]), "no target and no prediction is of this class");
    let nan = Tensor::from_slice(&[f32::NAN, 0.2], [2], &cpu()).unwrap();
    assert_eq!(undefined(&Auc::new(), &nan, &[0, 1]), "a score is NaN");
    let three = Tensor::from_slice(&[0.5f32, 0.2, 0.3, 0.1, 0.1, 0.8], [2, 3], &cpu()).unwrap();
    assert!(undefined(&Auc::new(), &three, &[0, 2]).starts_with("class 1: all targets are negative"));
    // Where all is of one class there is no correlation.
    let zeros = Tensor::zeros([2], DType::I64, &cpu()).unwrap();
    assert_eq!(Matthews::new().of(&p, &zeros).unwrap().number(), 0.0);
}

#[test]
fn settings_and_targets_that_mean_nothing_are_refused() {
    let p = Tensor::from_slice(&[0.1f32, 0.7, 0.2, 0.3, 0.3, 0.4], [2, 3], &cpu()).unwrap();
    let one = Tensor::from_slice(&[0.1f32, 0.7], [2], &cpu()).unwrap();
    let labels = |values: [i64; 2]| Tensor::from_slice(&values, [2], &cpu()).unwrap();
    let says = |metric: &dyn Metric, p: &Tensor, t: &Tensor, words: &str| {
        let error = metric.of(p, t).unwrap_err();
        assert!(error.message().contains(words), "{}: {error}", metric.name());
    };
    let good = labels([0, 1]);
    for wrong in [1.5, -0.1, f64::NAN] {
        let words = "a threshold from 0 to 1 is expected, got";
        says(&F1::new().threshold(wrong), &one, &good, words);
        says(&Precision::new().threshold(wrong).multilabel().average(ClassAverage::Macro), &p, &p, words);
        says(&ConfusionMatrix::new().threshold(wrong), &one, &good, words);
        says(&BinaryAccuracy::new().threshold(wrong), &one, &good, words);
    }
    says(
        &Recall::new(),
        &p,
        &good,
        "there are 3 classes: choose how they are averaged, `Recall::new().average(ClassAverage::Macro)`",
    );
    says(&F1::new().multilabel(), &p, &p, "there are 3 classes");
    let macro_f1 = F1::new().average(ClassAverage::Macro);
    for metric in [&macro_f1 as &dyn Metric, &ConfusionMatrix::new(), &Iou::new(), &TopKAccuracy::new(2), &Auc::new()] {
        says(metric, &p, &labels([0, 3]), "a label is 3, expected 0 to 2");
        says(metric, &p, &labels([0, -1]), "a label is -1, expected 0 to 2");
        says(metric, &p, &Tensor::zeros([3], DType::I64, &cpu()).unwrap(), "(3,)");
    }
    says(&CohenKappa::new(), &one, &labels([0, 2]), "a label is 2, expected 0 to 1");
    says(&TopKAccuracy::new(0), &p, &good, "k from 1 to 3, the classes, is expected, got 0");
    says(&TopKAccuracy::new(4), &p, &good, "got 4");
    says(&Auc::new().thresholds(1), &one, &good, "at least 2 thresholds are needed, got 1");
    says(
        &Auc::new().thresholds(9),
        &one.mul_scalar(2.0).unwrap(),
        &good,
        "thresholds are for probabilities from 0 to 1",
    );
    says(&Iou::new().class(3), &p, &good, "the IoU of class 3 is asked for, of 3 classes");
    says(&R2, &p, &one, "predictions and targets of one shape are expected, got (2, 3) and (2,)");
    says(&Mse, &p, &one, "one shape");
    says(&Perplexity::new(), &p, &labels([0, 5]), "5");
    let data = TensorDataset::new(one.unsqueeze(1).unwrap(), one.unsqueeze(1).unwrap()).unwrap();
    let error = binary_trainer().metric(F1::new()).metric(F1::new().threshold(0.9)).evaluate(&data).unwrap_err();
    assert_eq!(error.message(), "two numbers are called `f1`: give a metric another name, `Named(\"…\", metric)`");
    let named = binary_trainer().metric(F1::new()).metric(Named("f1_at_90", F1::new().threshold(0.9)));
    assert!(named.evaluate(&data).unwrap().metric("f1_at_90").is_some());
}

#[test]
fn masks_of_steps_and_ignored_labels_reach_the_metrics() {
    // The model says each token's own number; padding is not counted, and 9 is ignored.
    let scores: Vec<f32> = (0..16).map(|i| if i % 5 == 0 { 9.0 } else { 0.0 }).collect();
    let mut model = Sequential::new().push(Embedding::new(4, 4)).build([3], &cpu(), 1).unwrap();
    model.parameters_mut()[0].1.set(Tensor::from_slice(&scores, [4, 4], &cpu()).unwrap()).unwrap();
    let data = SequenceDataset::of_tokens(vec![vec![1, 2, 3], vec![3]], 4).unwrap();
    let data = data.labels_of_steps(vec![vec![1, 9, 2], vec![3]]).unwrap();
    let loss = SparseCategoricalCrossentropy::from_logits().ignore_index(9);
    let trainer = compile(model, Sgd::new(0.1), loss)
        .metric(Accuracy)
        .metric(ConfusionMatrix::new())
        .metric(F1::new().average(ClassAverage::Micro))
        .metric(Perplexity::from_logits());
    let evaluation = trainer.evaluate(&data).unwrap();
    assert!((evaluation.accuracy() - 2.0 / 3.0).abs() < 1e-12);
    assert!((evaluation.metric("f1").unwrap() - 2.0 / 3.0).abs() < 1e-12);
    assert_eq!(evaluation.table("confusion_matrix").unwrap().values().iter().sum::<f64>(), 3.0);
    assert!((evaluation.metric("perplexity").unwrap().ln() - evaluation.loss).abs() < 1e-6);
}

#[test]
fn early_stopping_knows_which_way_a_metric_is_better() {
    let x = Tensor::from_slice(&[-1.0f32, 1.0, 2.0, -2.0], [4, 1], &cpu()).unwrap();
    let y = Tensor::from_slice(&[0.0f32, 1.0, 1.0, 0.0], [4, 1], &cpu()).unwrap();
    let data = TensorDataset::new(x, y).unwrap();
    let fit = |monitor: &str| {
        let mut trainer = binary_trainer().metric(Auc::new()).metric(Mse).metric(Named("auc_2", Weighted(Auc::new())));
        let stopping = EarlyStopping::new().monitor(monitor).patience(2);
        let options = FitOptions::new().epochs(9).validation(&data).callback(stopping);
        trainer.fit(&data, options).map(|history| history.epochs.len())
    };
    // All are ranked rightly, or wrongly, from the beginning; the error goes on falling.
    assert_eq!((fit("val_auc").unwrap(), fit("auc_2").unwrap(), fit("val_mse").unwrap()), (3, 3, 9));
    assert!(fit("val_confusion").unwrap_err().to_string().contains("no epoch reports `val_confusion`"));
}

#[test]
fn weighted_metrics_see_the_weights_and_others_do_not() {
    let x = Tensor::from_slice(&[-9.0f32, 9.0, 9.0], [3, 1], &cpu()).unwrap();
    let y = Tensor::from_slice(&[0.0f32, 1.0, 0.0], [3, 1], &cpu()).unwrap();
    let weights = Tensor::from_slice(&[1.0f32, 2.0, 0.0], [3], &cpu()).unwrap();
    let data = TensorDataset::new(x, y).unwrap().sample_weights(weights).unwrap();
    let layer = Dense::new(1).activation(Activation::Sigmoid).kernel_initializer(Initializer::Constant(1.0));
    let model = Sequential::new().push(layer).build([1], &cpu(), 1).unwrap();
    let trainer = compile(model, Sgd::new(0.1), BinaryCrossentropy::new())
        .metric(Accuracy)
        .metric(Weighted(Accuracy))
        .metric(Weighted(Precision::new()));
    let evaluation = trainer.evaluate_with(&data, EvaluateOptions::new().batch_size(2)).unwrap();
    let numbers: Vec<_> = evaluation.metrics.iter().map(|(name, value)| (&**name, *value)).collect();
    assert_eq!(numbers, [("accuracy", 2.0 / 3.0), ("weighted_accuracy", 1.0), ("weighted_precision", 1.0)]);
}
