//! A training that was stopped and goes on in another trainer has the bits of one that was not.

use kiln_datasets::{AddingProblem, Augmentation, Dataset, ImageDataset, TensorDataset, TextStreams};
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_optim::Adam;
use kiln_tensor::{Device, Tensor};
use kiln_train::*;

type Model = Trainer<Supervised<Sequential, SparseCategoricalCrossentropy>, Adam>;

fn cpu() -> Device {
    Device::cpu()
}

/// Images that are turned and shifted, with a validation set.
fn images(count: usize, part: u64) -> ImageDataset {
    let mut stream = RandomStream::new(7, Purpose::Data, part);
    let pixels = (0..count * 36).map(|_| stream.below(256) as u8).collect();
    let data = ImageDataset::new(pixels, (0..count).map(|i| (i % 3) as u8).collect(), &[6, 6], 3).unwrap();
    data.augment(Augmentation::new().rotation(20.0).width_shift(0.2)).unwrap()
}

/// Batch normalization, dropout, Adam.
fn classifier() -> Model {
    let model = Sequential::new()
        .push(Flatten::new())
        .push(Dense::new(8).activation(Activation::Relu))
        .push(BatchNorm1d::new())
        .push(Dropout::new(0.3))
        .push(Dense::new(3).activation(Activation::Softmax));
    let model = model.build([6, 6], &cpu(), 1).unwrap();
    compile(model, Adam::new(0.01), SparseCategoricalCrossentropy::new())
        .metric(Accuracy)
        .metric(F1::new().average(ClassAverage::Macro))
        .metric(Auc::new())
        .metric(Named("auc.200", Auc::new().thresholds(200)))
        .metric(ConfusionMatrix::new())
}

/// An LSTM that carries its states from batch to batch.
fn reader() -> Model {
    let model = Sequential::new()
        .push(Embedding::new(5, 4))
        .push(Lstm::new(6).layers(2).dropout(0.2).return_sequences(true).stateful(true))
        .push(Dense::new(5));
    let model = model.build([4], &cpu(), 1).unwrap();
    compile(model, Adam::new(0.01), SparseCategoricalCrossentropy::from_logits()).metric(Accuracy)
}

fn text(length: usize) -> TextStreams {
    TextStreams::new((0..length).map(|i| (i * i / 3 % 5) as i64).collect(), 3, 4).unwrap()
}

/// All of a trainer's state, bit for bit, without the time it took.
fn bits(trainer: &Model) -> Vec<(String, Vec<u64>)> {
    let state = trainer.state_dict().unwrap().into_iter().filter(|(name, _)| !name.ends_with(".seconds"));
    state.map(|(name, value)| (name, value.to_f64_vec().unwrap().into_iter().map(f64::to_bits).collect())).collect()
}

/// Ends the training after a batch.
struct StopAfter {
    epoch: u64,
    batch: u64,
}

impl Callback for StopAfter {
    fn on_batch_end(&mut self, run: &mut Run<'_>) -> kiln_tensor::Result<()> {
        if (run.state.epoch + 1, run.state.batch) == (self.epoch, self.batch) {
            run.stop();
        }
        Ok(())
    }
}

/// Another trainer with what the first has left, through what a file would keep.
fn moved(from: &Model, make: fn() -> Model) -> Model {
    let mut to = make();
    to.objective.load_state_dict(&from.objective.state_dict(), true).unwrap();
    to.optimizer.load_state_dict(&from.optimizer.state_dict().unwrap()).unwrap();
    to.state.load_state_dict(&from.state.state_dict().unwrap()).unwrap();
    // What the first does from now on is nothing to the second.
    to
}

/// Six epochs at once, and stopped after each of these batches.
fn stopped_is_whole(
    make: fn() -> Model,
    data: &dyn Dataset,
    options: fn() -> FitOptions<'static>,
    stops: &[(u64, u64)],
) {
    let test = images(10, 9);
    let test_text = text(60);
    let validation: &dyn Dataset = if data.input_shape() == [6, 6] { &test } else { &test_text };
    let mut whole = make();
    let history = whole.fit(data, options().epochs(6).seed(5).validation(validation)).unwrap();
    for &(epoch, batch) in stops {
        let mut first = make();
        let stop = StopAfter { epoch, batch };
        let part = first.fit(data, options().epochs(6).seed(5).validation(validation).callback(stop)).unwrap();
        assert_eq!(part.stopped.unwrap().batch as u64, batch);
        let mut second = moved(&first, make);
        // The first trainer is asked for other things in between.
        second.evaluate(validation).unwrap();
        let done = second.state.epoch as usize;
        let rest = second.fit(data, options().epochs(6 - done).validation(validation)).unwrap();
        assert_eq!(bits(&second), bits(&whole), "stopped after batch {batch} of epoch {epoch}");
        let numbers = |record: &EpochRecord| (record.epoch, record.train.clone(), record.validation.clone());
        let expected: Vec<_> = history.epochs[done..].iter().map(numbers).collect();
        assert_eq!(rest.epochs.iter().map(numbers).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn augmented_images_with_batch_normalization_and_dropout() {
    // 9 batches: stopped at the beginning, in the middle, before the validation, and between epochs 3 and 4.
    let data = images(70, 0);
    stopped_is_whole(classifier, &data, || FitOptions::new().batch_size(8), &[(1, 1), (4, 5), (4, 9)]);
    // Three of six epochs.
    let mut whole = classifier();
    whole.fit(&data, FitOptions::new().epochs(6).seed(3)).unwrap();
    let mut first = classifier();
    first.fit(&data, FitOptions::new().epochs(3).seed(3)).unwrap();
    let mut second = moved(&first, classifier);
    second.fit(&data, FitOptions::new().epochs(3)).unwrap();
    assert_eq!(bits(&second), bits(&whole));
}

#[test]
fn gradients_of_several_batches_and_epochs_of_some_steps() {
    let data = images(70, 0);
    let options = || FitOptions::new().batch_size(8).accumulate(2).clip_norm(0.5).validate_every(2);
    stopped_is_whole(classifier, &data, options, &[(2, 4), (4, 6)]);
    stopped_is_whole(classifier, &data, || FitOptions::new().batch_size(8).steps_per_epoch(5), &[(4, 1), (5, 3)]);
}

#[test]
fn states_of_a_stateful_lstm() {
    // 13 batches of 3 streams; the validation in between carries states of its own.
    stopped_is_whole(reader, &text(160), FitOptions::new, &[(1, 1), (4, 7), (5, 13)]);
    let options = || FitOptions::new().validate_every(3).steps_per_epoch(5);
    stopped_is_whole(reader, &text(160), options, &[(4, 2)]);
    // Between epochs that are pieces of a pass, states are carried too.
    let (data, options) = (text(160), || FitOptions::new().epochs(3).steps_per_epoch(5));
    let (mut whole, mut first) = (reader(), reader());
    whole.fit(&data, options().epochs(6)).unwrap();
    first.fit(&data, options()).unwrap();
    let mut second = moved(&first, reader);
    second.fit(&data, options()).unwrap();
    assert_eq!(bits(&second), bits(&whole));
}

#[test]
fn a_trainers_state_is_all_of_it() {
    let data = images(70, 0);
    let mut whole = classifier();
    whole.fit(&data, FitOptions::new().epochs(3).seed(5)).unwrap();
    let mut first = classifier();
    first.fit(&data, FitOptions::new().epochs(2).seed(5).callback(StopAfter { epoch: 2, batch: 1 })).unwrap();
    let mut second = classifier();
    second.load_state_dict(&first.state_dict().unwrap()).unwrap();
    second.fit(&data, FitOptions::new().epochs(2)).unwrap();
    assert_eq!(bits(&second), bits(&whole));
    // A state of something else changes nothing.
    let before = bits(&second);
    let good = first.state_dict().unwrap();
    let mut changed = |change: &dyn Fn(&mut StateDict)| {
        let mut state = good.clone();
        change(&mut state);
        second.load_state_dict(&state).unwrap_err().to_string()
    };
    let one = || Tensor::ones([1], kiln_tensor::DType::F32, &cpu()).unwrap();
    assert!(changed(&|state| drop(state.remove("state.seed"))).contains("`seed` is missing"));
    assert!(changed(&|state| drop(state.insert("state.epoch".into(), one()))).contains("`epoch`"));
    assert!(changed(&|state| drop(state.insert("state.what".into(), one()))).contains("`what` does not belong"));
    assert!(changed(&|state| drop(state.insert("model.9.weight".into(), one()))).contains("9.weight"));
    assert!(changed(&|state| drop(state.insert("other".into(), one()))).contains("`other` is not the state"));
    assert!(changed(&|state| drop(state.insert("state.history.x".into(), one()))).contains("not a column"));
    assert_eq!(bits(&second), before);
}

#[test]
fn the_rest_of_an_epoch_is_of_the_same_data() {
    let data = images(70, 0);
    let mut trainer = classifier();
    trainer.fit(&data, FitOptions::new().seed(5).callback(StopAfter { epoch: 1, batch: 1 })).unwrap();
    for options in [FitOptions::new().batch_size(7), FitOptions::new().seed(6), FitOptions::new().shuffle(false)] {
        let error = trainer.fit(&data, options).unwrap_err().to_string();
        assert!(error.contains("epoch 1 was left after batch 1") && error.contains("leave_epoch"), "{error}");
    }
    assert!(trainer.fit(&images(69, 0), FitOptions::new()).is_err());
    trainer.state.leave_epoch();
    let history = trainer.fit(&images(69, 0), FitOptions::new().seed(6)).unwrap();
    assert_eq!((history.epochs[0].epoch, trainer.state.epoch, trainer.state.batch), (2, 2, 0));
}

#[test]
fn early_stopping_goes_on_with_what_it_has_seen() {
    let (data, test) = (images(70, 0), images(20, 9));
    let options = || FitOptions::new().seed(5).batch_size(8).validation(&test);
    let resumed = |first: &Model, before: &EarlyStopping, mut after: EarlyStopping| {
        let mut second = classifier();
        second.load_state_dict(&first.state_dict().unwrap()).unwrap();
        after.load_state_dict(&before.state_dict().unwrap()).unwrap();
        (second, after)
    };
    // By `loss`, an epoch that is left in the middle reports one too.
    for monitor in ["val_accuracy", "loss"] {
        let stopping = || EarlyStopping::new().patience(3).restore_best_weights(true).monitor(monitor);
        let (mut whole, mut at_once) = (classifier(), stopping());
        let history = whole.fit(&data, options().epochs(40).callback(&mut at_once)).unwrap();
        let epochs = history.epochs.len();
        assert!(epochs > 3 && epochs < 40, "{monitor}: {epochs}");
        // After whole epochs, whose best weights the model has then, and in the middle of one. The epoch before the last is not the best.
        let last = epochs as u64 - 1;
        for (epoch, batch) in [(2, 9), (2, 1), (last, 9), (last, 4)] {
            let (mut first, mut before) = (classifier(), stopping());
            let stop = StopAfter { epoch, batch };
            first.fit(&data, options().epochs(40).callback(&mut before).callback(stop)).unwrap();
            let (mut second, mut after) = resumed(&first, &before, stopping());
            second.fit(&data, options().until_epoch(40).callback(&mut after)).unwrap();
            let seen = |stopping: &EarlyStopping| (stopping.best_epoch(), stopping.stopped_epoch());
            assert_eq!(seen(&after), seen(&at_once), "{monitor}: stopped after batch {batch} of epoch {epoch}");
            assert_eq!(bits(&second), bits(&whole), "{monitor}: stopped after batch {batch} of epoch {epoch}");
        }
    }
    let strange = StateDict::from([("what".to_owned(), Tensor::scalar(1i64, &cpu()).unwrap())]);
    assert!(EarlyStopping::new().load_state_dict(&strange).unwrap_err().to_string().contains("`wait` is missing"));
}

#[test]
fn three_epochs_and_three_more_with_the_best_weights_are_six() {
    let (data, test) = (images(70, 0), images(20, 9));
    let stopping = || EarlyStopping::new().patience(9).restore_best_weights(true);
    let options = || FitOptions::new().seed(5).batch_size(8).validation(&test);
    let (mut whole, mut at_once) = (classifier(), stopping());
    whole.fit(&data, options().epochs(6).callback(&mut at_once)).unwrap();
    let (mut first, mut before) = (classifier(), stopping());
    first.fit(&data, options().epochs(3).callback(&mut before)).unwrap();
    let (mut second, mut after) = (classifier(), stopping());
    second.load_state_dict(&first.state_dict().unwrap()).unwrap();
    after.load_state_dict(&before.state_dict().unwrap()).unwrap();
    second.fit(&data, options().epochs(3).callback(&mut after)).unwrap();
    assert_eq!(bits(&second), bits(&whole));
    assert_eq!(after.best_epoch(), at_once.best_epoch());
    // Without a state that was loaded, a second `fit` goes on from the best weights.
    let mut plain = classifier();
    plain.load_state_dict(&first.state_dict().unwrap()).unwrap();
    plain.fit(&data, options().epochs(3)).unwrap();
    first.fit(&data, options().epochs(3)).unwrap();
    assert_eq!(bits(&first), bits(&plain));
}

/// A run that is gone on with in the middle of an epoch and then diverges has the weights, counters and history of one that was not
/// stopped: those of the epoch's beginning.
#[test]
fn a_resumed_run_that_diverges_goes_back_as_far() {
    let data = images(70, 0);
    struct Diverge(u64);
    impl Callback for Diverge {
        fn on_batch_begin(&mut self, run: &mut Run<'_>) -> kiln_tensor::Result<()> {
            if run.state.batches == self.0
                && let Some(batch) = &mut run.batch
            {
                batch.inputs = batch.inputs.try_map(|input| input.mul_scalar(f64::NAN))?;
            }
            Ok(())
        }
    }
    let options = || FitOptions::new().batch_size(8).seed(5);
    // 9 batches an epoch.
    for (epoch, batches, says) in [(1, 5, "again those before the first epoch"), (3, 23, "again those of epoch 2")] {
        let mut whole = classifier();
        let error = whole.fit(&data, options().epochs(4).callback(Diverge(batches))).unwrap_err().to_string();
        assert!(error.contains("the weights are again those"), "{error}");
        let mut first = classifier();
        first.fit(&data, options().epochs(4).callback(StopAfter { epoch, batch: 2 })).unwrap();
        let mut second = classifier();
        second.load_state_dict(&first.state_dict().unwrap()).unwrap();
        let error = second.fit(&data, options().epochs(4).callback(Diverge(batches))).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert_eq!((second.state.epoch, second.state.batch), (epoch - 1, 0));
        let model =
            |model: &Model| bits(model).into_iter().filter(|(name, _)| !name.starts_with("optimizer")).collect();
        let (found, expected): (Vec<_>, Vec<_>) = (model(&second), model(&whole));
        assert_eq!(found, expected);
    }
}

#[test]
fn data_without_an_end_needs_steps_per_epoch() {
    let model = || Sequential::new().push(SimpleRnn::new(4)).push(Dense::new(1)).build([5, 2], &cpu(), 1).unwrap();
    let trainer = || compile(model(), Adam::new(0.01), MeanSquaredError::new());
    let endless = AddingProblem::new(usize::MAX, 5, 1).unwrap();
    let error = trainer().fit(&endless, FitOptions::new()).unwrap_err().to_string();
    assert!(error.contains("no end") && error.contains("steps_per_epoch"), "{error}");
    let error = trainer().fit(&endless, FitOptions::new().steps_per_epoch(3).validation(&endless)).unwrap_err();
    assert!(error.to_string().contains("validation data has no end"), "{error}");
    // Two epochs of 3 batches are the first 6 batches.
    let mut by_steps = trainer();
    by_steps.fit(&endless, FitOptions::new().epochs(2).steps_per_epoch(3)).unwrap();
    let mut by_pass = trainer();
    let beginning = AddingProblem::new(6 * 32, 5, 1).unwrap();
    by_pass.fit(&beginning, FitOptions::new().shuffle(false)).unwrap();
    let weights = |trainer: &Trainer<Supervised<Sequential, MeanSquaredError>, Adam>| {
        trainer.objective.state_dict().values().map(|value| value.to_f64_vec().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((weights(&by_steps), by_steps.state.epoch), (weights(&by_pass), 2));
}

#[test]
fn gradients_of_several_batches_are_their_mean() {
    let stream = |at| RandomStream::new(3, Purpose::Data, at);
    let numbers =
        |columns, at| Tensor::uniform([24, columns], -1.0, 1.0, kiln_tensor::DType::F64, &cpu(), stream(at)).unwrap();
    let data = TensorDataset::new(numbers(3, 0), numbers(2, 1)).unwrap();
    let trained = |options: FitOptions<'_>| {
        let mut model = Sequential::new().push(Dense::new(2)).build([3], &cpu(), 1).unwrap();
        model.to_dtype(kiln_tensor::DType::F64).unwrap();
        let mut trainer = compile(model, kiln_optim::Sgd::new(0.1), MeanSquaredError::new());
        trainer.fit(&data, options.epochs(2).shuffle(false)).unwrap();
        let values = trainer.objective.state_dict().values().flat_map(|v| v.to_f64_vec().unwrap()).collect::<Vec<_>>();
        (trainer.steps(), values)
    };
    let close = |a: (u64, Vec<f64>), b: (u64, Vec<f64>)| {
        assert_eq!(a.0, b.0);
        assert!(a.1.iter().zip(&b.1).all(|(a, b)| (a - b).abs() < 1e-12), "{a:?} {b:?}");
    };
    // 4 batches of 6, two a step, are 2 of 12.
    close(trained(FitOptions::new().batch_size(6).accumulate(2)), trained(FitOptions::new().batch_size(12)));
    // The last step of an epoch is of what is left: 3 batches of 8 as 16 and 8.
    assert_eq!(trained(FitOptions::new().batch_size(8).accumulate(2)).0, 4);
    // Clipping as an option is that of the optimizer.
    let mut model = Sequential::new().push(Dense::new(2)).build([3], &cpu(), 1).unwrap();
    model.to_dtype(kiln_tensor::DType::F64).unwrap();
    let optimizer = kiln_optim::Clip::clip_norm(kiln_optim::Sgd::new(0.1), 0.3);
    let mut clipped = compile(model, optimizer, MeanSquaredError::new());
    clipped.fit(&data, FitOptions::new().epochs(2).shuffle(false)).unwrap();
    let values = clipped.objective.state_dict().values().flat_map(|v| v.to_f64_vec().unwrap()).collect::<Vec<_>>();
    assert_eq!(trained(FitOptions::new().clip_norm(0.3)), (2, values));
    assert_ne!(trained(FitOptions::new().clip_value(0.01)), trained(FitOptions::new()));
}
