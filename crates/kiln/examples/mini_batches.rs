//! The loop over mini-batches with Adam and the cross-entropy of one-hot labels, epoch by epoch, on MNIST.
//!
//! ```sh
//! cargo run --release -p kiln --example mini_batches            # on the subset inside of Kiln (feature embedded-mnist)
//! cargo run --release -p kiln --example mini_batches -- DIR     # on DIR/mnist/*-ubyte[.gz]
//! ```

use kiln::prelude::*;

/// Of the weights, and of the order of the images.
const SEED: u64 = 0;

fn model() -> Result<Sequential> {
    Sequential::new()
        .push(Flatten::new())
        .push(Dense::new(128).activation(Activation::Relu))
        .push(Dense::new(10))
        .build([28, 28], &Device::cpu(), SEED)
}

/// Trains, and gives the mean loss of each epoch.
fn train(model: &mut Sequential, train_dataset: &dyn Dataset, num_epochs: u64) -> Result<Vec<f64>> {
    let mut optimizer = Adam::new(0.001);
    let loss_fn = CategoricalCrossentropy::from_logits();
    let loader = Loader::new(train_dataset).batch_size(32).shuffle(SEED);
    let steps_per_epoch = loader.batches();
    let mut losses = Vec::new();
    let mut step = 0;

    // In a session the threads stay awake between operations, instead of being woken for each of them.
    Device::cpu().session(|| {
        for epoch in 1..=num_epochs {
            let mut total_loss = 0.0;
            loader.epoch(epoch, |batches| {
                for batch in batches {
                    let Batch { inputs: images, targets: labels, .. } = batch?;
                    let labels = labels.one_hot(10)?;

                    let tape = Ctx::train(SEED, step);
                    let logits = model.forward(images, &tape)?;
                    let loss = loss_fn.forward(&logits, &labels)?;
                    total_loss += loss.item()?;

                    let grads = loss.backward()?;
                    optimizer.step(model, &grads)?;
                    tape.commit(model)?; // what layers remember of a step: nothing here
                    step += 1;
                }
                Ok(())
            })?;
            losses.push(total_loss / steps_per_epoch as f64);
            println!("Epoch {epoch}/{num_epochs} loss={:.4}", total_loss / steps_per_epoch as f64);
        }
        Ok(losses)
    })
}

/// The share of images whose largest logit is that of their digit.
fn accuracy(model: &Sequential, dataset: &dyn Dataset) -> Result<f64> {
    let mut right = 0.0;
    Loader::new(dataset).batch_size(512).epoch(0, |batches| {
        for batch in batches {
            let batch = batch?;
            let logits = model.forward(batch.inputs, &Ctx::eval())?;
            right += Accuracy.measure(logits.tensor(), &batch.targets, None)?.sum.item()?;
        }
        Ok(())
    })?;
    Ok(right / dataset.len() as f64)
}

fn main() -> Result<()> {
    // Bytes, which batches hand out as numbers between 0 and 1.
    let data = match std::env::args_os().nth(1) {
        Some(folder) => Mnist::load(folder)?,
        None => Mnist::embedded()?,
    };
    let mut model = model()?;
    train(&mut model, &data.train, 10)?;
    println!("Training complete!");
    println!("Test accuracy: {:.4}", accuracy(&model, &data.test)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_learns_what_fit_learns() {
        let Mnist { train: images, test } = Mnist::embedded().unwrap();
        let (images, test) = (images.limit(1600), test.limit(400));
        let mut by_hand = model().unwrap();
        let losses = train(&mut by_hand, &images, 3).unwrap();

        let mut trainer = compile(model().unwrap(), Adam::new(0.001), SparseCategoricalCrossentropy::from_logits());
        let history = trainer.fit(&images, FitOptions::new().epochs(3).seed(SEED)).unwrap();
        for (loss, epoch) in losses.iter().zip(&history.epochs) {
            assert!((loss - epoch.train.loss).abs() < 1e-4, "{loss}, not {}", epoch.train.loss);
        }
        assert!(losses[2] < 0.5 * losses[0], "{losses:?}");
        assert!(accuracy(&by_hand, &test).unwrap() > 0.8);
    }
}
