//! Hooks: when they are called, what they can see and change, and that the callbacks of `fit` itself are nothing else.

use kiln_autograd::Gradients;
use kiln_datasets::{Dataset, TensorDataset};
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_optim::{Adam, Sgd};
use kiln_tensor::{DType, Device, Result, Tensor};
use kiln_train::*;

fn cpu() -> Device {
    Device::cpu()
}

fn numbers(rows: usize, columns: usize, seed: u64) -> Tensor {
    let stream = RandomStream::new(seed, Purpose::Data, 0);
    Tensor::uniform([rows, columns], -1.0, 1.0, DType::F32, &cpu(), stream).unwrap()
}

fn data(rows: usize) -> TensorDataset {
    TensorDataset::new(numbers(rows, 3, 1), numbers(rows, 2, 2)).unwrap()
}

type Model = Trainer<Supervised<Sequential, MeanSquaredError>, Adam>;

fn trainer() -> Model {
    let model =
        Sequential::new().push(Dense::new(4)).push(BatchNorm1d::new()).push(Dropout::new(0.2)).push(Dense::new(2));
    compile(model.build([3], &cpu(), 1).unwrap(), Adam::new(0.05), MeanSquaredError::new())
}

fn values<M: Module>(model: &M) -> Vec<Vec<f64>> {
    model.state_dict().values().map(|value| value.to_f64_vec().unwrap()).collect()
}

/// Notes every hook, with the counters of the state and how many gradients there are.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn note(&mut self, hook: &str, run: &Run<'_>) -> Result<()> {
        let TrainState { epoch, batch, step, .. } = *run.state;
        self.0.push(format!("{hook} {epoch}.{batch}.{step} {} {}", run.gradients.len(), u8::from(run.batch.is_some())));
        Ok(())
    }
}

impl Callback for Notes {
    fn on_fit_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.note("fit begin", run)
    }
    fn on_epoch_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.note("epoch begin", run)
    }
    fn on_batch_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.note("batch begin", run)
    }
    fn on_step_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.note("step begin", run)
    }
    fn on_step_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.note("step end", run)
    }
    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.note("batch end", run)
    }
    fn on_validation_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.note("validation begin", run)
    }
    fn on_validation_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.note("validation batch end", run)
    }
    fn on_validation_end(&mut self, run: &mut Run<'_>, evaluation: &Evaluation) -> Result<()> {
        assert_eq!(run.evaluate(run.validation().unwrap()).unwrap(), *evaluation);
        self.note("validation end", run)
    }
    fn on_epoch_end(&mut self, run: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        assert_eq!(run.state.history.last(), Some(record));
        self.note("epoch end", run)
    }
    fn on_fit_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.note("fit end", run)
    }
}

#[test]
fn hooks_come_in_their_order() {
    let (mut notes, test) = (Notes::default(), data(3));
    // Three batches, of which two make a step.
    let options = FitOptions::new().batch_size(2).accumulate(2).validation(&test).callback(&mut notes);
    trainer().fit(&data(6), options).unwrap();
    let expected = [
        "fit begin 0.0.0 0 0",
        "epoch begin 0.0.0 0 0",
        "batch begin 0.0.0 0 1",
        "batch end 0.1.0 0 1",
        "batch begin 0.1.0 0 1",
        "step begin 0.1.0 6 1",
        "step end 0.2.1 6 1",
        "batch end 0.2.1 0 1",
        "batch begin 0.2.1 0 1",
        "step begin 0.2.1 6 1",
        "step end 0.3.2 6 1",
        "batch end 0.3.2 0 1",
        "validation begin 0.3.2 0 0",
        "validation batch end 0.3.2 0 0",
        "validation batch end 0.3.2 0 0",
        "validation end 0.3.2 0 0",
        "epoch end 1.0.2 0 0",
        "fit end 1.0.2 0 0",
    ];
    assert_eq!(notes.0, expected);
}

/// A hook made of two closures.
struct Hook<S, B>(S, B);

impl<S: FnMut(&mut Run<'_>) -> Result<()> + Send, B: FnMut(&mut Run<'_>) -> Result<()> + Send> Callback for Hook<S, B> {
    fn on_step_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        (self.0)(run)
    }
    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        (self.1)(run)
    }
}

fn nothing(_: &mut Run<'_>) -> Result<()> {
    Ok(())
}

#[test]
fn a_callback_can_change_gradients_optimizer_and_batch() {
    let frozen = |options: FitOptions<'_>| {
        let mut trainer = trainer();
        let before: Vec<_> =
            trainer.objective.parameters().iter().map(|(_, p)| p.value().to_f64_vec().unwrap()).collect();
        trainer.fit(&data(40), options).unwrap();
        let after: Vec<_> =
            trainer.objective.parameters().iter().map(|(_, p)| p.value().to_f64_vec().unwrap()).collect();
        before == after
    };
    assert!(!frozen(FitOptions::new()));
    let zero = |run: &mut Run<'_>| {
        let mut zeros = Gradients::default();
        for (id, gradient) in run.gradients.iter() {
            zeros.insert(id, gradient.mul_scalar(0.0)?);
        }
        run.gradients = zeros;
        Ok(())
    };
    assert!(frozen(FitOptions::new().callback(Hook(zero, nothing))));
    let stand = |run: &mut Run<'_>| {
        run.optimizer.set_learning_rate(0.0);
        Ok(())
    };
    assert!(frozen(FitOptions::new().callback(Hook(stand, nothing))));
}

#[test]
fn evaluating_in_a_callback_changes_no_bit() {
    let (data, test) = (data(40), data(30));
    let (mut plain, mut watched) = (trainer(), trainer());
    plain.fit(&data, FitOptions::new().epochs(2).batch_size(8)).unwrap();
    let mut losses = Vec::new();
    let evaluate = |run: &mut Run<'_>| {
        losses.push(run.evaluate(&test)?.loss);
        let batch = test.batch(&[0, 1], &[], &cpu())?;
        let outcome = run.model.loss(&batch, &Ctx::eval())?;
        assert_eq!(outcome.predictions[0].values.as_var().unwrap().dims(), [2, 2]);
        Ok(())
    };
    let options = FitOptions::new().epochs(2).batch_size(8).validation(&test).validate_every(3);
    let history = watched.fit(&data, options.callback(Hook(nothing, evaluate))).unwrap();
    assert_eq!(values(&watched.objective), values(&plain.objective));
    assert_eq!(losses.len(), 10);
    // After steps 3, 6 and 9, and after each epoch of 5.
    let at: Vec<u64> = history.validations.iter().map(|(step, _)| *step).collect();
    assert_eq!(at, [3, 6, 9]);
    for (step, evaluation) in &history.validations {
        assert!((evaluation.loss - losses[*step as usize - 1]).abs() < 1e-12);
    }
    assert!((history.epochs[0].value("val_loss").unwrap() - losses[4]).abs() < 1e-12);
}

#[test]
fn parameters_and_buffers_never_move() {
    let mut trainer = trainer();
    let places =
        |trainer: &Model| -> Vec<usize> { trainer.objective.state_dict().values().map(Tensor::storage_id).collect() };
    let before = places(&trainer);
    let test = data(8);
    let stopping = EarlyStopping::new().restore_best_weights(true).patience(10);
    trainer.fit(&data(40), FitOptions::new().epochs(4).validation(&test).callback(stopping)).unwrap();
    assert_eq!(places(&trainer), before);
    // Not when the training diverges either.
    let huge = TensorDataset::new(numbers(8, 3, 1), Tensor::full([8, 2], 1e30, DType::F32, &cpu()).unwrap()).unwrap();
    trainer.fit(&huge, FitOptions::new()).unwrap_err();
    assert_eq!(places(&trainer), before);
}

/// Ten numbers, one of them as given.
fn ten(at: usize, value: f32) -> TensorDataset {
    let mut inputs = vec![0.5f32; 10];
    inputs[at] = value;
    let inputs = Tensor::from_slice(&inputs, [10, 1], &cpu()).unwrap();
    TensorDataset::new(inputs, Tensor::ones([10, 1], DType::F32, &cpu()).unwrap()).unwrap()
}

fn line() -> Trainer<Supervised<Sequential, MeanSquaredError>, Sgd> {
    let model = Sequential::new().push(Dense::new(1)).build([1], &cpu(), 1).unwrap();
    compile(model, Sgd::new(0.1), MeanSquaredError::new())
}

#[test]
fn a_validation_that_is_not_finite_is_explained_by_its_batch() {
    let (train, test) = (ten(0, 0.5), ten(9, f32::NAN));
    let error = line().fit(&train, FitOptions::new().batch_size(2).validation(&test)).unwrap_err().to_string();
    assert!(error.contains("the validation loss after step 5 is NaN; the first values that are not finite"), "{error}");
    assert!(error.contains("are the input of model (Sequential)"), "{error}");
}

#[test]
fn without_a_snapshot_the_weights_are_those_of_the_last_step() {
    let data = ten(5, f32::NAN);
    let options = || FitOptions::new().batch_size(2).shuffle(false);
    let mut trainer = line();
    let error = trainer.fit(&data, options().snapshot(false)).unwrap_err().to_string();
    assert!(error.contains("loss of step 3 is NaN") && error.ends_with("those of the last step before"), "{error}");
    let mut two = line();
    two.fit(&ten(0, 0.5), options().steps_per_epoch(2)).unwrap();
    assert_eq!((trainer.steps(), values(&trainer.objective)), (2, values(&two.objective)));
    // A batch whose step is still to come is looked at as well.
    let mut trainer = line();
    let before = values(&trainer.objective);
    let error = trainer.fit(&data, options().accumulate(5)).unwrap_err().to_string();
    assert!(error.contains("loss of step 1 is NaN") && error.ends_with("those that it began with"), "{error}");
    assert_eq!((trainer.steps(), values(&trainer.objective)), (0, before));
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let refused = |options: FitOptions<'_>| line().fit(&ten(0, 0.5), options).unwrap_err().to_string();
    assert!(refused(FitOptions::new().steps_per_epoch(0)).contains("steps_per_epoch(0)"));
    assert!(refused(FitOptions::new().accumulate(0)).contains("accumulate(0)"));
    assert!(refused(FitOptions::new().validate_every(2)).contains("give it with `validation`"));
    assert!(refused(FitOptions::new().validation_split(0.5).validate_every(0)).contains("validate_every(0)"));
    assert!(refused(FitOptions::new().clip_norm(0.0)).contains("clip_norm(0)"));
    assert!(refused(FitOptions::new().clip_value(f64::NAN)).contains("clip_value(NaN)"));
}

#[test]
fn data_too_small_to_split_by_class_says_the_way_out() {
    // Of ten samples of eight classes, two at most can be held out.
    let labels: Vec<i64> = (0..10).map(|i| i % 8).collect();
    let data = TensorDataset::new(numbers(10, 3, 1), Tensor::from_slice(&labels, [10], &cpu()).unwrap()).unwrap();
    let model = Sequential::new().push(Dense::new(8)).build([3], &cpu(), 1).unwrap();
    let mut trainer = compile(model, Sgd::new(0.1), SparseCategoricalCrossentropy::from_logits());
    let error = trainer.fit(&data, FitOptions::new().validation_split(0.5)).unwrap_err().to_string();
    assert!(error.contains("FitOptions::validation takes one of its parts"), "{error}");
    let [train, test] = data.split(0.5, 1).unwrap();
    trainer.fit(&train, FitOptions::new().validation(&test)).unwrap();
}
