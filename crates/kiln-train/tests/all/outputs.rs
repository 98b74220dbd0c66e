//! Models with several inputs and outputs through compile, fit, evaluate and predict.

use kiln_datasets::{Batch, TensorDataset};
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_optim::Adam;
use kiln_tensor::{DType, Device, Tensor};
use kiln_train::*;

fn cpu() -> Device {
    Device::cpu()
}

fn normal(shape: [usize; 2], number: u64) -> Tensor {
    Tensor::normal(shape, 0.0, 1.0, DType::F32, &cpu(), RandomStream::new(3, Purpose::Data, number)).unwrap()
}

/// Two inputs; whether the first sum is the larger, and the product of the first two numbers.
fn data() -> TensorDataset {
    let (a, b) = (normal([256, 3], 0), normal([256, 2], 1));
    let larger = a.sum(1).unwrap().gt(&b.sum(1).unwrap()).unwrap().to_dtype(DType::I64).unwrap();
    let sum = a.slice(1, 0..1).unwrap().add(&b.slice(1, 0..1).unwrap()).unwrap();
    TensorDataset::new((a, b), (larger, sum)).unwrap()
}

fn model() -> Graph {
    let mut g = Graph::new();
    let (a, b) = (g.input([3]), g.input([2]));
    let both = g.concat(&[&a, &b]).unwrap();
    let h = g.call(Dense::new(16).activation(Activation::Relu), &both).unwrap();
    let larger = g.call_named("larger", Dense::new(2).activation(Activation::Softmax), &h).unwrap();
    let sum = g.call_named("sum", Dense::new(1), &h).unwrap();
    g.build(&[&a, &b], &[&larger, &sum], &cpu(), 1).unwrap()
}

fn losses() -> Losses {
    Losses::new().weighted("sum", 0.5, MeanSquaredError::new()).output("larger", SparseCategoricalCrossentropy::new())
}

#[test]
fn each_output_has_its_loss_weight_and_metrics() {
    let data = data();
    let mut trainer = compile(model(), Adam::new(0.02), losses()).metric_of("larger", Accuracy);
    let before = trainer.evaluate(&data).unwrap().loss;
    let history = trainer.fit(&data, FitOptions::new().epochs(30)).unwrap();
    let after = trainer.evaluate(&data).unwrap();
    assert!(after.loss < 0.2 * before && after.metric("larger_accuracy").unwrap() > 0.95, "{before} {after:?}");
    assert!(history.to_csv().starts_with("epoch,loss,larger_loss,sum_loss,larger_accuracy,seconds\n"));
    // The sum of the two, each alone.
    let predictions = trainer.predict((normal([256, 3], 0), normal([256, 2], 1))).unwrap();
    let outputs: Vec<&Tensor> = predictions.iter().collect();
    assert_eq!((outputs[0].dims(), outputs[1].dims()), (&[256, 2][..], &[256, 1][..]));
    let targets = kiln_datasets::Dataset::batch(&data, &(0..256).collect::<Vec<_>>(), &[], &cpu()).unwrap().targets;
    let targets: Vec<&Tensor> = targets.iter().collect();
    let larger = SparseCategoricalCrossentropy::new().forward(&outputs[0].into(), targets[0]).unwrap().item().unwrap();
    let sum = MeanSquaredError::new().forward(&outputs[1].into(), targets[1]).unwrap().item().unwrap();
    assert!((after.loss - larger - 0.5 * sum).abs() < 1e-5, "{} {larger} {sum}", after.loss);
    let near = |name: &str, expected: f64| {
        let found = after.metric(name).unwrap();
        assert!((found - expected).abs() < 1e-5, "{name}: {found} {expected}");
    };
    near("larger_loss", larger);
    near("sum_loss", sum);
}

#[test]
fn the_numbers_of_outputs_can_be_watched_and_are_saved() {
    let (data, validation) = (data(), data());
    let mut trainer = compile(model(), Adam::new(0.02), losses()).metric_of("larger", Accuracy);
    let stopping = EarlyStopping::new().monitor("val_larger_accuracy").patience(1);
    let below = TerminateOn::new("val_sum_loss").below(0.0);
    let options = FitOptions::new().epochs(3).validation(&validation).callback(stopping).callback(below);
    let history = trainer.fit(&data, options).unwrap();
    let header =
        "epoch,loss,larger_loss,sum_loss,larger_accuracy,val_loss,val_larger_loss,val_sum_loss,val_larger_accuracy,";
    assert!(history.to_csv().starts_with(header), "{}", history.to_csv());
    let mut other = compile(model(), Adam::new(0.02), losses());
    other.load_state_dict(&trainer.state_dict().unwrap()).unwrap();
    let last = |trainer: &Trainer<_, _>| trainer.state.history.last().and_then(|epoch| epoch.value("val_sum_loss"));
    assert!(last(&other).is_some() && last(&other) == last(&trainer));
}

/// Two inputs of steps, which are the outputs `a` and `b`.
fn steps() -> Graph {
    let mut g = Graph::new();
    let (x, y) = (g.input([2, 1]), g.input([2, 1]));
    let same = || Dense::new(1).use_bias(false).kernel_initializer(Initializer::Constant(1.0));
    let (a, b) = (g.call_named("a", same(), &x).unwrap(), g.call_named("b", same(), &y).unwrap());
    g.build(&[&x, &y], &[&a, &b], &cpu(), 1).unwrap()
}

#[test]
fn each_input_has_its_mask_and_each_output_its_weights() {
    let numbers = |values: [f32; 4]| Tensor::from_slice(&values, [2, 2, 1], &cpu()).unwrap();
    let (x, zeros) = (numbers([1.0, 2.0, 3.0, 4.0]), numbers([0.0; 4]));
    let mut batch = Batch::new((x.clone(), x), (zeros.clone(), zeros));
    let mask = Tensor::from_slice(&[true, true, true, false], [2, 2], &cpu()).unwrap();
    let mae = MeanAbsoluteError::new;
    let objective = Supervised { model: steps(), loss: Losses::new().output("a", mae()).weighted("b", 0.5, mae()) };
    let of = |batch: &Batch| {
        let outcome = objective.loss(batch, &Ctx::eval()).unwrap();
        let own = outcome.predictions.iter().map(|output| output.loss.as_ref().unwrap().item().unwrap());
        (outcome.loss.item().unwrap(), own.collect::<Vec<_>>())
    };
    assert_eq!(of(&batch), (3.75, vec![2.5, 2.5]));
    batch.masks = vec![None, Some(mask)];
    assert_eq!(of(&batch), (3.5, vec![2.5, 2.0]));
    let weights = Tensor::from_slice(&[4.0f32, 0.0], [2], &cpu()).unwrap();
    batch.weights = weights.clone().into();
    assert_eq!(of(&batch), (5.0, vec![3.0, 4.0]));
    batch.weights = vec![Some(weights.clone()), None].into();
    assert_eq!(of(&batch), (4.0, vec![3.0, 2.0]));
    batch.weights = vec![None, Some(weights.mul_scalar(2.0).unwrap())].into();
    assert_eq!(of(&batch), (6.5, vec![2.5, 8.0]));
    batch.weights = vec![Some(weights)].into();
    let error = objective.loss(&batch, &Ctx::eval()).err().unwrap();
    assert_eq!(error.message(), "1 weights for 2 outputs: one for each, or one for all, is needed");
    batch.masks = vec![None, None, None];
    let error = objective.loss(&batch, &Ctx::eval()).err().unwrap();
    assert_eq!(error.message(), "3 masks for 2 inputs: at most one for each is needed");
}

#[test]
fn losses_that_do_not_fit_the_outputs_are_refused() {
    let data = data();
    fn refused(losses: Losses, data: &TensorDataset) -> String {
        compile(model(), Adam::new(0.1), losses).evaluate(data).unwrap_err().message().to_owned()
    }
    let mse = MeanSquaredError::new;
    assert_eq!(refused(losses().output("sum", mse()), &data), "two losses for the output `sum`: each output takes one");
    assert_eq!(refused(Losses::new().output("sum", mse()), &data), "1 losses for 2 outputs: one for each is needed");
    assert_eq!(
        refused(Losses::new().output("total", mse()), &data),
        "a loss for `total`, but the model's outputs are larger, sum"
    );
    let error = compile(model(), Adam::new(0.1), mse()).evaluate(&data).unwrap_err();
    assert!(error.message().starts_with("the model has 2 outputs and one loss: give each output its own"), "{error}");
    let trainer = compile(model(), Adam::new(0.1), losses()).metric_of("width", Accuracy);
    let error = trainer.evaluate(&data).unwrap_err();
    assert_eq!(error.message(), "accuracy of the output `width`, but the model's outputs are larger, sum");
    let one = TensorDataset::new((normal([8, 3], 0), normal([8, 2], 1)), normal([8, 1], 2)).unwrap();
    let error = compile(model(), Adam::new(0.1), losses()).evaluate(&one).unwrap_err();
    assert_eq!(error.message(), "1 targets for 2 outputs: one for each is needed");
}

#[test]
fn a_frozen_backbone_stays_and_the_head_learns() {
    let data = TensorDataset::new(normal([64, 4], 0), normal([64, 1], 1)).unwrap();
    let body = Sequential::new()
        .push(Dense::new(8))
        .push(BatchNorm1d::new().activation(Activation::Relu))
        .build([4], &cpu(), 1)
        .unwrap();
    let mut model =
        Sequential::new().push_named("body", body).push_named("head", Dense::new(1)).build([4], &cpu(), 2).unwrap();
    model.freeze("body.*").unwrap();
    let before = bits(&model);
    let mut trainer = compile(model, Adam::new(0.01), MeanSquaredError::new());
    trainer.fit(&data, FitOptions::new().epochs(2)).unwrap();
    for ((path, old), (_, new)) in before.iter().zip(bits(&trainer.objective.model)) {
        assert_eq!(*old == new, path.starts_with("body."), "{path}");
    }
}

fn bits(model: &Sequential) -> Vec<(String, Vec<f64>)> {
    model.state_dict().into_iter().map(|(path, value)| (path, value.to_f64_vec().unwrap())).collect()
}
