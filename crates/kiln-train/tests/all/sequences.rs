//! Training on sequences: states carried from batch to batch, steps that fill up, and the adding problem learned.

use kiln_autograd::Var;
use kiln_datasets::{AddingProblem, Batch, Dataset, SequenceDataset, Subset, TensorDataset, TextStreams};
use kiln_nn::*;
use kiln_optim::{Adam, Clip, Sgd};
use kiln_tensor::{Device, Result, Tensor};
use kiln_train::{Accuracy, FitOptions, MeanMetric, Metric, Objective, Perplexity, Supervised, compile};

fn cpu() -> Device {
    Device::cpu()
}

fn sequence(length: usize, stateful: bool) -> Sequential {
    Sequential::new()
        .push(Embedding::new(7, 5))
        .push(Lstm::new(6).return_sequences(true).stateful(stateful))
        .push(Dense::new(7))
        .build([length], &cpu(), 3)
        .unwrap()
}

/// What a model says of a text fed in pieces.
fn said(model: &Sequential, tokens: &[i64], piece: usize, ctx: impl Fn() -> Ctx) -> Vec<f32> {
    model.reset_states();
    let pieces = tokens.chunks(piece).flat_map(|tokens| {
        let x = Tensor::from_slice(tokens, [1, tokens.len()], &cpu()).unwrap();
        model.forward(x, &ctx()).unwrap().into_tensor().to_vec::<f32>().unwrap()
    });
    pieces.collect()
}

#[test]
fn a_stateful_layer_reads_on() {
    let tokens: Vec<i64> = (0..12).map(|i| i * 5 % 7).collect();
    let (stateful, stateless) = (sequence(12, true), sequence(12, false));
    let whole = said(&stateless, &tokens, 12, Ctx::eval);
    assert_eq!(said(&stateful, &tokens, 3, Ctx::eval), whole);
    assert_eq!(said(&stateful, &tokens, 3, || Ctx::train(0, 0)), whole);
    assert_ne!(said(&stateless, &tokens, 3, Ctx::eval), whole);
    // Training and evaluation do not see one another's states; a batch of another size begins anew.
    stateful.reset_states();
    let x = |rows: usize| Tensor::from_slice(&vec![1i64; 2 * rows], [rows, 2], &cpu()).unwrap();
    let first = stateful.forward(x(1), &Ctx::eval()).unwrap();
    let training = stateful.forward(x(1), &Ctx::train(0, 0)).unwrap();
    assert_eq!(first.tensor().to_vec::<f32>().unwrap(), training.tensor().to_vec::<f32>().unwrap());
    let second = stateful.forward(x(1), &Ctx::eval()).unwrap().into_tensor().to_vec::<f32>().unwrap();
    assert_ne!(first.tensor().to_vec::<f32>().unwrap(), second);
    let two = stateful.forward(x(2), &Ctx::eval()).unwrap().into_tensor().to_vec::<f32>().unwrap();
    assert_eq!(two[..14], first.tensor().to_vec::<f32>().unwrap());
}

#[test]
fn each_pass_begins_anew() {
    let text = TextStreams::new((0..200).map(|i| i * i % 7).collect(), 4, 5).unwrap();
    let trained = |epochs: &[usize]| {
        let loss = SparseCategoricalCrossentropy::from_logits();
        let mut trainer = compile(sequence(5, true), Adam::new(0.02).clip_norm(1.0), loss).metric(Accuracy);
        for &epochs in epochs {
            trainer.fit(&text, FitOptions::new().epochs(epochs).validation(&text)).unwrap();
        }
        let evaluation = trainer.evaluate(&text).unwrap();
        assert_eq!(trainer.evaluate(&text).unwrap().loss, evaluation.loss);
        assert!((0.0..=1.0).contains(&evaluation.accuracy()));
        (evaluation.loss, evaluation.accuracy())
    };
    let (loss, accuracy) = trained(&[12]);
    assert_eq!(trained(&[5, 7]).0, loss);
    // Squares modulo 7 repeat every seven steps.
    assert!(accuracy > 0.9, "{loss} {accuracy}");
}

#[test]
fn steps_that_fill_up_do_not_count() {
    let sequences = vec![vec![1, 2, 3], vec![4], vec![5, 6]];
    let labels = vec![vec![2, 3, 4], vec![5], vec![6, 0]];
    let data = SequenceDataset::of_tokens(sequences.clone(), 7).unwrap().labels_of_steps(labels.clone()).unwrap();
    let objective = Supervised { model: sequence(3, false), loss: SparseCategoricalCrossentropy::from_logits() };
    let loss = |batch: &Batch| objective.loss(batch, &Ctx::eval()).unwrap().loss.item().unwrap();
    let batch = data.batch(&[0, 1, 2], &[], &cpu()).unwrap();
    // The mean over the six real steps, of each sequence alone.
    let alone: f64 = (0..3).map(|i| loss(&data.batch(&[i], &[], &cpu()).unwrap()) * sequences[i].len() as f64).sum();
    assert!((loss(&batch) - alone / 6.0).abs() < 1e-6, "{} {}", loss(&batch), alone / 6.0);
    // Without a mask all nine count.
    assert!((loss(&Batch { masks: Vec::new(), ..batch }) - alone / 6.0).abs() > 1e-4);
}

#[test]
fn the_adding_problem_is_learned() {
    let data = AddingProblem::new(2000, 10, 1).unwrap();
    let model = Sequential::new().push(Gru::new(24)).push(Dense::new(1)).build([10, 2], &cpu(), 1).unwrap();
    let mut trainer = compile(model, Adam::new(0.01).clip_norm(1.0), MeanSquaredError::new());
    trainer.fit(&data, FitOptions::new().epochs(10).seed(1)).unwrap();
    let loss = trainer.evaluate(&AddingProblem::new(200, 10, 2).unwrap()).unwrap().loss;
    assert!(loss < 0.02, "{loss}: always saying 1 has 1/6");
}

#[test]
fn a_state_that_explodes_is_named() {
    let data = AddingProblem::new(64, 50, 1).unwrap();
    let layer = SimpleRnn::new(4).relu().recurrent_initializer(Initializer::Constant(50.0));
    let model = Sequential::new().push(layer).push(Dense::new(1)).build([50, 2], &cpu(), 1).unwrap();
    let error = compile(model, Sgd::new(0.1), MeanSquaredError::new()).fit(&data, FitOptions::new()).unwrap_err();
    assert!(error.to_string().contains("model.0 (SimpleRnn)"), "{error}");
}

/// The mask that an `Embedding` makes reaches loss and metrics, also beside a mask of the data's.
#[test]
fn what_the_model_masks_does_not_count() {
    let sequences = [vec![1i64, 2, 3], vec![4], vec![5, 6]];
    let padded: Vec<i64> = sequences.iter().flat_map(|s| s.iter().copied().chain([0; 3]).take(3)).collect();
    let labels: Vec<i64> = padded.iter().map(|&token| (token + 1) % 7).collect();
    let tensor = |values: &[i64]| Tensor::from_slice(values, [3, 3], &cpu()).unwrap();
    let data = TensorDataset::new(tensor(&padded), tensor(&labels)).unwrap();
    let model = Sequential::new()
        .push(Embedding::new(7, 8).padding(0).mask_padding(true))
        .push(Dropout::new(0.1))
        .push(Lstm::new(8).bidirectional(Merge::Concat).return_sequences(true))
        .push(Dense::new(7))
        .build([3], &cpu(), 1)
        .unwrap();
    let mut trainer = compile(model, Adam::new(0.05), SparseCategoricalCrossentropy::from_logits()).metric(Accuracy);
    trainer.fit(&data, FitOptions::new().epochs(60)).unwrap();
    let together = trainer.evaluate(&data).unwrap();
    assert_eq!(together.accuracy(), 1.0, "the steps of filler would be wrong");
    // The mean over the six real steps, of each sequence alone.
    let alone: f64 = (0..3)
        .map(|i| trainer.evaluate(&Subset::new(&data, [i]).unwrap()).unwrap().loss * sequences[i].len() as f64)
        .sum();
    assert!((together.loss - alone / 6.0).abs() < 1e-6, "{} {}", together.loss, alone / 6.0);
}

#[test]
fn a_large_vocabulary_is_measured_part_by_part() {
    // Of 40 sequences, 34 are computed at a time for the metrics.
    let (samples, steps, classes) = (40, 60, Projection::LARGE);
    let model =
        Sequential::new().push(Embedding::new(9, 4)).push(Dense::new(classes)).build([steps], &cpu(), 1).unwrap();
    let numbers = |step: i64, most: i64| {
        let numbers: Vec<i64> = (0..(samples * steps) as i64).map(|at| at * step % most).collect();
        Tensor::from_slice(&numbers, [samples, steps], &cpu()).unwrap()
    };
    let (x, y) = (numbers(5, 9), numbers(7, classes as i64));
    let data = TensorDataset::new(x.clone(), y.clone()).unwrap();
    let loss = SparseCategoricalCrossentropy::from_logits().label_smoothing(0.1);
    let mut trainer = compile(model, Adam::new(0.05), loss).metric(Accuracy).metric(Perplexity::from_logits());
    let history = trainer.fit(&data, FitOptions::new().epochs(30).batch_size(samples)).unwrap();
    let all = trainer.evaluate(&data).unwrap();
    let logits = trainer.predict(&x).unwrap();
    let expected = loss.forward(&Var::from(&*logits), &y).unwrap().item().unwrap();
    assert!((all.loss - expected).abs() < 1e-5, "{} instead of {expected}", all.loss);
    let expected = [Accuracy.of(&logits, &y).unwrap(), Perplexity::from_logits().of(&logits, &y).unwrap()];
    for ((name, value), expected) in all.metrics.iter().zip(&expected) {
        assert!((value - expected.number()).abs() < 1e-6 * value, "{name}: {value} instead of {expected:?}");
    }
    let losses: Vec<f64> = history.epochs.iter().map(|epoch| epoch.train.loss).collect();
    assert!(losses[29] < losses[0] - 1.0, "{losses:?}");
}

/// How many steps of a sample are seen at once.
struct StepsSeen;
impl MeanMetric for StepsSeen {
    fn name(&self) -> &'static str {
        "steps_seen"
    }
    fn each(&self, predictions: &Tensor, _: &Tensor) -> Result<Tensor> {
        let [samples, steps] = [0, 1].map(|axis| predictions.dims()[axis]);
        Tensor::full([samples], steps as f64, predictions.dtype(), predictions.device())
    }
}

#[test]
fn a_long_sample_is_measured_by_steps_where_all_metrics_take_steps() {
    // A sample has more logits than are computed at a time.
    let (samples, steps, classes) = (2, 2100, Projection::LARGE);
    let model = || Sequential::new().push(Embedding::new(9, 2).padding(0).mask_padding(true)).push(Dense::new(classes));
    let numbers = |step: i64, most: i64| {
        let numbers: Vec<i64> = (0..(samples * steps) as i64).map(|at| at * step % most).collect();
        Tensor::from_slice(&numbers, [samples, steps], &cpu()).unwrap()
    };
    let data = TensorDataset::new(numbers(5, 9), numbers(7, classes as i64)).unwrap();
    let measured = |whole: bool| {
        let model = model().build([steps], &cpu(), 1).unwrap();
        let trainer = compile(model, Adam::new(0.05), SparseCategoricalCrossentropy::from_logits());
        let trainer = trainer.metric(Accuracy).metric(Perplexity::from_logits());
        let trainer = if whole { trainer.metric(StepsSeen) } else { trainer };
        trainer.evaluate(&data).unwrap().metrics
    };
    let (by_steps, whole) = (measured(false), measured(true));
    assert_eq!(whole[2].1, steps as f64);
    for ((name, value), (_, expected)) in by_steps.iter().zip(&whole) {
        assert!((value - expected).abs() < 1e-9 * expected.abs().max(1.0), "{name}: {value} instead of {expected}");
    }
}
