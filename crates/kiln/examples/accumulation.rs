//! A large batch with the memory of a small one: the gradients of four batches make one step, along a warm-up and a cosine.
//!
//! ```sh
//! cargo run --release -p kiln --example accumulation            # on the subset inside of Kiln (feature embedded-mnist)
//! cargo run --release -p kiln --example accumulation -- DIR     # on DIR/mnist/*-ubyte[.gz]
//! ```
//!
//! The same in PyTorch: listings/accumulation.py.

use kiln::prelude::*;

/// Trains, and gives the accuracy on the test images.
fn listing(data: Mnist, epochs: usize) -> Result<f64> {
    let Mnist { train, test } = data;
    let model = Sequential::new()
        .push(Flatten::new())
        .push(Dense::new(128).activation(Activation::Relu))
        .push(Dense::new(10).activation(Activation::Softmax))
        .build([28, 28], &Device::cpu(), 0)?;

    let (batch_size, accumulate) = (32, 4);
    let steps = (epochs * train.len().div_ceil(batch_size).div_ceil(accumulate)) as u64;
    let warmup = steps / 10;
    let schedule = LinearWarmup::new(warmup).then(warmup, CosineDecay::new(steps - warmup));
    let optimizer = AdamW::new(0.005).no_decay_on_biases_and_norms().schedule(schedule);

    let mut trainer = compile(model, optimizer, SparseCategoricalCrossentropy::new()).metric(Accuracy);
    let options = FitOptions::new().epochs(epochs).batch_size(batch_size).accumulate(accumulate).validation(&test);
    trainer.fit(&train, options)?;
    Ok(trainer.evaluate(&test)?.accuracy())
}

fn main() -> Result<()> {
    let data = std::env::args_os().nth(1).map_or_else(Mnist::embedded, Mnist::load)?;
    println!("Test accuracy: {:.4}", listing(data, 5)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_told_apart() {
        let Mnist { train, test } = Mnist::embedded().unwrap();
        let accuracy = listing(Mnist { train: train.limit(4000), test }, 3).unwrap();
        assert!(accuracy > 0.9, "{accuracy}");
    }
}
