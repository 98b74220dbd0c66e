//! What L1, L2 and dropout do to a model of far more parameters than samples, some of which have a wrong label: the plain
//! model learns those by heart.
//!
//! ```sh
//! cargo run --release -p kiln --example regularization     # draws regularization.png
//! ```

mod plot;

use kiln::prelude::*;
use kiln::train::Evaluation;
use plot::{BLUE, GRAY, ORANGE, Panel};
use std::path::Path;

/// Passes over the training data.
const EPOCHS: usize = 100;

/// The most that can be right of new data: one label in eight is wrong.
const BEST: f64 = 0.875;

const FEATURES: usize = 8;

/// Normal points; their class is the side of a plane that they lie on, but one in eight has the other class's label.
fn points(count: usize, part: u64) -> Result<TensorDataset> {
    let cpu = Device::cpu();
    let stream = |number: u64| RandomStream::new(7, Purpose::Data, 2 * part + number);
    let points = Tensor::normal([count, FEATURES], 0.0, 1.0, DType::F32, &cpu, stream(0))?;
    // Only the first four features matter.
    let slopes: Vec<f32> =
        (0..FEATURES).map(|feature| [1.0, -1.0, 0.5, 0.5].get(feature).copied().unwrap_or(0.0)).collect();
    let side = points.matmul(&Tensor::from_vec(slopes, [FEATURES, 1], &cpu)?)?;
    let luck = Tensor::uniform([count, 1], -1.0, 7.0, DType::F32, &cpu, stream(1))?;
    let label = side.mul(&luck)?.gt(&Tensor::scalar(0.0f32, &cpu)?)?;
    TensorDataset::new(points, label.to_dtype(DType::I64)?.flatten(0)?)
}

/// Two hidden layers, with a penalty on their weights and a dropout after each.
fn network(penalty: L1L2, dropout: f64) -> Result<Sequential> {
    let dense = || Dense::new(64).activation(Activation::Relu).kernel_regularizer(penalty);
    Sequential::new()
        .push(dense())
        .push(Dropout::new(dropout))
        .push(dense())
        .push(Dropout::new(dropout))
        .push(Dense::new(2).activation(Activation::Softmax))
        .build([FEATURES], &Device::cpu(), 1)
}

/// What a model has come to after an epoch: on the data that it is trained on, and on data that it has never seen.
struct Scores {
    train: Evaluation,
    test: Evaluation,
}

impl Scores {
    /// How much of the accuracy is not there for new data.
    fn gap(&self) -> f64 {
        self.train.accuracy() - self.test.accuracy()
    }

    /// The same of the loss. Both losses hold the same penalty: their difference has none.
    fn loss_gap(&self) -> f64 {
        self.test.loss - self.train.loss
    }
}

/// The scores after each epoch.
fn train(model: Sequential) -> Result<Vec<Scores>> {
    let (data, unseen) = (points(200, 0)?, points(2000, 1)?);
    let mut trainer = compile(model, Adam::new(0.003), SparseCategoricalCrossentropy::new()).metric(Accuracy);
    let mut scores = Vec::new();
    for _ in 0..EPOCHS {
        trainer.fit(&data, FitOptions::new().seed(1).quiet())?;
        scores.push(Scores { train: trainer.evaluate(&data)?, test: trainer.evaluate(&unseen)? });
    }
    Ok(scores)
}

/// Trains the plain model and those that are held back; gives what each has come to, and draws the way there.
fn compare(path: &Path) -> Result<Vec<(&'static str, Scores)>> {
    let none = L1L2::default();
    let mut outcomes = Vec::new();
    let mut panels = Vec::new();
    for (name, penalty, dropout) in [
        ("plain", none, 0.0),
        ("L1(0.01)", L1(0.01).into(), 0.0),
        ("L2(0.07)", L2(0.07).into(), 0.0),
        ("Dropout(0.8)", none, 0.8),
    ] {
        let mut scores = train(network(penalty, dropout)?)?;
        let curve = |of: fn(&Scores) -> &Evaluation| {
            scores.iter().enumerate().map(|(i, scores)| ((i + 1) as f64, of(scores).accuracy())).collect()
        };
        let panel = Panel::new(name, ("epoch", 0.0..EPOCHS as f64), ("accuracy", 0.55..1.02))
            .line("on the training data", BLUE, curve(|scores| &scores.train))
            .line("on new data", ORANGE, curve(|scores| &scores.test))
            .dashed("the most there can be", GRAY, vec![(0.0, BEST), (EPOCHS as f64, BEST)]);
        panels.push(panel);
        outcomes.extend(scores.pop().map(|last| (name, last)));
    }
    plot::save(path, 2, &panels)?;
    Ok(outcomes)
}

fn main() -> Result<()> {
    println!("model              accuracy: train    test     gap   loss gap");
    for (name, scores) in compare(Path::new("regularization.png"))? {
        let (train, test) = (scores.train.accuracy(), scores.test.accuracy());
        println!("{name:<18} {train:>15.3} {test:>7.3} {:>7.3} {:>10.3}", scores.gap(), scores.loss_gap());
    }
    println!("drawn to regularization.png");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_them_narrows_the_gap_by_a_third() {
        let path = std::env::temp_dir().join(format!("kiln-regularization-{}.png", std::process::id()));
        let outcomes = compare(&path).unwrap();
        assert_eq!(plot::ink(&path), (2080, 1520, true));
        std::fs::remove_file(path).unwrap();
        let [(_, plain), held_back @ ..] = &outcomes[..] else { unreachable!("no model at all") };
        assert!(plain.gap() > 0.15 && plain.train.accuracy() > 0.99, "the plain model overfits: {}", plain.gap());
        assert_eq!(held_back.len(), 3);
        for (name, scores) in held_back {
            let (gap, loss_gap) = (scores.gap(), scores.loss_gap());
            assert!(gap < plain.gap() * 2.0 / 3.0, "{name}: {gap}, plain {}", plain.gap());
            assert!(loss_gap < plain.loss_gap() * 2.0 / 3.0, "{name}: {loss_gap}, plain {}", plain.loss_gap());
            let (test, plain) = (scores.test.accuracy(), plain.test.accuracy());
            assert!(test > plain, "{name}: {test} on new data, plain {plain}");
        }
    }
}
