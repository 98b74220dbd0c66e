//! What L1, L2 and dropout do to a model of far more parameters than samples, some of which have a wrong label: the plain
//! model learns those by heart.
//!
//!     cargo run --release --example regularization

use kiln::Result;
use kiln::prelude::*;

const FEATURES: usize = 8;

/// Normal points; their class is the side of a plane that they lie on, but one in eight has the other class's label.
fn points(count: usize, part: u64) -> Result<TensorDataset> {
    let cpu = Device::cpu();
    let stream = |number: u64| Stream::new(7, Purpose::Data, 2 * part + number);
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

/// What a model has come to: on the data that it was trained on, and on data that it has never seen.
struct Outcome {
    train: f64,
    test: f64,
    loss_gap: f64,
}

impl Outcome {
    /// How much of the accuracy is not there for new data.
    fn gap(&self) -> f64 {
        self.train - self.test
    }
}

fn train(model: Sequential) -> Result<Outcome> {
    let (data, unseen) = (points(200, 0)?, points(2000, 1)?);
    let mut trainer = compile(model, Adam::new(0.01), SparseCategoricalCrossentropy::new()).metric(Accuracy);
    trainer.fit(&data, FitOptions::new().epochs(100).batch_size(32).seed(1))?;
    let (train, test) = (trainer.evaluate(&data)?, trainer.evaluate(&unseen)?);
    // Both losses hold the same penalty: their difference has none.
    Ok(Outcome { train: train.accuracy(), test: test.accuracy(), loss_gap: test.loss - train.loss })
}

fn main() -> Result<()> {
    println!("model              accuracy: train    test     gap   loss gap");
    let none = L1L2::default();
    for (name, penalty, dropout) in [
        ("plain", none, 0.0),
        ("L1(0.01)", L1(0.01).into(), 0.0),
        ("L2(0.07)", L2(0.07).into(), 0.0),
        ("Dropout(0.7)", none, 0.7),
    ] {
        let outcome = train(network(penalty, dropout)?)?;
        let (gap, Outcome { train, test, loss_gap }) = (outcome.gap(), outcome);
        println!("{name:<18} {train:>15.3} {test:>7.3} {gap:>7.3} {loss_gap:>10.3}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_penalty_narrows_the_gap_by_a_third() {
        let run = |penalty: L1L2| train(network(penalty, 0.0).unwrap()).unwrap();
        let (plain, l2) = (run(L1L2::default()), run(L2(0.07).into()));
        assert!(plain.gap() > 0.15 && plain.train > 0.99, "the plain model overfits: {}", plain.gap());
        assert!(l2.gap() < plain.gap() * 2.0 / 3.0, "accuracy: {}, plain {}", l2.gap(), plain.gap());
        assert!(l2.loss_gap < plain.loss_gap * 2.0 / 3.0, "loss: {}, plain {}", l2.loss_gap, plain.loss_gap);
        assert!(l2.test > plain.test, "new data: {}, plain {}", l2.test, plain.test);
    }
}
