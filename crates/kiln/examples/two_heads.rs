//! A model of two heads: which digit an image shows, with label smoothing and F1, and how much ink it takes, with the Huber loss;
//! RMSprop with momentum.
//!
//! ```sh
//! cargo run --release -p kiln --example two_heads            # on the subset inside of Kiln (feature embedded-mnist)
//! cargo run --release -p kiln --example two_heads -- DIR     # on DIR/mnist/*-ubyte[.gz]
//! ```
//!
//! The same in Keras: listings/two_heads.py.

use kiln::prelude::*;

/// Images with two targets: the digit, and its ink, the sum of its pixels over 100.
fn samples(images: &ImageDataset) -> Result<TensorDataset> {
    let batch = images.batch(&(0..images.len()).collect::<Vec<_>>(), &[], &Device::cpu())?;
    let ink = batch.inputs.sum([1, 2])?.mul_scalar(0.01)?;
    TensorDataset::new(batch.inputs, (batch.targets.into_first(), ink))
}

/// Trains, and gives what it comes to on the test images.
fn listing(train: &TensorDataset, test: &TensorDataset, epochs: usize) -> Result<kiln::train::Evaluation> {
    let mut g = Graph::new();
    let image = g.input([28, 28]);
    let h = g.call(Flatten::new(), &image)?;
    let h = g.call(Dense::new(128).activation(Activation::Relu), &h)?;
    let digit = g.call_named("digit", Dense::new(10).activation(Activation::Softmax), &h)?;
    let ink = g.call_named("ink", Dense::new(1), &h)?;
    let model = g.build(&[&image], &[&digit, &ink], &Device::cpu(), 0)?;

    let losses = Losses::new().output("digit", SparseCategoricalCrossentropy::new().label_smoothing(0.1)).weighted(
        "ink",
        0.5,
        Huber::new().delta(0.5),
    );
    let mut trainer = compile(model, RmsProp::new(0.0003).momentum(0.9), losses)
        .metric_of("digit", F1::new().average(ClassAverage::Macro))
        .metric_of("ink", Mae);
    trainer.fit(train, FitOptions::new().epochs(epochs).validation(test))?;
    trainer.evaluate(test)
}

fn main() -> Result<()> {
    let Mnist { train, test } = std::env::args_os().nth(1).map_or_else(Mnist::embedded, Mnist::load)?;
    println!("{:.4?}", listing(&samples(&train)?, &samples(&test)?, 5)?.metrics);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_heads_learn() {
        let Mnist { train, test } = Mnist::embedded().unwrap();
        let evaluation = listing(&samples(&train.limit(4000)).unwrap(), &samples(&test).unwrap(), 4).unwrap();
        let metric = |name| evaluation.metric(name).unwrap();
        assert!(metric("digit_f1") > 0.9, "{evaluation:?}");
        // Inks are from 0.2 to 2, about 1.
        assert!(metric("ink_mae") < 0.1, "{evaluation:?}");
    }
}
