//! Kiln as a program sees it, by `kiln::prelude` alone: a model is trained, kept and read again; a custom layer, loss
//! and objective.

// Helpers may unwrap like the tests that call them.

use kiln::nn::safetensors;
use kiln::prelude::*;

/// A tensor (rows, columns).
fn matrix(rows: &[&[f32]]) -> Tensor {
    Tensor::from_slice(&rows.concat(), [rows.len(), rows[0].len()], &Device::cpu()).unwrap()
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// The corners of the unit square.
fn corners() -> Tensor {
    matrix(&[&[0.0, 0.0], &[0.0, 1.0], &[1.0, 0.0], &[1.0, 1.0]])
}

/// Corners with one label each.
fn labeled(labels: [i64; 4]) -> TensorDataset {
    TensorDataset::new(corners(), Tensor::from_slice(&labels, [4], &Device::cpu()).unwrap()).unwrap()
}

/// With a hidden layer, for what no single neuron can learn.
fn network(seed: u64) -> Sequential {
    Sequential::new()
        .push(Dense::new(16).activation(Activation::Tanh))
        .push(Dense::new(2).activation(Activation::Softmax))
        .build([2], &Device::cpu(), seed)
        .unwrap()
}

#[test]
fn a_perceptron_learns_or_and_exclusive_or_needs_a_hidden_layer() {
    let perceptron = || Sequential::new().push(Dense::new(2).activation(Activation::Softmax));
    let accuracy = |model: Sequential, labels| {
        let mut trainer = compile(model, Adam::new(0.05), SparseCategoricalCrossentropy::new()).metric(Accuracy);
        let data = labeled(labels);
        trainer.fit(&data, FitOptions::new().epochs(200).batch_size(4).seed(1)).unwrap();
        trainer.evaluate(&data).unwrap().accuracy()
    };
    let (or, exclusive_or) = ([0, 1, 1, 1], [0, 1, 1, 0]);
    assert_eq!(accuracy(perceptron().build([2], &Device::cpu(), 1).unwrap(), or), 1.0);
    assert!(accuracy(perceptron().build([2], &Device::cpu(), 1).unwrap(), exclusive_or) < 1.0);
    assert_eq!(accuracy(network(1), exclusive_or), 1.0);
}

#[test]
fn a_saved_model_predicts_the_same_bits_when_loaded() {
    let mut trainer = compile(network(1), Adam::new(0.05), SparseCategoricalCrossentropy::new());
    trainer.fit(&labeled([0, 1, 1, 0]), FitOptions::new().epochs(50).batch_size(4)).unwrap();
    let predictions = trainer.predict(corners()).unwrap();
    let model = trainer.into_model();
    let file = std::env::temp_dir().join(format!("kiln-smoke-{}.safetensors", std::process::id()));
    safetensors::save(&model, &file).unwrap();

    let mut other = network(2);
    let predict = |model: &Sequential| model.forward(Var::from(corners()), &Ctx::eval()).unwrap().into_tensor();
    assert_ne!(bits(&predict(&other)), bits(&predictions));
    safetensors::load(&mut other, &file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(bits(&predict(&other)), bits(&predictions));
}

/// y = x + α · inner(x), with a learned α that begins at 0, so that a new block changes nothing.
#[derive(Module, Describe)]
struct Residual {
    inner: Dense,
    alpha: Option<Param>,
}

impl Layer for Residual {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let inner = ctx.layer("inner", &self.inner, &x)?;
        let alpha = self.alpha.as_ref().ok_or_else(|| Error::value("Residual", "build it first"))?;
        x.add(&inner.mul(&alpha.var(ctx))?)
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let fans = Fans { input: 1, output: 1 };
        self.alpha = Some(init.param("alpha", &[1], fans, Initializer::Zeros)?);
        init.layer("inner", &mut self.inner, input)
    }
}

#[test]
fn a_layer_of_ones_own_trains_like_any_other() {
    let block = Residual { inner: Dense::new(2).activation(Activation::Tanh), alpha: None };
    let model = Sequential::new().push(block).push(Dense::new(2).activation(Activation::Softmax));
    let model = model.build([2], &Device::cpu(), 3).unwrap();
    let paths: Vec<String> = model.parameters().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["0.inner.weight", "0.inner.bias", "0.alpha", "1.weight", "1.bias"]);

    let mut trainer = compile(model, Adam::new(0.05), SparseCategoricalCrossentropy::new()).metric(Accuracy);
    let data = labeled([0, 1, 1, 1]);
    trainer.fit(&data, FitOptions::new().epochs(200).batch_size(4)).unwrap();
    assert_eq!(trainer.evaluate(&data).unwrap().accuracy(), 1.0);
    let model = trainer.into_model();
    let (_, alpha) = model.parameters().into_iter().find(|(path, _)| path == "0.alpha").unwrap();
    assert_ne!(alpha.value().item().unwrap(), 0.0);
}

/// Huber's loss with δ = 1: ½ d² where |d| ≤ 1, else |d| − ½; of each number.
struct Huber;

impl Loss for Huber {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        let distance = prediction.sub(target)?.abs()?;
        let near = distance.clamp(0.0, 1.0)?;
        // ½ near² + (|d| − near): the second part is 0 within δ.
        near.square()?.mul_scalar(0.5)?.add(&distance.sub(&near)?)
    }

    fn name(&self) -> &'static str {
        "huber"
    }
}

#[test]
fn a_loss_of_ones_own_is_minimized() {
    // Four values near 1 and one far off. Huber's minimum: four slopes of m − 1 against one of −1, so m = 1.25; the
    // least squares' is the mean, 21.
    let data = TensorDataset::new(
        matrix(&[&[1.0], &[1.0], &[1.0], &[1.0], &[1.0]]),
        matrix(&[&[1.0], &[1.0], &[1.0], &[1.0], &[101.0]]),
    )
    .unwrap();
    let fitted = |loss: Box<dyn Loss>| {
        let model = Sequential::new().push(Dense::new(1).use_bias(false)).build([1], &Device::cpu(), 1).unwrap();
        let mut trainer = compile(model, Sgd::new(0.3), loss);
        trainer.fit(&data, FitOptions::new().epochs(300).batch_size(5)).unwrap();
        trainer.predict(matrix(&[&[1.0]])).unwrap().item().unwrap()
    };
    let (huber, squares) = (fitted(Box::new(Huber)), fitted(Box::new(MeanSquaredError::new())));
    assert!((huber - 1.25).abs() < 1e-4, "{huber}");
    assert!((squares - 21.0).abs() < 1e-3, "{squares}");
}

/// Ridge regression: the mean of (x·w − y)² and λ w².
#[derive(Module)]
struct Ridge {
    weight: Param,
    lambda: f64,
}

impl Objective for Ridge {
    fn loss(&self, batch: &Batch, ctx: &Ctx) -> Result<Outcome> {
        let weight = self.weight.var(ctx);
        let predictions = Var::from(&*batch.inputs).matmul(&weight)?;
        let error = predictions.sub(&Var::from(&*batch.targets))?.square()?.mean_all()?;
        let penalty = weight.square()?.sum_all()?.mul_scalar(self.lambda)?;
        Ok(Outcome { loss: error.add(&penalty)?, predictions: vec![predictions.into()], mask: None })
    }
}

#[test]
fn an_objective_of_ones_own_reaches_its_closed_form() {
    let (x, y) = ([-1.0f64, 0.5, 1.0, 2.0], [-2.0f64, 1.5, 1.0, 5.0]);
    let column = |values: [f64; 4]| {
        let values = values.map(|value| value as f32);
        Tensor::from_slice(&values, [4, 1], &Device::cpu()).unwrap()
    };
    let data = TensorDataset::new(column(x), column(y)).unwrap();
    let dot = |a: [f64; 4], b: [f64; 4]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / 4.0;
    for lambda in [0.0, 0.5] {
        let weight = Param::new(matrix(&[&[0.0]]));
        let mut trainer = Trainer::new(Ridge { weight, lambda }, Sgd::new(0.1));
        let history = trainer.fit(&data, FitOptions::new().epochs(200).batch_size(4)).unwrap();
        let weight = trainer.objective.weight.value().item().unwrap();
        let expected = dot(x, y) / (dot(x, x) + lambda);
        assert!((weight - expected).abs() < 1e-5, "{weight}, not {expected}");
        let least = dot(y, y) - expected * dot(x, y);
        let last = history.last().unwrap().train.loss;
        assert!((last - least).abs() < 1e-5, "{last}, not {least}");
    }
}
