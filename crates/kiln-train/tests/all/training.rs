//! Training on small problems: it converges, repeats itself bit for bit, and is the loop that one would write by hand.

use kiln_autograd::Var;
use kiln_datasets::{Batch, Dataset, ImageDataset, Loader, Pass, TensorDataset};
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_optim::{Adam, Optimizer, Sgd};
use kiln_tensor::{DType, Device, ErrorKind, Result, Tensor};
use kiln_train::*;
use proptest::prelude::*;

pub(super) fn cpu() -> Device {
    Device::cpu()
}

/// Ten classes of noisy 6 × 6 patterns: easy, but not for the untrained.
pub(super) fn patterns(count: usize, part: u64) -> ImageDataset {
    let mut pattern = RandomStream::new(7, Purpose::Data, 0);
    let patterns: Vec<u8> = (0..360).map(|_| pattern.below(200) as u8).collect();
    let mut noise = RandomStream::new(7, Purpose::Data, 1 + part);
    let labels: Vec<u8> = (0..count).map(|_| noise.below(10) as u8).collect();
    let pixels = labels.iter().flat_map(|&label| patterns[usize::from(label) * 36..][..36].to_vec());
    let pixels = pixels.map(|p| p + noise.below(56) as u8).collect();
    ImageDataset::new(pixels, labels, &[6, 6], 10).unwrap()
}

/// Flatten, Dense, Dropout, Dense: with random numbers of every kind that training draws, and penalties.
pub(super) fn model(seed: u64) -> Sequential {
    Sequential::new()
        .push(Flatten::new())
        .push(Dense::new(24).activation(Activation::Relu).activity_regularizer(L2(1e-4)))
        .push(Dropout::new(0.1))
        .push(Dense::new(10).activation(Activation::Softmax).kernel_regularizer(L1L2 { l1: 1e-4, l2: 1e-4 }))
        .build([6, 6], &cpu(), seed)
        .unwrap()
}

pub(super) fn trainer(seed: u64) -> Trainer<Supervised<Sequential, SparseCategoricalCrossentropy>, Adam> {
    compile(model(seed), Adam::new(0.005), SparseCategoricalCrossentropy::new()).metric(Accuracy)
}

/// Every bit of every parameter.
pub(super) fn bits<M: Module>(model: &M) -> Vec<u32> {
    let values = |(_, p): (String, &Param)| p.value().to_vec::<f32>().unwrap();
    model.parameters().into_iter().flat_map(values).map(f32::to_bits).collect()
}

#[test]
fn learns_and_tells_how() {
    let (train, test) = (patterns(600, 0), patterns(200, 1));
    let mut trainer = trainer(1);
    let before = trainer.evaluate(&test).unwrap();
    let mut seen = Vec::new();
    let mut batches = Vec::new();
    let options = FitOptions::new().epochs(12).batch_size(64).seed(2).validation(&test);
    let options = options.on_epoch(|e| seen.push(e.clone())).on_batch(|p| batches.push(*p));
    let history = trainer.fit(&train, options).unwrap();

    assert_eq!((history.epochs.len(), &seen), (12, &history.epochs));
    assert_eq!(history.epochs.iter().map(|e| e.epoch).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    let first = &history.epochs[0];
    let last = history.last().unwrap();
    assert!(last.train.loss < first.train.loss && last.train.accuracy() > first.train.accuracy());
    assert!(history.seconds >= history.epochs.iter().map(|e| e.seconds).sum::<f64>() * 0.999);
    // 600 samples in batches of 64: nine full ones and one of 24.
    assert_eq!((batches.len(), trainer.steps()), (120, 120));
    let batch = batches[119];
    assert_eq!((batch.epoch, batch.batch, batch.batches, batch.samples), (12, 10, 10, 24));

    // The last validation is an evaluation of the model as it is now, whatever the size of its batches.
    let after = trainer.evaluate(&test).unwrap();
    assert_eq!(last.validation.as_ref().unwrap().accuracy(), after.accuracy());
    assert!((last.validation.as_ref().unwrap().loss - after.loss).abs() < 1e-9);
    assert!(before.accuracy() < 0.4 && after.accuracy() > 0.97, "{before:?} {after:?}");

    let csv = history.to_csv();
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("epoch,loss,accuracy,val_loss,val_accuracy,seconds"));
    let row: Vec<f64> = lines.next().unwrap().split(',').map(|field| field.parse().unwrap()).collect();
    let validation = first.validation.as_ref().unwrap();
    let expected =
        [1.0, first.train.loss, first.train.accuracy(), validation.loss, validation.accuracy(), first.seconds];
    assert_eq!((row.as_slice(), lines.count()), (expected.as_slice(), 11));
}

/// The loop that one would write, with `fit`'s bits.
fn by_hand(data: &dyn Dataset, epochs: u64, batch_size: usize, seed: u64) -> Result<(Sequential, f64)> {
    let (mut model, mut optimizer, loss_of) = (model(1), Adam::new(0.005), SparseCategoricalCrossentropy::new());
    let loader = Loader::new(data).batch_size(batch_size).shuffle(seed);
    let (mut step, mut sum) = (0, 0.0);
    for epoch in 1..=epochs {
        sum = 0.0;
        loader.epoch(epoch, |batches| {
            for batch in batches {
                let batch = batch?;
                let ctx = Ctx::train(seed, step);
                let predictions = model.forward(&batch.inputs, &ctx)?;
                let loss = loss_of.forward(&predictions, &batch.targets)?;
                let loss = loss.add(&ctx.penalty()?.unwrap())?;
                sum += loss.item()? * batch.len() as f64;
                optimizer.step(&mut model, &loss.backward()?)?;
                ctx.commit(&mut model)?;
                step += 1;
            }
            Ok(())
        })?;
    }
    Ok((model, sum / data.len() as f64))
}

#[test]
fn a_loop_by_hand_has_the_same_bits() {
    let data = patterns(300, 0);
    let mut trainer = trainer(1);
    let history = trainer.fit(&data, FitOptions::new().epochs(3).seed(5)).unwrap();
    let (model, loss) = by_hand(&data, 3, 32, 5).unwrap();
    assert_eq!(bits(&model), bits(&trainer.objective.model));
    assert_eq!(loss, history.last().unwrap().train.loss);
}

/// Weights and the history's numbers after two epochs.
fn outcome(
    threads: usize,
    workers: usize,
    batch_size: usize,
    seed: u64,
) -> (Vec<u32>, Vec<(Evaluation, Option<Evaluation>)>) {
    let (train, test) = (patterns(333, 0), patterns(50, 1));
    let pool = kiln_cpu::team::ThreadPool::new(threads);
    kiln_cpu::team::run_in(&pool, || {
        let mut trainer = trainer(1);
        let options = FitOptions::new().epochs(2).batch_size(batch_size).seed(seed).workers(workers).validation(&test);
        let history = trainer.fit(&train, options).unwrap();
        let numbers = history.epochs.into_iter().map(|e| (e.train, e.validation)).collect();
        (bits(&trainer.objective), numbers)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn threads_and_workers_change_no_bit(batch_size in 1usize..200, seed: u64) {
        let expected = outcome(1, 0, batch_size, seed);
        for (threads, workers) in [(2, 0), (1, 1), (2, 2), (3, 3)] {
            prop_assert_eq!(&outcome(threads, workers, batch_size, seed), &expected, "{} {}", threads, workers);
        }
    }
}

#[test]
fn the_seed_fixes_the_run_and_only_the_same_seed_repeats_it() {
    assert_eq!(outcome(1, 0, 32, 9), outcome(1, 0, 32, 9));
    assert_ne!(outcome(1, 0, 32, 9).0, outcome(1, 0, 32, 10).0);
}

#[test]
fn a_large_step_uses_both_threads_and_has_the_bits_of_one() {
    // 64 × 784 → 256: above every threshold under which a region is serial.
    let pixels = (0..192 * 784usize).map(|i| (i * i % 251) as u8).collect();
    let data = ImageDataset::new(pixels, (0..192).map(|i| (i % 10) as u8).collect(), &[28, 28], 10).unwrap();
    let weights = |threads| {
        let pool = kiln_cpu::team::ThreadPool::new(threads);
        kiln_cpu::team::run_in(&pool, || {
            let model = Sequential::new().push(Flatten::new()).push(Dense::new(256).activation(Activation::Relu));
            let model = model.push(Dense::new(10).activation(Activation::Softmax)).build([28, 28], &cpu(), 1).unwrap();
            let mut trainer = compile(model, Adam::new(0.001), SparseCategoricalCrossentropy::new());
            trainer.fit(&data, FitOptions::new().epochs(2).batch_size(64)).unwrap();
            bits(&trainer.objective)
        })
    };
    let one = weights(1);
    assert!((2..=4).all(|threads| weights(threads) == one));
}

#[test]
fn a_second_call_goes_on_where_the_first_ended() {
    let data = patterns(100, 0);
    let options = || FitOptions::new().seed(3);
    let (mut once, mut twice) = (trainer(1), trainer(1));
    once.fit(&data, options().epochs(5)).unwrap();
    twice.fit(&data, options().epochs(2)).unwrap();
    twice.fit(&data, options().epochs(3)).unwrap();
    assert_eq!(bits(&once.objective), bits(&twice.objective));
}

#[test]
fn the_order_of_the_data_can_be_kept() {
    let data = patterns(100, 0);
    let weights = |seed, shuffle| {
        let model = Sequential::new().push(Flatten::new()).push(Dense::new(10)).build([6, 6], &cpu(), 1).unwrap();
        let mut trainer = compile(model, Sgd::new(0.1), SparseCategoricalCrossentropy::from_logits());
        trainer.fit(&data, FitOptions::new().seed(seed).shuffle(shuffle)).unwrap();
        bits(&trainer.objective)
    };
    assert_eq!(weights(1, false), weights(2, false));
    assert_ne!(weights(1, true), weights(2, true));
    assert_ne!(weights(1, true), weights(1, false));
}

/// Two inputs' worth of model in one struct, with a loss of its own.
#[derive(Module)]
struct Tied {
    weight: Param,
}

impl Objective for Tied {
    fn loss(&self, batch: &Batch, ctx: &Ctx) -> Result<Outcome> {
        let x = Var::from(&*batch.inputs);
        let encoded = x.matmul(&self.weight.var(ctx))?;
        let decoded = encoded.matmul(&self.weight.var(ctx).t()?)?;
        Ok(Outcome { loss: decoded.sub(&x)?.square()?.mean_all()?, predictions: Vec::new(), mask: None })
    }
}

#[test]
fn any_objective_trains() {
    // Points on a line of R³: one number each says which.
    let t = Tensor::normal([64, 1], 0.0, 1.0, DType::F32, &cpu(), RandomStream::new(1, Purpose::Data, 0)).unwrap();
    let points = t.matmul(&Tensor::from_slice(&[0.6f32, 0.0, 0.8], [1, 3], &cpu()).unwrap()).unwrap();
    let data = TensorDataset::new(points.clone(), points).unwrap();
    let weight = Tensor::from_slice(&[0.3f32, 0.5, 0.1], [3, 1], &cpu()).unwrap();
    let mut trainer = Trainer::new(Tied { weight: Param::new(weight) }, Adam::new(0.02)).metric(Accuracy);
    let history = trainer.fit(&data, FitOptions::new().epochs(200)).unwrap();
    assert!(history.last().unwrap().train.loss < 1e-4, "{:?}", history.last());
    // Without predictions there is nothing to measure.
    assert!(history.last().unwrap().train.accuracy().is_nan());
    let w = trainer.objective.weight.value().to_f64_vec().unwrap();
    assert!(w.iter().zip([0.6, 0.0, 0.8]).all(|(w, e)| (w.abs() - e).abs() < 0.02), "{w:?}");
}

#[test]
fn errors_change_nothing() {
    let data = patterns(70, 0);
    let mut trainer = trainer(1);
    let before = bits(&trainer.objective);
    let refused =
        |trainer: &mut Trainer<_, _>, options: FitOptions<'_>| trainer.fit(&data, options).unwrap_err().to_string();
    assert!(refused(&mut trainer, FitOptions::new().epochs(0)).contains("0 epochs"));
    assert!(refused(&mut trainer, FitOptions::new().batch_size(0)).contains("at least 1"));
    let narrow = ImageDataset::new(vec![0; 35], vec![0], &[5, 7], 10).unwrap();
    let error = trainer.fit(&narrow, FitOptions::new()).unwrap_err();
    assert!(error.to_string().contains("model.1 (Dense)") && error.kind() == ErrorKind::Shape, "{error}");
    let nothing = ImageDataset::new(vec![], vec![], &[6, 6], 10).unwrap();
    assert_eq!(trainer.evaluate(&nothing).unwrap_err().kind(), ErrorKind::Value);
    assert_eq!((bits(&trainer.objective), trainer.steps()), (before, 0));
}

/// Notes how it is asked for samples.
struct Watched {
    data: TensorDataset,
    passes: std::sync::Mutex<Vec<Option<Pass>>>,
}

impl Dataset for Watched {
    fn len(&self) -> usize {
        self.data.len()
    }
    fn input_shape(&self) -> &[usize] {
        self.data.input_shape()
    }
    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch> {
        self.passes.lock().unwrap().push(None);
        self.data.batch(indices, upcoming, device)
    }
    fn training_batch(&self, indices: &[usize], upcoming: &[usize], pass: Pass, device: &Device) -> Result<Batch> {
        self.passes.lock().unwrap().push(Some(pass));
        self.data.batch(indices, upcoming, device)
    }
}

#[test]
fn what_is_trained_on_is_augmented_and_what_is_validated_with_is_not() {
    let cpu = Device::cpu();
    let ones = |columns| Tensor::ones([8, columns], DType::F32, &cpu).unwrap();
    let data = Watched { data: TensorDataset::new(ones(2), ones(1)).unwrap(), passes: Default::default() };
    let model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1).unwrap();
    let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
    for shuffle in [true, false] {
        let options = FitOptions::new().batch_size(2).seed(9).shuffle(shuffle).validation_split(0.5);
        trainer.fit(&data, options).unwrap();
        let passes = std::mem::take(&mut *data.passes.lock().unwrap());
        let epoch = if shuffle { 1 } else { 2 };
        assert_eq!(passes, [Some(Pass { seed: 9, epoch }), Some(Pass { seed: 9, epoch }), None, None]);
    }
    trainer.evaluate(&data).unwrap();
    assert_eq!(*data.passes.lock().unwrap(), [None; 4]);
}

#[test]
fn images_with_channels_last_are_named_and_can_be_permuted() {
    let cpu = Device::cpu();
    let model = Sequential::new().push(Conv2d::new(2, 3)).push(Flatten::new()).push(Dense::new(1));
    let model = model.build([3, 8, 8], &cpu, 1).unwrap();
    let images = Tensor::ones([4, 8, 8, 3], DType::F32, &cpu).unwrap();
    let targets = Tensor::ones([4], DType::F32, &cpu).unwrap();
    let mut trainer = compile(model, Sgd::new(0.01), MeanSquaredError::new());
    let error =
        trainer.fit(&TensorDataset::new(images.clone(), targets.clone()).unwrap(), FitOptions::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "model (Sequential): forward: samples (8, 8, 3) look like channels last (height, width, channels), and the model was \
         built for (3, 8, 8), (channels, height, width): permute the data with inputs.permute(&[0, 3, 1, 2])"
    );
    let images = images.permute(&[0, 3, 1, 2]).unwrap();
    trainer.fit(&TensorDataset::new(images, targets).unwrap(), FitOptions::new()).unwrap();
}

/// After each step, also of several batches, and not only at the end.
#[test]
fn constraints_hold_after_each_step() {
    let layer =
        Dense::new(10).activation(Activation::Softmax).kernel_constraint(MaxNorm::new(0.2)).bias_constraint(NonNeg);
    let model = Sequential::new().push(Flatten::new()).push(layer).build([6, 6], &cpu(), 1).unwrap();
    let mut trainer = compile(model, Adam::new(0.05), SparseCategoricalCrossentropy::new());
    let data = patterns(64, 0);
    for accumulate in [1, 2] {
        trainer.fit(&data, FitOptions::new().batch_size(16).accumulate(accumulate)).unwrap();
        let state = trainer.objective.model.state_dict();
        let norms = state["1.weight"].norm(2.0, 1).unwrap().to_vec::<f32>().unwrap();
        assert!(norms.iter().all(|&norm| norm < 0.2 + 1e-6) && norms.iter().any(|&norm| norm > 0.19), "{norms:?}");
        assert!(state["1.bias"].to_vec::<f32>().unwrap().iter().all(|&bias| bias >= 0.0));
    }
}
