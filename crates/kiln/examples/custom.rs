//! A layer, a loss and a custom loop: a curve is fitted to points of which one in five is far off.
//!
//! ```sh
//! cargo run --release -p kiln --example custom     # draws custom.png
//! ```

mod plot;

use kiln::prelude::*;
use plot::{BLUE, GRAY, GREEN, ORANGE, Panel};
use std::path::Path;

/// y = x + W₂ · tanh(W₁ · x): a step beside the identity, as in a residual network.
#[derive(Module, Describe)]
struct Residual {
    inner: Linear,
    outer: Linear,
}

impl Residual {
    fn new(size: usize, init: &mut Init) -> Result<Self> {
        Ok(Residual { inner: Linear::new(size, size, init)?, outer: Linear::new(size, size, init)? })
    }
}

impl Layer for Residual {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let step = ctx.layer("inner", &self.inner, &x)?.tanh()?;
        ctx.layer("outer", &self.outer, step)?.add(&x)
    }
}

/// A model is a struct too: its parameters are `lift.weight`, `blocks.0.inner.weight`, …
#[derive(Module, Describe)]
struct Model {
    lift: Linear,
    blocks: Vec<Residual>,
    head: Linear,
}

impl Model {
    fn new(size: usize, seed: u64) -> Result<Self> {
        let mut init = Init::new(seed, &Device::cpu());
        Ok(Model {
            lift: Linear::new(1, size, &mut init)?,
            blocks: vec![Residual::new(size, &mut init)?, Residual::new(size, &mut init)?],
            head: Linear::new(size, 1, &mut init)?,
        })
    }
}

impl Layer for Model {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let mut x = ctx.layer("lift", &self.lift, x)?;
        for (index, block) in self.blocks.iter().enumerate() {
            x = ctx.scope("blocks", || ctx.layer(index, block, x))?;
        }
        ctx.layer("head", &self.head, x)
    }
}

/// Huber's loss, ½ d² where |d| ≤ δ and δ·(|d| − ½ δ) beyond: points that are far off pull no harder than those at δ.
struct Huber {
    delta: f64,
}

impl Loss for Huber {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        let distance = prediction.sub(target)?.abs()?;
        let near = distance.clamp(0.0, self.delta)?;
        let far = distance.sub(&near)?;
        near.square()?.mul_scalar(0.5)?.add(&far.mul_scalar(self.delta)?)
    }

    fn name(&self) -> &'static str {
        "huber"
    }
}

/// A loop: half of the samples at a time, and a learning rate that falls along a cosine.
fn train(loss_fn: &dyn Loss, data: &TensorDataset, epochs: u64) -> Result<Model> {
    let mut model = Model::new(32, 1)?;
    let mut optimizer = Adam::new(0.01);
    let loader = Loader::new(data).batch_size(data.len() / 2).shuffle(1);
    let mut step = 0;
    for epoch in 0..epochs {
        optimizer.set_learning_rate(0.005 * (1.0 + (std::f64::consts::PI * epoch as f64 / epochs as f64).cos()));
        loader.epoch(epoch, |batches| {
            for batch in batches {
                let batch = batch?;
                let ctx = Ctx::train(1, step);
                let predictions = ctx.run(&model, &*batch.inputs)?;
                let gradients = loss_fn.forward(&predictions, &batch.targets)?.backward()?;
                optimizer.step(&mut model, &gradients)?;
                ctx.commit(&mut model)?;
                step += 1;
            }
            Ok(())
        })?;
    }
    Ok(model)
}

/// The curve that is looked for.
fn truth(x: f64) -> f64 {
    (2.0 * x).sin() + 0.3 * x
}

/// Points near the curve; one in five is higher by 4.
fn points(n: usize) -> Result<(Tensor, Tensor)> {
    let cpu = Device::cpu();
    let x = Tensor::uniform([n, 1], -3.0, 3.0, DType::F32, &cpu, RandomStream::new(3, Purpose::Data, 0))?;
    let noise = Tensor::normal([n, 1], 0.0, 0.1, DType::F32, &cpu, RandomStream::new(3, Purpose::Data, 1))?;
    let off = Tensor::uniform([n, 1], 0.0, 1.0, DType::F32, &cpu, RandomStream::new(3, Purpose::Data, 2))?;
    let off = off.lt(&Tensor::scalar(0.2f32, &cpu)?)?.to_dtype(DType::F32)?.affine(4.0, 0.0)?;
    let y = x.affine(2.0, 0.0)?.sin()?.add(&x.affine(0.3, 0.0)?)?.add(&noise)?.add(&off)?;
    Ok((x, y))
}

/// What a model says along the axis.
fn curve(model: &Model) -> Result<Vec<(f64, f64)>> {
    let x: Vec<f32> = (0..=120).map(|i| i as f32 / 20.0 - 3.0).collect();
    let inputs = Var::from(Tensor::from_slice(&x, [x.len(), 1], &Device::cpu())?);
    let y = model.forward(inputs, &Ctx::eval())?.tensor().to_f64_vec()?;
    Ok(x.into_iter().map(f64::from).zip(y).collect())
}

/// How far a curve is from the one that is looked for: the root of the mean squared distance.
fn distance(curve: &[(f64, f64)]) -> f64 {
    (curve.iter().map(|&(x, y)| (y - truth(x)).powi(2)).sum::<f64>() / curve.len() as f64).sqrt()
}

/// Trains with either loss; gives the curves' distances: Huber's, the mean squared error's.
fn compare(path: &Path, epochs: u64) -> Result<[f64; 2]> {
    let (x, y) = points(300)?;
    let data = TensorDataset::new(x.clone(), y.clone())?;
    let huber = curve(&train(&Huber { delta: 0.1 }, &data, epochs)?)?;
    let squares = curve(&train(&MeanSquaredError::new(), &data, epochs)?)?;
    let distances = [distance(&huber), distance(&squares)];

    let dots = x.to_f64_vec()?.into_iter().zip(y.to_f64_vec()?).collect();
    let exact = huber.iter().map(|&(x, _)| (x, truth(x))).collect();
    let panel = Panel::new("A curve through points of which some are far off", ("x", -3.0..3.0), ("y", -2.5..8.0))
        .dots("points", GRAY, dots)
        .line("sin 2x + 0.3 x", GREEN, exact)
        .line("fitted with Huber's loss", BLUE, huber)
        .line("fitted with the mean squared error", ORANGE, squares);
    plot::save(path, 1, &[panel])?;
    Ok(distances)
}

fn main() -> Result<()> {
    let [huber, squares] = compare(Path::new("custom.png"), 300)?;
    println!("distance from the curve: {huber:.3} with Huber's loss, {squares:.3} with the mean squared error");
    println!("drawn to custom.png");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_the_paths_of_the_fields() {
        let paths: Vec<String> = Model::new(4, 1).unwrap().parameters().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths.len(), 12);
        assert_eq!(paths[..3], ["lift.weight", "lift.bias", "blocks.0.inner.weight"]);
    }

    #[test]
    fn huber_is_a_parabola_and_then_a_line() {
        let column = |y: &[f32]| Tensor::from_slice(y, [y.len(), 1], &Device::cpu()).unwrap();
        let loss = |delta| Huber { delta }.per_sample(&Var::from(column(&[0.0, 1.0, -2.0, 5.0])), &column(&[0.0; 4]));
        assert_eq!(loss(2.0).unwrap().tensor().to_f64_vec().unwrap(), [0.0, 0.5, 2.0, 8.0]);
    }

    #[test]
    fn points_that_are_far_off_mislead_squares_only() {
        let path = std::env::temp_dir().join(format!("kiln-custom-{}.png", std::process::id()));
        let [huber, squares] = compare(&path, 150).unwrap();
        assert!(huber < 0.15 && squares > 0.5, "{huber}, {squares}");
        assert_eq!(plot::ink(&path), (1040, 760, true));
        std::fs::remove_file(path).unwrap();
    }
}
