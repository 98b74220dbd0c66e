//! Training in mixed precision.

use kiln_datasets::TensorDataset;
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_optim::{Adam, Clip, Optimizer, Sam, Sgd};
use kiln_tensor::{DType, Device, ErrorKind, Result, Tensor};
use kiln_train::*;

/// Points in a square, in three stripes.
fn stripes(samples: usize, index: u64) -> TensorDataset {
    let stream = RandomStream::new(1, Purpose::Data, index);
    let points = Tensor::uniform([samples, 2], -1.0, 1.0, DType::F32, &Device::cpu(), stream).unwrap();
    let stripe = |x: &[f32]| i64::from(x[0] + x[1] > -0.4) + i64::from(x[0] + x[1] > 0.4);
    let labels: Vec<i64> = points.to_vec::<f32>().unwrap().chunks(2).map(stripe).collect();
    TensorDataset::new(points, Tensor::from_slice(&labels, [samples], &Device::cpu()).unwrap()).unwrap()
}

type Model<P> = Trainer<Supervised<Sequential, SparseCategoricalCrossentropy>, P>;

fn classifier<P: Optimizer>(optimizer: P) -> Model<P> {
    let model = Sequential::new()
        .push(Dense::new(16).activation(Activation::Relu))
        .push(BatchNorm1d::new())
        .push(Dense::new(3).activation(Activation::Softmax));
    compile(model.build([2], &Device::cpu(), 7).unwrap(), optimizer, SparseCategoricalCrossentropy::new())
        .metric(Accuracy)
}

fn options<'a>(epochs: usize) -> FitOptions<'a> {
    FitOptions::new().epochs(epochs).batch_size(16).seed(3)
}

/// All of a trainer's state, bit for bit, without the time it took.
fn bits<P: Optimizer>(trainer: &Model<P>) -> Vec<(String, Vec<u64>)> {
    let state = trainer.state_dict().unwrap().into_iter().filter(|(name, _)| !name.ends_with(".seconds"));
    state.map(|(name, value)| (name, value.to_f64_vec().unwrap().into_iter().map(f64::to_bits).collect())).collect()
}

#[test]
fn half_types_learn_what_f32_learns() {
    let (train, test) = (stripes(256, 1), stripes(200, 2));
    let accuracy = |precision: Option<Mixed>| {
        let mut trainer = classifier(Adam::new(0.02)).precision(precision);
        let history = trainer.fit(&train, options(8).validation(&test)).unwrap();
        assert!(trainer.objective.parameters().iter().all(|(_, parameter)| parameter.value().dtype() == DType::F32));
        let evaluation = trainer.evaluate(&test).unwrap();
        // The validation of the last epoch was in the same precision.
        assert_eq!(history.epochs.last().unwrap().validation.as_ref().unwrap().loss, evaluation.loss);
        let points = Tensor::zeros([5, 2], DType::F32, &Device::cpu()).unwrap();
        assert_eq!(trainer.predict(&points).unwrap().dtype(), DType::F32);
        (evaluation.accuracy(), evaluation.loss)
    };
    let exact = accuracy(None);
    assert!(exact.0 > 0.95, "{exact:?}");
    for precision in [Mixed::Bf16, Mixed::F16] {
        let mixed = accuracy(Some(precision));
        assert!(mixed.0 > exact.0 - 0.03 && mixed.1 != exact.1, "{precision:?}: {mixed:?}, f32 {exact:?}");
    }
}

#[test]
fn scaling_keeps_gradients_that_f16_cannot_hold() {
    // Gradients of about 10⁻⁸ at the hidden layer: 0 in f16.
    let run = |precision: Option<Mixed>, scale: f64| {
        let model = Sequential::new().push(Dense::new(4).activation(Activation::Tanh)).push(Dense::new(1));
        let model = model.build([3], &Device::cpu(), 1).unwrap();
        let x = Tensor::ones([8, 3], DType::F32, &Device::cpu()).unwrap();
        let y = Tensor::full([8, 1], 1e-3, DType::F32, &Device::cpu()).unwrap();
        let data = TensorDataset::new(x, y).unwrap();
        let loss = Scaled(1e-7);
        let mut trainer = compile(model, Sgd::new(1e5), loss).precision(precision);
        trainer.state.loss_scale = kiln_optim::LossScale::new().initial(scale);
        let before = trainer.objective.state_dict();
        trainer.fit(&data, FitOptions::new().epochs(1).batch_size(8)).unwrap();
        let step = trainer.objective.state_dict()["0.weight"].sub(&before["0.weight"]).unwrap();
        step.to_f64_vec().unwrap()
    };
    let exact = run(None, 1.0);
    assert!(exact.iter().all(|step| step.abs() > 0.0));
    for (exact, scaled) in exact.iter().zip(run(Some(Mixed::F16), 65536.0)) {
        assert!((exact - scaled).abs() < 0.02 * exact.abs(), "{exact} {scaled}");
    }
    assert!(
        run(Some(Mixed::F16), 1.0).iter().zip(&exact).any(|(step, exact)| (step - exact).abs() > 0.1 * exact.abs())
    );
}

/// A share of the mean squared error.
struct Scaled(f64);

impl Loss for Scaled {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        MeanSquaredError::new().each(prediction, target)?.mul_scalar(self.0)
    }
    fn name(&self) -> &'static str {
        "scaled"
    }
}

#[test]
fn steps_whose_gradients_overflow_are_left_out() {
    let data = stripes(64, 1);
    let mut trainer = classifier(Sgd::new(0.01)).precision(Mixed::F16);
    trainer.state.loss_scale = kiln_optim::LossScale::new().initial(2f64.powi(40));
    let before = trainer.objective.state_dict();
    trainer.fit(&data, options(1)).unwrap();
    // Four steps, all of them left out, batch normalization's averages included.
    assert_eq!(
        (trainer.state.loss_scale.skipped().unwrap(), trainer.state.loss_scale.factor().unwrap()),
        (4, 2f64.powi(36))
    );
    for (name, value) in trainer.objective.state_dict() {
        assert_eq!(value.to_f64_vec().unwrap(), before[&name].to_f64_vec().unwrap(), "{name}");
    }
    // With the factor halved again and again, it learns.
    trainer.fit(&data, options(10)).unwrap();
    let skipped = trainer.state.loss_scale.skipped().unwrap();
    assert!((10..40).contains(&skipped), "{skipped}");
    assert!(
        trainer.objective.state_dict()["0.weight"]
            .sub(&before["0.weight"])
            .unwrap()
            .to_f64_vec()
            .unwrap()
            .iter()
            .all(|x| *x != 0.0)
    );
}

#[test]
fn where_no_factor_helps_it_says_so() {
    // The loss's gradient by the output is 2 · 10⁶.
    let model = || Sequential::new().push(Dense::new(1)).build([2], &Device::cpu(), 1).unwrap();
    let x = Tensor::ones([8, 2], DType::F32, &Device::cpu()).unwrap();
    let far = |value: f64| Tensor::full([8, 1], value, DType::F32, &Device::cpu()).unwrap();
    let data = TensorDataset::new(x.clone(), far(8e6)).unwrap();
    let mut trainer = compile(model(), Sgd::new(0.01), MeanSquaredError::new()).precision(Mixed::F16);
    trainer.state.loss_scale = kiln_optim::LossScale::new().initial(1.0);
    let error = trainer.fit(&data, FitOptions::new().epochs(1).batch_size(8)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Diverged);
    assert!(error.message().contains("not finite in f16 although the loss scale is 0.5"), "{error}");
    // bf16, which it names, goes on with the same trainer.
    let mut trainer = trainer.precision(Mixed::Bf16);
    trainer.fit(&data, FitOptions::new().epochs(1).batch_size(8)).unwrap();
    // A factor below 1 is no fault by itself.
    let data = TensorDataset::new(x, far(1.0)).unwrap();
    let mut trainer = compile(model(), Sgd::new(0.01), MeanSquaredError::new()).precision(Mixed::F16);
    trainer.state.loss_scale = kiln_optim::LossScale::new().initial(0.25);
    trainer.fit(&data, FitOptions::new().epochs(1).batch_size(8)).unwrap();
    let mut trainer = compile(model(), Sgd::new(0.01), MeanSquaredError::new()).precision(Mixed::F16);
    trainer.state.loss_scale = kiln_optim::LossScale::new().initial(1e39);
    let error = trainer.fit(&data, FitOptions::new().epochs(1).batch_size(8)).unwrap_err();
    assert!(error.message().contains("the loss scale is"), "{error}");
}

#[test]
fn an_objective_may_use_parameters_by_itself() {
    /// x · wᵀ by hand, and a layer at a path.
    #[derive(Module)]
    struct Own {
        weight: Param,
        dense: Dense,
    }
    impl Objective for Own {
        fn loss(&self, batch: &kiln_datasets::Batch, ctx: &Ctx) -> Result<Outcome> {
            let by_hand = Var::from(&*batch.inputs).matmul(&self.weight.var(ctx))?;
            let dense = ctx.layer("dense", &self.dense, &*batch.inputs)?;
            assert_eq!([by_hand.dtype(), dense.dtype()], [DType::F32; 2]);
            let loss = by_hand.sub(&dense)?.square()?.mean_all()?;
            Ok(Outcome { loss, predictions: Vec::new(), mask: None })
        }
    }
    let mut init = Init::new(1, &Device::cpu());
    let weight = Param::new(Tensor::ones([2, 3], DType::F32, &Device::cpu()).unwrap());
    let own = Own { weight, dense: Dense::with_sizes(2, 3, &mut init).unwrap() };
    let mut trainer = Trainer::new(own, Sgd::new(0.1)).precision(Mixed::Bf16);
    let history = trainer.fit(&stripes(64, 1), options(3)).unwrap();
    assert!(history.epochs[2].train.loss < history.epochs[0].train.loss);
}

#[test]
fn a_training_that_was_stopped_goes_on_with_the_same_bits() {
    let data = stripes(100, 1);
    for precision in [Mixed::Bf16, Mixed::F16] {
        let make = || {
            let mut trainer = classifier(Adam::new(0.01).clip_norm(1.0)).precision(precision);
            trainer.state.loss_scale = kiln_optim::LossScale::new().initial(2f64.powi(30)).growth_interval(3);
            trainer
        };
        let mut whole = make();
        whole.fit(&data, options(6)).unwrap();
        let mut first = make();
        first.fit(&data, options(2)).unwrap();
        let mut second = make();
        second.load_state_dict(&first.state_dict().unwrap()).unwrap();
        second.fit(&data, options(4)).unwrap();
        assert_eq!(bits(&whole), bits(&second));
        let scaled = bits(&whole).iter().any(|(name, _)| name.starts_with("state.loss_scale."));
        assert_eq!(scaled, precision == Mixed::F16);
    }
}

#[test]
fn accumulated_batches_and_second_passes_are_scaled() {
    let data = stripes(96, 1);
    let weights = |precision: Option<Mixed>, accumulate: usize| {
        let mut trainer = classifier(Sam::new(Sgd::new(0.1), 0.05)).precision(precision);
        trainer.state.loss_scale = kiln_optim::LossScale::new().initial(1024.0);
        trainer.fit(&data, options(1).accumulate(accumulate)).unwrap();
        // Two passes are one step.
        let counts = trainer.state.loss_scale.state_dict().unwrap();
        let good = counts.get("good_steps").map_or(0.0, |good| good.item().unwrap());
        assert_eq!(good, if precision.is_some() { 6.0 / accumulate as f64 } else { 0.0 });
        trainer.objective.state_dict()["2.weight"].to_f64_vec().unwrap()
    };
    for accumulate in [1, 2] {
        for (exact, mixed) in weights(None, accumulate).iter().zip(weights(Some(Mixed::F16), accumulate)) {
            assert!((exact - mixed).abs() < 2e-3, "{exact} {mixed}");
        }
    }
}
