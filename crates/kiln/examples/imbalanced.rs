//! Two classes, of which one is rare: accuracy says little there, F1, AUC and the confusion matrix say more. The same
//! network is trained with the plain cross-entropy, with a weight for the rare class, and with the focal loss.
//!
//! ```sh
//! cargo run --release -p kiln --example imbalanced
//! ```

use kiln::prelude::*;
use kiln::train::Evaluation;

/// Points in the plane. One in twelve is of class 1, which lies within the other.
fn points(samples: usize, part: u64) -> Result<TensorDataset> {
    let cpu = Device::cpu();
    let stream = |index| RandomStream::new(part, Purpose::Data, index);
    let rare = Tensor::uniform([samples, 1], 0.0, 1.0, DType::F32, &cpu, stream(0))?;
    let rare = rare.lt(&Tensor::full((), 1.0 / 12.0, DType::F32, &cpu)?)?;
    let noise = Tensor::normal([samples, 2], 0.0, 1.0, DType::F32, &cpu, stream(1))?;
    let points = Tensor::select(&rare, &noise.affine(0.6, 0.8)?, &noise.affine(1.2, 0.0)?)?;
    TensorDataset::new(points, rare.to_dtype(DType::F32)?)
}

/// What a network trained with this loss comes to on new points.
fn trained(loss: impl Loss) -> Result<Evaluation> {
    let model = Sequential::new()
        .push(Dense::new(16).activation(Activation::Tanh))
        .push(Dense::new(1).activation(Activation::Sigmoid))
        .build([2], &Device::cpu(), 1)?;
    let mut trainer = compile(model, Adam::new(0.01), loss)
        .metric(BinaryAccuracy::new())
        .metric(Precision::new())
        .metric(Recall::new())
        .metric(F1::new())
        .metric(Auc::new())
        .metric(AveragePrecision::new())
        .metric(ConfusionMatrix::new());
    let stopping = EarlyStopping::new().monitor("val_auc").patience(5).restore_best_weights(true);
    let options = FitOptions::new().epochs(30).seed(1).validation_split(0.2).callback(stopping).quiet();
    trainer.fit(&points(4000, 1)?, options)?;
    trainer.evaluate(&points(4000, 2)?)
}

/// The losses by name, with what they come to.
fn compare() -> Result<[(&'static str, Evaluation); 3]> {
    Ok([
        ("cross-entropy", trained(BinaryCrossentropy::new())?),
        ("positives times 8", trained(BinaryCrossentropy::new().pos_weight(&[8.0]))?),
        ("focal, α = 0.8", trained(BinaryFocal::new().alpha(0.8))?),
    ])
}

fn main() -> Result<()> {
    for (name, evaluation) in compare()? {
        println!("{name}");
        for (metric, value) in &evaluation.metrics {
            println!("  {metric:<18} {value:.3}");
        }
        if let Some(table) = evaluation.table("confusion_matrix") {
            println!("{table}\n");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_the_rare_class_find_more_of_it() {
        let [(_, plain), (_, weighted), (_, focal)] = compare().unwrap();
        let of = |evaluation: &Evaluation, name: &str| evaluation.metric(name).unwrap();
        assert!(of(&plain, "binary_accuracy") > 0.9);
        for evaluation in [&weighted, &focal] {
            assert!(of(evaluation, "recall") > 2.0 * of(&plain, "recall"), "{evaluation:?}");
            assert!(of(evaluation, "f1") > of(&plain, "f1"), "{evaluation:?}");
            assert!(of(evaluation, "auc") > 0.7, "{evaluation:?}");
        }
    }
}
