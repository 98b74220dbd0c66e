//! Training on small problems: it converges, repeats itself bit for bit, and is the loop that one would write by hand.

use kiln_autograd::Var;
use kiln_datasets::{Batch, Dataset, ImageDataset, Loader, Pass, TensorDataset};
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_optim::{Adam, Optimizer, Sgd};
use kiln_tensor::{DType, Device, ErrorKind, Result, Tensor};
use kiln_train::*;
use proptest::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn cpu() -> Device {
    Device::cpu()
}

/// Ten classes of noisy 6 × 6 patterns: easy, but not for the untrained.
fn patterns(count: usize, part: u64) -> ImageDataset {
    let mut pattern = RandomStream::new(7, Purpose::Data, 0);
    let patterns: Vec<u8> = (0..360).map(|_| pattern.below(200) as u8).collect();
    let mut noise = RandomStream::new(7, Purpose::Data, 1 + part);
    let labels: Vec<u8> = (0..count).map(|_| noise.below(10) as u8).collect();
    let pixels = labels.iter().flat_map(|&label| patterns[usize::from(label) * 36..][..36].to_vec());
    let pixels = pixels.map(|p| p + noise.below(56) as u8).collect();
    ImageDataset::new(pixels, labels, &[6, 6], 10).unwrap()
}

/// Flatten, Dense, Dropout, Dense: with random numbers of every kind that training draws, and penalties.
fn model(seed: u64) -> Sequential {
    Sequential::new()
        .push(Flatten::new())
        .push(Dense::new(24).activation(Activation::Relu).activity_regularizer(L2(1e-4)))
        .push(Dropout::new(0.1))
        .push(Dense::new(10).activation(Activation::Softmax).kernel_regularizer(L1L2 { l1: 1e-4, l2: 1e-4 }))
        .build([6, 6], &cpu(), seed)
        .unwrap()
}

fn trainer(seed: u64) -> Trainer<Supervised<Sequential, SparseCategoricalCrossentropy>, Adam> {
    compile(model(seed), Adam::new(0.005), SparseCategoricalCrossentropy::new()).metric(Accuracy)
}

/// Every bit of every parameter.
fn bits<M: Module>(model: &M) -> Vec<u32> {
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

#[test]
fn a_loss_that_is_no_number_stops_at_its_step_with_the_weights_of_before() {
    let mut inputs = vec![0.5f32; 40];
    inputs[25] = f32::NAN;
    let inputs = Tensor::from_slice(&inputs, [40, 1], &cpu()).unwrap();
    let data = TensorDataset::new(inputs.clone(), Tensor::ones([40, 1], DType::F32, &cpu()).unwrap()).unwrap();
    let model = Sequential::new().push(Dense::new(1)).build([1], &cpu(), 1).unwrap();
    let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
    let before = bits(&trainer.objective);
    // Batches of ten in order: the third has it.
    let error = trainer.fit(&data, FitOptions::new().batch_size(10).shuffle(false)).unwrap_err().to_string();
    assert!(error.contains("the loss of step 3 is NaN; the first"), "{error}");
    assert!(error.contains("are the input of model (Sequential)"), "{error}");
    assert!(error.ends_with("; the weights are again those that it began with"), "{error}");
    assert_eq!((bits(&trainer.objective), trainer.steps()), (before, 0));
}

#[test]
fn a_run_that_diverges_keeps_its_last_completed_epoch() {
    let column = |values: &[f32]| Tensor::from_slice(values, [values.len(), 1], &cpu()).unwrap();
    let data = TensorDataset::new(column(&[1.0, 2.0, 3.0, 4.0]), column(&[1.0, 0.0, 1.0, 0.0])).unwrap();
    // Each step overshoots the minimum by more than the last one did.
    let trainer = || {
        let model = Sequential::new().push(Dense::new(1)).build([1], &cpu(), 1).unwrap();
        compile(model, Sgd::new(10.0), MeanSquaredError::new())
    };
    // In the middle of an epoch or in its validation.
    for batch_size in [2, 4] {
        let options = |epochs| FitOptions::new().epochs(epochs).batch_size(batch_size);
        let mut diverging = trainer();
        let mut completed = 0;
        let validated = options(1000).validation(&data).on_epoch(|record| completed = record.epoch);
        let error = diverging.fit(&data, validated).unwrap_err().to_string();
        assert!(completed > 2 && error.ends_with(&format!("again those of epoch {completed}")), "{error}");

        let mut until_then = trainer();
        until_then.fit(&data, options(completed)).unwrap();
        assert_eq!(bits(&diverging.objective), bits(&until_then.objective));
        assert_eq!(diverging.steps(), until_then.steps());
    }
}

#[test]
fn a_validation_loss_that_is_no_number_stops_the_training() {
    let ones = |value: f64| Tensor::full([4, 1], value, DType::F32, &cpu()).unwrap();
    let data = TensorDataset::new(ones(1.0), ones(0.0)).unwrap();
    let model = Sequential::new().push(Dense::new(1)).build([1], &cpu(), 1).unwrap();
    let mut trainer = compile(model, Sgd::new(1e300), MeanSquaredError::new());
    let before = bits(&trainer.objective);
    // One step: its loss is that of the first weights, the next ones are infinite.
    let error = trainer.fit(&data, FitOptions::new().validation(&data)).unwrap_err().to_string();
    assert!(error.contains("the validation loss after step 1 is inf; the first values that are not finite"), "{error}");
    assert_eq!(bits(&trainer.objective), before);
}

/// A layer that overflows in training, on some samples only.
#[derive(Module, Describe)]
struct Explosive;

impl Layer for Explosive {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        if ctx.is_training() { x.mul_scalar(1e30)?.exp() } else { Ok(x) }
    }
}

/// What `fit` says of a model whose loss is not finite in its first step.
fn first_words<L: Loss>(model: Sequential, loss: L, data: &dyn Dataset) -> String {
    let mut trainer = compile(model, Sgd::new(0.1), loss);
    let error = trainer.fit(data, FitOptions::new()).unwrap_err().to_string();
    assert!(error.starts_with("fit: the loss of step 1 is ") && trainer.steps() == 0, "{error}");
    error
}

#[test]
fn the_first_layer_that_is_not_finite_is_named() {
    let ones = |columns: usize| Tensor::ones([4, columns], DType::F32, &cpu()).unwrap();
    let data = TensorDataset::new(ones(2), ones(1)).unwrap();
    let dense = |units: usize, value: f64| Dense::new(units).kernel_initializer(Initializer::Constant(value));
    let build = |model: Sequential| model.build([2], &cpu(), 1).unwrap();
    let mse = MeanSquaredError::new();

    // Inside an inner model, after dropout that is drawn again as it was.
    let inner = Sequential::new().push(Dropout::new(0.5)).push(Explosive);
    let model = Sequential::new().push(dense(64, 1.0)).push(inner).push(dense(1, 1.0));
    let error = first_words(build(model), mse, &data);
    assert!(error.contains("not finite are the output of model.1.1 (Explosive): a smaller"), "{error}");
    // Weights that are not finite themselves.
    let mut model = build(Sequential::new().push(dense(3, 1.0)).push(Activation::Tanh).push(dense(1, 1.0)));
    let parameters = model.parameters_mut();
    let (_, weight) = parameters.into_iter().nth(2).unwrap();
    weight.set(Tensor::full([1, 3], f64::NAN, DType::F32, &cpu()).unwrap()).unwrap();
    let error = first_words(model, mse, &data);
    assert!(error.contains("the output of model.2 (Dense)"), "{error}");
    // A loss of its own making, and a penalty.
    let broken = TensorDataset::new(ones(2), Tensor::full([4, 1], f64::INFINITY, DType::F32, &cpu()).unwrap()).unwrap();
    let error = first_words(build(Sequential::new().push(dense(1, 1.0))), mse, &broken);
    assert!(error.contains("the values of all layers are finite"), "{error}");
    let error = first_words(build(Sequential::new().push(dense(1, 1e15).kernel_regularizer(L2(1e30)))), mse, &data);
    assert!(error.contains("the targets, the loss or a penalty"), "{error}");
}

#[test]
fn a_model_of_one_layer_is_named_as_well() {
    let layer = Dense::with_sizes(2, 1, &mut Init::new(1, &cpu())).unwrap();
    let ones = |columns: usize| Tensor::ones([4, columns], DType::F32, &cpu()).unwrap();
    let mut trainer = compile(layer, Sgd::new(0.1), MeanSquaredError::new());
    let narrow = TensorDataset::new(ones(3), ones(1)).unwrap();
    let error = trainer.fit(&narrow, FitOptions::new()).unwrap_err().to_string();
    assert!(error.contains("model (Dense): linear"), "{error}");
    let huge = TensorDataset::new(ones(2).mul_scalar(f64::from(f32::MAX)).unwrap(), ones(1)).unwrap();
    trainer.objective.model.parameters_mut()[0].1.set(Tensor::full([1, 2], 8.0, DType::F32, &cpu()).unwrap()).unwrap();
    let error = trainer.fit(&huge, FitOptions::new()).unwrap_err().to_string();
    assert!(
        error.contains(
            "the loss of step 1 is inf; the first values that are not finite are the output of model (Dense)"
        )
    );
}

#[test]
fn a_flag_ends_the_training_after_the_batch() {
    let (train, test) = (patterns(600, 0), patterns(200, 1));
    // 600 samples are 9 batches of 64 and one of 24. Set in the midst of an epoch, in its last batch, after its validation.
    for (batch, steps, samples) in [(3, 13, 64), (10, 20, 24), (usize::MAX, 20, 24)] {
        let stop = AtomicBool::new(false);
        let mut trainer = trainer(1);
        let options = FitOptions::new().epochs(12).batch_size(64).seed(2).validation(&test).stop(&stop);
        let set_where = |here: bool| stop.fetch_or(here, Ordering::Relaxed);
        let options = options.on_batch(|p| {
            set_where((p.epoch, p.batch) == (2, batch));
        });
        let options = options.on_epoch(|record| {
            set_where(record.epoch == 2);
        });
        let history = trainer.fit(&train, options).unwrap();
        let Progress { epoch, batch: last, batches, samples: size, loss, metric } = history.stopped.unwrap();
        assert_eq!((epoch, last, batches, size, trainer.steps()), (2, batch.min(10), 10, samples, steps));
        // What an epoch reports is what its last batch had come to.
        let record = history.last().unwrap();
        assert_eq!((loss, metric), (Some(record.train.loss), Some(("accuracy", record.train.accuracy()))));
        assert_eq!(history.epochs.len(), 2);
        let validation = record.validation.clone();
        assert_eq!(validation.is_some(), batch == usize::MAX, "what is stopped before its validation has none");
        if let Some(last) = validation {
            // It is of the weights as they are.
            assert!((last.loss - trainer.evaluate(&test).unwrap().loss).abs() < 1e-6);
            assert_eq!(last.metrics, trainer.evaluate(&test).unwrap().metrics);
        }
    }
    let whole = trainer(1).fit(&train, FitOptions::new().stop(&AtomicBool::new(false))).unwrap();
    assert_eq!(whole.stopped, None);
}

/// Sets a flag when a batch is asked for.
struct Stopping<'a> {
    data: ImageDataset,
    asked: AtomicUsize,
    /// The number of the batch.
    at: usize,
    stop: &'a AtomicBool,
}

impl Dataset for Stopping<'_> {
    fn len(&self) -> usize {
        self.data.len()
    }
    fn input_shape(&self) -> &[usize] {
        self.data.input_shape()
    }
    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch> {
        if self.asked.fetch_add(1, Ordering::Relaxed) + 1 == self.at {
            self.stop.store(true, Ordering::Relaxed);
        }
        self.data.batch(indices, upcoming, device)
    }
}

#[test]
fn a_flag_ends_the_validation_after_the_batch() {
    let train = patterns(600, 0);
    let stop = AtomicBool::new(false);
    // 20 batches of 10: the third one of the second epoch's.
    let test = Stopping { data: patterns(200, 1), asked: AtomicUsize::new(0), at: 23, stop: &stop };
    let mut stopping = EarlyStopping::new().patience(1).min_delta(100.0);
    let options = || FitOptions::new().epochs(12).batch_size(10).seed(2);
    let mut trained = trainer(1);
    let history = trained.fit(&train, options().validation(&test).stop(&stop).callback(&mut stopping)).unwrap();
    assert!(test.asked.load(Ordering::Relaxed) <= 24, "the validation went on");
    let Progress { epoch, batch, batches, .. } = history.stopped.unwrap();
    assert_eq!((epoch, batch, batches, history.epochs.len()), (2, 60, 60, 2));
    assert!(history.epochs[0].validation.is_some() && history.epochs[1].validation.is_none());
    assert_eq!(stopping.stopped_epoch(), None, "nothing was measured that could have stopped it");
    // The epoch itself was finished.
    let mut whole = trainer(1);
    whole.fit(&train, options().epochs(2)).unwrap();
    assert_eq!(bits(&trained.objective.model), bits(&whole.objective.model));
    let csv = history.to_csv();
    assert!(csv.lines().last().unwrap().contains(",NaN,NaN,"), "{csv}");
    assert_eq!(csv.lines().map(|line| line.split(',').count()).collect::<Vec<_>>(), [6; 3], "{csv}");
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

/// All of it, once, in an order that does not matter.
#[test]
fn layers_are_adapted_to_data_sets() {
    let data = patterns(1500, 0);
    let mut normalization = Normalization::new().whole();
    adapt(&mut normalization, &data).unwrap();
    let mut pixels = Vec::new();
    Loader::new(&data)
        .plain()
        .epoch(0, |batches| {
            batches.for_each(|batch| pixels.extend(batch.unwrap().inputs.iter().next().unwrap().to_f64_vec().unwrap()));
            Ok(())
        })
        .unwrap();
    let mean = pixels.iter().sum::<f64>() / pixels.len() as f64;
    let variance = pixels.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / pixels.len() as f64;
    let (found_mean, found_variance) = normalization.moments().unwrap();
    assert!((found_mean.value().item().unwrap() - mean).abs() < 1e-12);
    assert!((found_variance.value().item().unwrap() - variance).abs() < 1e-12);

    let x = || Tensor::ones([3, 2], DType::F32, &cpu()).unwrap();
    let two = TensorDataset::new((x(), x()), x()).unwrap();
    let error = adapt(&mut normalization, &two).unwrap_err().to_string();
    assert!(error.contains("the data has 2 inputs, and a layer adapts to one"), "{error}");
    assert_eq!(normalization.moments().unwrap().0.value().dims(), [0usize; 0]);
}
