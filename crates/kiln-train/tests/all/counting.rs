//! What counts in losses, gradients, metrics and an epoch's means: masks, weights of samples, steps and classes, in every
//! combination; against Keras's values (tests/fixtures) and against the steps that count alone.

use kiln_datasets::{Batch, SequenceDataset, TensorDataset, Weights};
use kiln_nn::*;
use kiln_optim::Sgd;
use kiln_tensor::{DType, Device, Result, Tensor};
use kiln_train::*;

fn cpu() -> Device {
    Device::cpu()
}

fn embedded(masked: bool, last: Dense) -> Sequential {
    Sequential::new()
        .push(Embedding::new(7, 2).padding(0).mask_padding(masked))
        .push(SimpleRnn::new(4).return_sequences(true))
        .push(last)
        .build_with(4, &mut Init::new(0, &cpu()).dtype(DType::F64))
        .unwrap()
}

/// How a loss is made, what its predictions end in, how many there are, and what they are held against.
type Case = (fn() -> Box<dyn Loss>, Activation, usize, &'static str);

#[test]
fn losses_gradients_and_accuracies_are_kerass() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/masks.safetensors");
    let values = safetensors::read(path, &cpu()).unwrap();
    let losses: [Case; 4] = [
        (|| Box::new(SparseCategoricalCrossentropy::new()), Activation::Softmax, 3, "labels"),
        (|| Box::new(CategoricalCrossentropy::new()), Activation::Softmax, 3, "soft"),
        (|| Box::new(BinaryCrossentropy::new()), Activation::Sigmoid, 1, "binary"),
        (|| Box::new(MeanSquaredError::new()), Activation::Linear, 3, "numbers"),
    ];
    // Keras's kernels are (in, out); the embedding's rows are ours.
    let ours = |name: &str, value: &Tensor| {
        if name.starts_with("0.") || value.rank() == 1 { value.clone() } else { value.t().unwrap() }
    };
    for (loss, activation, units, target) in losses {
        for (masked, how) in [(true, "masked"), (false, "plain")] {
            let mut model = embedded(masked, Dense::new(units).activation(activation));
            for (name, parameter) in model.parameters_mut() {
                let name = name.replace("_l0", "");
                match values.get(&format!("{units}/{name}")) {
                    Some(value) => parameter.set(ours(&name, value)).unwrap(),
                    None => parameter.set(Tensor::zeros([4], DType::F64, &cpu()).unwrap()).unwrap(),
                }
            }
            // Ours learns no vector of the padding; without a mask Keras does.
            let padding_is_learned = !masked;
            let name = loss().name();
            let objective = Supervised { model, loss: loss() };
            for given in ["none", "samples", "steps"] {
                let case = |what: &str| &values[&format!("{name}/{how}/{given}/{what}")];
                let weights = values.get(&format!("weights/{given}")).cloned();
                let weights = weights.map_or(Weights::Ones, Weights::All);
                let batch = Batch { weights, ..Batch::new(values["tokens"].clone(), values[target].clone()) };
                let outcome = objective.loss(&batch, &Ctx::train(0, 0)).unwrap();
                let evaluated = objective.loss(&batch, &Ctx::eval()).unwrap();
                let close = |what: &str, found: &Tensor, expected: &Tensor| {
                    assert_eq!(found.shape(), expected.shape(), "{name} {how} {given} {what}");
                    for (f, e) in found.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap()) {
                        // Keras divides by the number of steps and 1e-7.
                        assert!(
                            (f - e).abs() < 1e-7 * (1.0 + e.abs()),
                            "{name} {how} {given} {what}: {f}, Keras gives {e}"
                        );
                    }
                };
                close("loss", outcome.loss.tensor(), case("loss"));
                assert_eq!(outcome.loss.item().unwrap(), evaluated.loss.item().unwrap());
                if activation != Activation::Linear {
                    let predictions = outcome.predictions[0].values.as_var().unwrap().tensor();
                    let found = Accuracy.measure(predictions, &batch.targets, outcome.mask.as_deref()).unwrap();
                    let Count::Known(count) = found.count else { panic!("the host knows it") };
                    assert_eq!(count, if masked { 11.0 } else { 20.0 });
                    close(
                        "accuracy",
                        &found.sum.to_dtype(DType::F64).unwrap().mul_scalar(1.0 / count).unwrap(),
                        case("accuracy"),
                    );
                }
                let gradients = outcome.loss.backward().unwrap();
                for (path, parameter) in objective.model.parameters() {
                    let path = path.replace("_l0", "");
                    if let Some(expected) = values.get(&format!("{name}/{how}/{given}/{path}")) {
                        let found = gradients.get(parameter.id()).unwrap();
                        let rows = usize::from(path == "0.weight" && padding_is_learned);
                        let from = |t: &Tensor| t.slice(0, rows..t.dims()[0]).unwrap();
                        close(&path, &from(found), &from(&ours(&path, expected)));
                    }
                }
            }
        }
    }
}

/// Passes a token's row of scores through: what a model says is what its tokens are.
fn saying(masked: bool, last: Activation) -> Sequential {
    let mut model = Sequential::new()
        .push(Embedding::new(4, 4).padding(0).mask_padding(masked))
        .push(last)
        .build([4], &cpu(), 1)
        .unwrap();
    let scores: Vec<f32> = (0..16).map(|i| if i % 5 == 0 { 9.0 } else { 0.0 }).collect();
    model.parameters_mut()[0].1.set(Tensor::from_slice(&scores, [4, 4], &cpu()).unwrap()).unwrap();
    model
}

#[test]
fn padded_steps_count_neither_in_loss_nor_in_accuracy() {
    // Every token is named rightly; the three padded steps of eight have the class 2, which the model does not say.
    let tokens = Tensor::from_slice(&[1i64, 2, 3, 0, 2, 1, 0, 0], [2, 4], &cpu()).unwrap();
    let labels = Tensor::from_slice(&[1i64, 2, 3, 2, 2, 1, 2, 2], [2, 4], &cpu()).unwrap();
    let data = TensorDataset::new(tokens, labels).unwrap();
    let evaluate = |masked| {
        let model = saying(masked, Activation::Softmax);
        compile(model, Sgd::new(0.1), SparseCategoricalCrossentropy::new()).metric(Accuracy).evaluate(&data).unwrap()
    };
    let right = (3.0 * (-9f64).exp()).ln_1p();
    let masked = evaluate(true);
    assert_eq!(masked.accuracy(), 1.0);
    assert!((masked.loss - right).abs() < 1e-7, "{}", masked.loss);
    let plain = evaluate(false);
    assert_eq!(plain.accuracy(), 0.625);
    assert!(plain.loss > 1.0);
}

#[test]
fn a_masking_layer_reaches_loss_and_metrics_and_flatten_ends_it() {
    let x = Tensor::from_slice(&[1.0f32, -1.0, 2.0, -1.0], [2, 2, 1], &cpu()).unwrap();
    let targets = Tensor::from_slice(&[1.0f32, f32::NAN, 4.0, 7.0], [2, 2, 1], &cpu()).unwrap();
    let batch = Batch::new(x.clone(), targets);
    let loss = |model: Sequential, batch: &Batch| {
        let outcome = Supervised { model, loss: MeanSquaredError::new() }.loss(batch, &Ctx::eval()).unwrap();
        (outcome.loss.item().unwrap(), outcome.mask.is_some())
    };
    assert_eq!(loss(Sequential::new().push(Masking::new(-1.0)), &batch), (2.0, true));
    // Steps that are an axis of their own still, and steps that are none.
    let flat = Batch::new(x.clone(), batch.targets.reshape([2, 2]).unwrap());
    assert_eq!(loss(Sequential::new().push(Masking::new(-1.0)).push(Flatten::new()), &flat), (2.0, true));
    let wide = Batch::new(
        x.broadcast_to([2, 2, 3]).unwrap().contiguous().unwrap(),
        Tensor::ones([2, 6], DType::F32, &cpu()).unwrap(),
    );
    let (_, masked) = loss(Sequential::new().push(Masking::new(-1.0)).push(Flatten::new()), &wide);
    assert!(!masked);
    // Branches begin with the mask of their input; within a step there are no steps.
    let block = Residual::new(Sequential::new().push(Dense::new(1)))
        .shortcut(Sequential::new().push(Lstm::new(1).return_sequences(true)));
    let model = Sequential::new().push(Masking::new(-1.0)).push(block).push(TimeDistributed::new(Flatten::new()));
    let model = model.build([2, 1], &cpu(), 1).unwrap();
    let (value, masked) = loss(model, &batch);
    assert!(value.is_finite() && masked);
}

/// Sequences of one to four steps with labels of steps.
fn sequences() -> SequenceDataset {
    let tokens: Vec<Vec<i64>> = vec![vec![1, 2, 3, 1], vec![3], vec![2, 2], vec![1], vec![3, 1, 2], vec![2, 3]];
    let labels = vec![vec![0, 1, 2, 0], vec![1], vec![1, 3], vec![0], vec![2, 2, 1], vec![3, 0]];
    SequenceDataset::of_tokens(tokens, 4).unwrap().labels_of_steps(labels).unwrap()
}

fn trainer() -> Trainer<Supervised<Sequential, SparseCategoricalCrossentropy>, Sgd> {
    let model =
        Sequential::new().push(Embedding::new(4, 4)).push(Lstm::new(3).return_sequences(true)).push(Dense::new(4));
    let model = model.build_with(4, &mut Init::new(2, &cpu()).dtype(DType::F64)).unwrap();
    // Steps so small that they change nothing.
    compile(model, Sgd::new(1e-30), SparseCategoricalCrossentropy::from_logits()).metric(Accuracy)
}

#[test]
fn an_epochs_means_do_not_depend_on_the_batch_size() {
    let data = sequences();
    let expected = trainer().evaluate(&data).unwrap();
    for (batch_size, shuffle) in [(1, false), (2, true), (4, true), (5, false), (6, false)] {
        let options = FitOptions::new().batch_size(batch_size).shuffle(shuffle).seed(3);
        let found = trainer().fit(&data, options).unwrap().epochs.remove(0).train;
        assert!((found.loss - expected.loss).abs() < 1e-12, "{batch_size}: {} {}", found.loss, expected.loss);
        assert!((found.accuracy() - expected.accuracy()).abs() < 1e-12, "{batch_size}");
    }
}

#[test]
fn class_weights_go_by_the_labels_of_steps() {
    let labels: Vec<i64> = vec![0, 1, 2, 2, 1, 1, 0, 2, 3, 3, 0, 1];
    let tokens = Tensor::from_slice(&[1i64, 2, 3, 1, 2, 2, 1, 3, 1, 1, 2, 3], [3, 4], &cpu()).unwrap();
    let of = |class: i64| [2.0, 1.0, 0.5, 0.0][class as usize];
    let own: [f32; 3] = [1.0, 3.0, 0.5];
    let by_step: Vec<f32> = labels.iter().enumerate().map(|(i, &class)| of(class) * own[i / 4]).collect();
    let by_step = Tensor::from_slice(&by_step, [3, 4], &cpu()).unwrap();
    let labels = Tensor::from_slice(&labels, [3, 4], &cpu()).unwrap();
    let one_hot = labels.reshape([12]).unwrap().one_hot(4).unwrap().reshape([3, 4, 4]).unwrap();
    let bits = |targets: &Tensor, sparse: bool, weights: &Tensor, classes: &[(usize, f64)]| {
        let loss: Box<dyn Loss> = if sparse {
            Box::new(SparseCategoricalCrossentropy::from_logits())
        } else {
            Box::new(CategoricalCrossentropy::from_logits())
        };
        let model = saying(true, Activation::Linear);
        let data =
            TensorDataset::new(tokens.clone(), targets.clone()).unwrap().sample_weights(weights.clone()).unwrap();
        let mut trainer = compile(model, Sgd::new(0.5), loss);
        let history = trainer.fit(&data, FitOptions::new().epochs(2).shuffle(false).class_weight(classes)).unwrap();
        let weights = trainer.objective.state_dict()["0.weight"].to_vec::<f32>().unwrap();
        (history.epochs[1].train.loss, weights)
    };
    let classes = [(0, 2.0), (2, 0.5), (3, 0.0)];
    let samples = Tensor::from_slice(&own, [3], &cpu()).unwrap();
    let expected = bits(&labels, true, &by_step, &[]);
    assert_eq!(bits(&labels, true, &samples, &classes), expected);
    assert_eq!(bits(&labels.reshape([3, 4, 1]).unwrap(), true, &samples, &classes), expected);
    assert_eq!(bits(&one_hot, false, &samples, &classes), bits(&one_hot, false, &by_step, &[]));
    let whole = one_hot.to_dtype(DType::I64).unwrap();
    assert_eq!(bits(&whole, false, &samples, &classes), bits(&one_hot, false, &by_step, &[]));
}

#[test]
fn labels_of_numbers_between_0_and_1_are_those_numbers() {
    let model =
        || Sequential::new().push(Dense::new(1).activation(Activation::Sigmoid)).build([3, 1], &cpu(), 1).unwrap();
    let x = Tensor::from_slice(&[0.5f32, -1.0, 2.0, 0.25, 1.0, -0.5], [2, 3, 1], &cpu()).unwrap();
    let targets = Tensor::from_slice(&[0.0f32, 1.0, 1.0, 0.0, 1.0, 0.0], [2, 3, 1], &cpu()).unwrap();
    let weights = targets.mul_scalar(2.0).unwrap().add_scalar(1.0).unwrap().squeeze(2).unwrap();
    let trained = |data: TensorDataset, classes: &[(usize, f64)]| {
        let mut trainer = compile(model(), Sgd::new(0.5), BinaryCrossentropy::new());
        trainer.fit(&data, FitOptions::new().class_weight(classes)).unwrap().epochs[0].train.loss
    };
    let data = |targets: &Tensor| TensorDataset::new(x.clone(), targets.clone()).unwrap();
    let expected = trained(data(&targets).sample_weights(weights).unwrap(), &[]);
    assert_eq!(trained(data(&targets), &[(1, 3.0)]), expected);
    assert_eq!(trained(data(&targets.to_dtype(DType::U8).unwrap()), &[(1, 3.0)]), expected);
}

#[test]
fn a_batch_in_which_nothing_counts_changes_nothing() {
    let model = saying(true, Activation::Softmax);
    let before = model.state_dict()["0.weight"].to_vec::<f32>().unwrap();
    let tokens = Tensor::zeros([3, 4], DType::I64, &cpu()).unwrap();
    let data = TensorDataset::new(tokens, Tensor::full([3, 4], 77.0, DType::I64, &cpu()).unwrap()).unwrap();
    let mut trainer = compile(model, Sgd::new(0.1), SparseCategoricalCrossentropy::new()).metric(Accuracy);
    let epoch = trainer.fit(&data, FitOptions::new()).unwrap().epochs.remove(0).train;
    assert_eq!((epoch.loss, epoch.accuracy()), (0.0, 0.0));
    assert_eq!(trainer.objective.state_dict()["0.weight"].to_vec::<f32>().unwrap(), before);
}

#[test]
fn a_sigmoid_that_is_sure_and_wrong_trains() {
    let layer = Dense::new(1).activation(Activation::Sigmoid).kernel_initializer(Initializer::Constant(1.0));
    let model = Sequential::new().push(layer).build([1], &cpu(), 1).unwrap();
    let number = |value: f32| Tensor::from_slice(&[value], [1, 1], &cpu()).unwrap();
    let data = TensorDataset::new(number(20.0), number(0.0)).unwrap();
    let mut trainer = compile(model, Sgd::new(1.0), BinaryCrossentropy::new());
    assert_eq!(trainer.evaluate(&data).unwrap().loss, 20.0);
    assert_eq!(trainer.fit(&data, FitOptions::new()).unwrap().epochs[0].train.loss, 20.0);
    assert_eq!(trainer.objective.state_dict()["0.weight"].to_vec::<f32>().unwrap(), [-19.0]);
}

#[test]
fn a_model_of_half_types_evaluates_to_finite_numbers() {
    let x = Tensor::from_slice(&[30.0f32, -30.0, 0.5, 12.0], [4, 1], &cpu()).unwrap();
    let targets = Tensor::from_slice(&[1.0f32, 0.0, 1.0, 0.0], [4, 1], &cpu()).unwrap();
    for dtype in [DType::F16, DType::BF16] {
        let mut model = Sequential::new()
            .push(Dense::new(8).activation(Activation::Relu))
            .push(Dense::new(1).activation(Activation::Sigmoid))
            .build([1], &cpu(), 1)
            .unwrap();
        model.to_dtype(dtype).unwrap();
        let data = TensorDataset::new(x.to_dtype(dtype).unwrap(), targets.clone()).unwrap();
        let trainer = compile(model, Sgd::new(0.1), BinaryCrossentropy::new()).metric(Accuracy);
        let evaluation = trainer.evaluate(&data).unwrap();
        assert!(evaluation.loss.is_finite() && evaluation.accuracy().is_finite(), "{dtype}: {evaluation:?}");
    }
}

/// The target itself.
struct Target;

impl MeanMetric for Target {
    fn name(&self) -> &'static str {
        "target"
    }
    fn each(&self, _: &Tensor, targets: &Tensor) -> Result<Tensor> {
        targets.to_dtype(DType::F32)
    }
}

#[test]
fn a_metric_of_ones_own_sees_only_what_counts() {
    let targets = Tensor::from_slice(&[1.0f32, f32::NAN, 3.0, 4.0], [2, 2], &cpu()).unwrap();
    let mask = Tensor::from_slice(&[true, false, true, true], [2, 2], &cpu()).unwrap();
    let Measured { sum, count } = Target.measure(&targets, &targets, Some(&mask)).unwrap();
    assert_eq!(sum.item().unwrap(), 8.0);
    assert!(matches!(count, Count::Known(3.0)));
    // Of each step there may be several values.
    let pairs = targets.unsqueeze(2).unwrap().broadcast_to([2, 2, 5]).unwrap();
    let Measured { sum, count } = Target.measure(&pairs, &pairs, Some(&mask)).unwrap();
    assert_eq!(sum.item().unwrap(), 40.0);
    assert!(matches!(count, Count::Known(15.0)));
}

#[test]
fn accuracy_of_maps_is_that_of_their_pixels() {
    // Two channels of (1, 3): the first is larger at the first and the last pixel.
    let maps = Tensor::from_slice(&[1.0f32, 0.0, 1.0, 0.0, 1.0, 0.5], [1, 2, 1, 3], &cpu()).unwrap();
    let labels = Tensor::from_slice(&[0i64, 1, 1], [1, 1, 3], &cpu()).unwrap();
    let share = |metric: &dyn MeanMetric, maps: &Tensor, labels: &Tensor| {
        let Measured { sum, count } = metric.measure(maps, labels, None).unwrap();
        let Count::Known(count) = count else { panic!("the host knows it") };
        (sum.item().unwrap(), count)
    };
    assert_eq!(share(&Accuracy, &maps, &labels), (2.0, 3.0));
    let one_hot = Tensor::from_slice(&[1.0f32, 0.0, 0.0, 0.0, 1.0, 1.0], [1, 2, 1, 3], &cpu()).unwrap();
    assert_eq!(share(&Accuracy, &maps, &one_hot), (2.0, 3.0));
    let last = maps.permute(&[0, 2, 3, 1]).unwrap().contiguous().unwrap();
    assert_eq!(share(&Accuracy.axis(-1), &last, &labels), (2.0, 3.0));
    let error = Accuracy.each(&last, &labels).unwrap_err().to_string();
    assert!(error.contains("(1, 1, 3, 2)") && error.contains("Accuracy.axis(3)"), "{error}");
    // Cubes, where every axis would fit.
    let cube =
        Tensor::from_slice(&(0..16).map(|i| (i * 7 % 16) as f32).collect::<Vec<_>>(), [2, 2, 2, 2], &cpu()).unwrap();
    let said = cube.argmax(1).unwrap();
    assert_eq!(share(&Accuracy, &cube, &said), (8.0, 8.0));
}
