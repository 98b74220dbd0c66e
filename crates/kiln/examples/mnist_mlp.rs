//! The classic MNIST classifier in Keras's words: compile, fit, evaluate.
//!
//! ```sh
//! cargo run --release -p kiln --example mnist_mlp -- DIR     # DIR/mnist/*-ubyte[.gz], or $KILN_DATA_DIR
//! ```

use kiln::prelude::*;

fn main() -> kiln::Result<()> {
    let cpu = Device::cpu();

    // Load the MNIST dataset: bytes, which batches hand out as numbers between 0 and 1.
    let Mnist { train, test } = Mnist::load(data_folder()?)?;

    // Define the model architecture.
    let model = Sequential::new()
        .push(Flatten::new())
        .push(Dense::new(128).activation(Activation::Relu))
        .push(Dense::new(10).activation(Activation::Softmax))
        .build([28, 28], &cpu, 0)?; // the shape of one image, where to compute, the seed of the weights

    // Compile the model.
    let mut trainer = compile(model, Adam::new(0.001), SparseCategoricalCrossentropy::new()).metric(Accuracy);

    // Train the model on the training data.
    let options = FitOptions::new().epochs(10).validation(&test).on_epoch(|epoch| {
        println!("epoch {:>2}  loss {:.4}  accuracy {:.4}", epoch.epoch, epoch.train.loss, epoch.train.accuracy());
    });
    trainer.fit(&train, options)?;

    // Evaluate the model on the test data.
    let result = trainer.evaluate(&test)?;
    println!("test accuracy {:.4}  test loss {:.4}", result.accuracy(), result.loss);
    Ok(())
}

/// The folder named on the command line, or by the environment.
fn data_folder() -> kiln::Result<std::path::PathBuf> {
    let folder = std::env::args_os().nth(1).or_else(|| std::env::var_os("KILN_DATA_DIR"));
    let message = "name the data's folder on the command line or in $KILN_DATA_DIR";
    folder.map(Into::into).ok_or_else(|| kiln::Error::value("mnist_mlp", message))
}
