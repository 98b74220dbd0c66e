//! `Trainer::find_learning_rate`: the rates it tries, what it suggests, and that nothing of it stays.

use super::logged::bits_of;
use crate::support::StopAfter;
use kiln_datasets::{Dataset, ImageDataset, TensorDataset, TextStreams};
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_optim::{Adam, LinearWarmup, Optimizer, Sgd};
use kiln_tensor::{DType, Device, Tensor};
use kiln_train::*;

fn cpu() -> Device {
    Device::cpu()
}

/// Points on a line: y = 2x₀ − x₁.
fn line() -> TensorDataset {
    let x = Tensor::uniform([60, 2], -1.0, 1.0, DType::F32, &cpu(), RandomStream::new(3, Purpose::Data, 0)).unwrap();
    let weights = Tensor::from_slice(&[2.0f32, -1.0], [2, 1], &cpu()).unwrap();
    TensorDataset::new(x.clone(), x.matmul(&weights).unwrap()).unwrap()
}

fn linear<P: Optimizer>(optimizer: P) -> Trainer<Supervised<Sequential, MeanSquaredError>, P> {
    compile(Sequential::new().push(Dense::new(1)).build([2], &cpu(), 1).unwrap(), optimizer, MeanSquaredError::new())
}

fn finder() -> LearningRateFinder {
    LearningRateFinder::new().min(1e-4).max(100.0).steps(60)
}

#[test]
fn rates_grow_exponentially_and_losses_are_those_of_such_steps() {
    let rates = linear(Sgd::new(0.1)).find_learning_rate(&line(), FitOptions::new().batch_size(20), &finder()).unwrap();
    assert!(rates.diverged && rates.points.len() < 60, "{}", rates.points.len());
    for (step, point) in rates.points.iter().enumerate() {
        let expected = 1e-4 * 1e6f64.powf(step as f64 / 59.0);
        assert!((point.rate - expected).abs() < 1e-12 * expected, "step {step}: {}", point.rate);
    }
    // A loop by hand, over the loader's batches.
    let mut trainer = linear(Sgd::new(0.1));
    let data = line();
    let loader =
        kiln_datasets::Loader::new(&data).batch_size(20).shuffle(0).seed(0).steps_per_epoch(rates.points.len());
    let (mut average, mut step) = (0.0, 0);
    loader
        .epoch(1, |batches| {
            for batch in batches {
                let loss = trainer.objective.loss(&batch?, &Ctx::train(0, step as u64))?.loss;
                let point = rates.points[step];
                step += 1;
                assert_eq!(loss.item()?, point.loss, "step {step}");
                average = 0.98 * average + 0.02 * point.loss;
                let smoothed = average / (1.0 - 0.98f64.powi(step as i32));
                assert!((smoothed - point.smoothed).abs() < 1e-9 * smoothed, "step {step}");
                trainer.optimizer.set_learning_rate(point.rate);
                trainer.optimizer.step(&mut trainer.objective, &loss.backward()?)?;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(step, rates.points.len());
    // It ended at the first smoothed loss above four times the best.
    let over = |at: usize| {
        let best = rates.points[..=at].iter().map(|point| point.smoothed).fold(f64::INFINITY, f64::min);
        rates.points[at].smoothed > 4.0 * best
    };
    assert_eq!((0..step).position(over), Some(step - 1));
}

#[test]
fn suggested_rates_train_well() {
    let rates = linear(Sgd::new(0.1)).find_learning_rate(&line(), FitOptions::new().batch_size(60), &finder()).unwrap();
    let after = |rate: f64| {
        let history = linear(Sgd::new(rate)).fit(&line(), FitOptions::new().batch_size(60).epochs(20)).unwrap();
        history.epochs[19].train.loss
    };
    for rate in [rates.steepest().unwrap(), rates.valley().unwrap()] {
        let (found, without) = (after(rate), after(1e-4));
        assert!(rate > 1e-2 && rate < 1.5 && found < 0.8 * without, "{rate}: {found}, {without}");
    }
}

#[test]
fn suggestions_are_the_steepest_place_and_fastais_valley() {
    // Flat, then a fall that is fastest between the 30th and the 31st point, then a rise.
    let smoothed = |at: usize| match at {
        0..20 => 2.0,
        20..60 => 2.0 - 1.0 / (1.0 + (-(at as f64 - 30.5)).exp()),
        _ => 1.0 + 0.1 * (at as f64 - 59.0),
    };
    let points: Vec<RatePoint> = (0..100)
        .map(|at| RatePoint { rate: 1e-5 * 10f64.powf(at as f64 / 20.0), loss: 0.0, smoothed: smoothed(at) })
        .collect();
    let rates = LearningRates { points: points.clone(), diverged: false };
    let steepest = rates.steepest().unwrap();
    assert!(steepest == points[30].rate || steepest == points[31].rate, "{steepest}");
    assert_eq!(rates.suggestion(), rates.valley());
    // fastai's `valley(lrs[10:-5], losses[10:-5])` of the same numbers gives this one.
    assert_eq!(rates.valley(), Some(points[37].rate));
    // A fall by chance after the smallest loss is none.
    let chance = points.iter().enumerate().map(|(at, point)| match at {
        80 => RatePoint { smoothed: 90.0, ..*point },
        _ => *point,
    });
    let chance = LearningRates { points: chance.collect(), diverged: true };
    assert_eq!((chance.steepest(), chance.valley()), (rates.steepest(), rates.valley()));
    // What never falls has none, and neither has too little.
    let rising = points.iter().enumerate().map(|(at, point)| RatePoint { smoothed: at as f64, ..*point });
    let rising = LearningRates { points: rising.collect(), diverged: true };
    assert_eq!((rising.steepest(), rising.valley()), (None, None));
    assert_eq!((LearningRates::default().suggestion(), LearningRates::default().valley()), (None, None));
}

/// Batch normalization and dropout.
fn classifier() -> Trainer<Supervised<Sequential, SparseCategoricalCrossentropy>, Adam> {
    let model = Sequential::new()
        .push(Flatten::new())
        .push(Dense::new(8).activation(Activation::Relu))
        .push(BatchNorm1d::new())
        .push(Dropout::new(0.3))
        .push(Dense::new(3).activation(Activation::Softmax));
    let model = model.build([6, 6], &cpu(), 1).unwrap();
    compile(model, Adam::new(0.01), SparseCategoricalCrossentropy::new()).metric(Accuracy)
}

/// An LSTM that carries its states from batch to batch.
fn reader() -> Trainer<Supervised<Sequential, SparseCategoricalCrossentropy>, Adam> {
    let model = Sequential::new()
        .push(Embedding::new(5, 4))
        .push(Lstm::new(6).dropout(0.2).return_sequences(true).stateful(true))
        .push(Dense::new(5));
    let model = model.build([4], &cpu(), 1).unwrap();
    compile(model, Adam::new(0.01), SparseCategoricalCrossentropy::from_logits()).metric(Accuracy)
}

#[test]
fn afterwards_everything_is_as_before() {
    let mut stream = RandomStream::new(7, Purpose::Data, 0);
    let pixels = (0..70 * 36).map(|_| stream.below(256) as u8).collect();
    let images = ImageDataset::new(pixels, (0..70).map(|i| i % 3).collect(), &[6, 6], 3).unwrap();
    let text = TextStreams::new((0..160).map(|i| i * i / 3 % 5).collect(), 3, 4).unwrap();
    type Make = fn() -> Trainer<Supervised<Sequential, SparseCategoricalCrossentropy>, Adam>;
    let cases: [(Make, &dyn Dataset); 2] = [(classifier, &images), (reader, &text)];
    for (make, data) in cases {
        // Before the first step, in the middle of an epoch, and between two.
        for stop in [0, 4, 18] {
            let options = || FitOptions::new().batch_size(8).seed(5).epochs(4);
            let trained = |searches: bool| {
                let mut trainer = make();
                if stop > 0 {
                    trainer.fit(data, options().callback(StopAfter(stop))).unwrap();
                }
                let before = bits_of(&trainer);
                if searches {
                    let rates = trainer.find_learning_rate(data, options(), &finder()).unwrap();
                    assert!(rates.points.len() > 10);
                    assert_eq!(bits_of(&trainer), before, "after {stop} batches");
                    // Another batch size leaves no trace in evaluations either.
                    trainer.find_learning_rate(data, options().batch_size(4).accumulate(2), &finder()).unwrap();
                }
                trainer.fit(data, options().until_epoch(4)).unwrap();
                (bits_of(&trainer), trainer.evaluate(data).unwrap())
            };
            assert_eq!(trained(true), trained(false), "after {stop} batches");
        }
    }
}

#[test]
fn a_loss_that_is_not_finite_ends_the_search_and_errors_leave_nothing() {
    let finder = LearningRateFinder::new().min(1e-3).max(1e30).steps(12).diverges_at(1e200);
    let mut trainer = linear(Sgd::new(0.1));
    let before = bits_of(&trainer);
    let rates = trainer.find_learning_rate(&line(), FitOptions::new().batch_size(20), &finder).unwrap();
    assert!(rates.diverged && rates.points.len() < 12 && rates.points.iter().all(|point| point.loss.is_finite()));
    assert_eq!(bits_of(&trainer), before);
    let broken = TensorDataset::new(
        Tensor::zeros([4, 3], DType::F32, &cpu()).unwrap(),
        Tensor::zeros([4, 1], DType::F32, &cpu()).unwrap(),
    );
    assert!(trainer.find_learning_rate(&broken.unwrap(), FitOptions::new(), &finder).is_err());
    assert_eq!(bits_of(&trainer), before);
    for (bad, says) in [
        (LearningRateFinder::new().min(0.0), "min 0"),
        (LearningRateFinder::new().max(f64::NAN), "max NaN"),
        (LearningRateFinder::new().min(1.0).max(1.0), "max 1 is not above min 1"),
        (LearningRateFinder::new().steps(9), "9 steps: at least 10"),
        (LearningRateFinder::new().diverges_at(1.0), "diverges_at 1"),
    ] {
        let error = trainer.find_learning_rate(&line(), FitOptions::new(), &bad).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    // Of what the options say of a step, all holds.
    let error = trainer.find_learning_rate(&line(), FitOptions::new().accumulate(0), &finder).unwrap_err().to_string();
    assert!(error.contains("accumulate(0)"), "{error}");
}

#[test]
fn a_schedule_does_not_change_the_rates() {
    let search = |optimizer: Sgd| {
        let options = FitOptions::new().batch_size(20).validation_split(0.2).validate_every(1);
        linear(optimizer).find_learning_rate(&line(), options, &finder()).unwrap()
    };
    let (plain, scheduled) = (search(Sgd::new(0.1)), search(Sgd::new(0.0).schedule(LinearWarmup::new(1000))));
    assert_eq!(plain.points.len(), scheduled.points.len());
    for (plain, scheduled) in plain.points.iter().zip(&scheduled.points) {
        assert!(plain.rate == scheduled.rate && (plain.loss - scheduled.loss).abs() <= 1e-3 * plain.loss);
    }
    let ended = Sgd::new(0.1).schedule(|_: u64| 0.0);
    let error = linear(ended).find_learning_rate(&line(), FitOptions::new(), &finder()).unwrap_err().to_string();
    assert!(error.contains("the schedule's factor is 0 at step 0"), "{error}");
}
