//! The classic MNIST classifier in Keras's words: compile, fit, evaluate.
//!
//! ```sh
//! cargo run --release -p kiln --example mnist_mlp            # on the subset inside of Kiln (feature embedded-mnist)
//! cargo run --release -p kiln --example mnist_mlp -- DIR     # on DIR/mnist/*-ubyte[.gz]
//! ```

use kiln::prelude::*;

/// Trains the listing's model, and gives its accuracy on the test images.
fn listing(data: Mnist, epochs: usize) -> Result<f64> {
    // Bytes, which batches hand out as numbers between 0 and 1.
    let Mnist { train, test } = data;

    // Define the model architecture.
    let model = Sequential::new()
        .push(Flatten::new())
        .push(Dense::new(128).activation(Activation::Relu))
        .push(Dense::new(10).activation(Activation::Softmax))
        .build([28, 28], &Device::cpu(), 0)?; // the shape of one image, where to compute, the seed of the weights

    // Compile the model.
    let mut trainer = compile(model, Adam::new(0.001), SparseCategoricalCrossentropy::new()).metric(Accuracy);

    // Train the model on the training data.
    trainer.fit(&train, FitOptions::new().epochs(epochs).validation(&test))?;

    // Evaluate the model on the test data.
    let result = trainer.evaluate(&test)?;
    println!("Test accuracy: {:.4}", result.accuracy());
    Ok(result.accuracy())
}

fn main() -> Result<()> {
    // Load the MNIST dataset.
    let data = match std::env::args_os().nth(1) {
        Some(folder) => Mnist::load(folder)?,
        None => Mnist::embedded()?,
    };
    listing(data, 10)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_told_apart() {
        let Mnist { train, test } = Mnist::embedded().unwrap();
        let accuracy = listing(Mnist { train: train.limit(5000), test }, 3).unwrap();
        assert!(accuracy > 0.9, "{accuracy}");
    }
}
