//! An autoencoder: digits through 32 numbers and back, drawn.
//!
//! ```sh
//! cargo run --release -p kiln --example autoencoder            # on the subset inside of Kiln (feature embedded-mnist)
//! cargo run --release -p kiln --example autoencoder -- DIR     # on DIR/mnist/*-ubyte[.gz]
//! ```
//!
//! The same in Keras: listings/autoencoder.py. `kiln::models` has this model, and a variational one, by name.

mod grid;

use kiln::prelude::*;

/// Trains, and gives the loss on the test images with the model.
fn listing(data: Mnist, epochs: usize) -> Result<(f64, Sequential)> {
    let (train, test) = (InputsAsTargets(data.train), InputsAsTargets(data.test));
    let dense = |units| Dense::new(units).activation(Activation::Relu);
    let encoder = Sequential::new().push(Flatten::new()).push(dense(128)).push(dense(64)).push(dense(32));
    let decoder = Sequential::new()
        .push(dense(64))
        .push(dense(128))
        .push(Dense::new(784).activation(Activation::Sigmoid))
        .push(Reshape::new([28, 28]));
    let autoencoder = Sequential::new().push_named("encoder", encoder).push_named("decoder", decoder);
    let autoencoder = autoencoder.build([28, 28], &Device::cpu(), 0)?;

    let mut trainer = compile(autoencoder, Adam::new(0.001), BinaryCrossentropy::new());
    trainer.fit(&train, FitOptions::new().epochs(epochs).batch_size(128).validation(&test))?;
    Ok((trainer.evaluate(&test)?.loss, trainer.into_model()))
}

fn main() -> Result<()> {
    let data = std::env::args_os().nth(1).map_or_else(Mnist::embedded, Mnist::load)?;
    let images = data.test.batch(&(0..12).collect::<Vec<_>>(), &[], &Device::cpu())?.inputs;
    let (loss, autoencoder) = listing(data, 10)?;
    println!("Test loss: {loss:.4}");

    let again = autoencoder.forward(&images, &Ctx::eval())?;
    let codes = autoencoder.ending_at("encoder")?.forward(&images, &Ctx::eval())?;
    println!("The first code: {}", codes.tensor().index(0, 0)?);
    grid::draw("autoencoder.png", &[images.into_first(), again.into_tensor()])?;
    println!("drawn to autoencoder.png");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_back() {
        let Mnist { train, test } = Mnist::embedded().unwrap();
        let images = test.batch(&[0, 1, 2], &[], &Device::cpu()).unwrap().inputs;
        let (loss, autoencoder) = listing(Mnist { train: train.limit(4000), test: test.limit(400) }, 6).unwrap();
        // The mean image, of whatever digit, has a loss of 0.26.
        assert!(loss < 0.22, "{loss}");
        assert_eq!(autoencoder.forward(&images, &Ctx::eval()).unwrap().dims(), [3, 28, 28]);
        assert_eq!(*autoencoder.ending_at("encoder").unwrap().output_shapes().last().unwrap(), [32]);
    }
}
