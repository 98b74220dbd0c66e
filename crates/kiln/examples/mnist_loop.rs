//! The MNIST classifier by a loop of one's own, as in PyTorch: the weights are, bit for bit, those of `mnist_mlp`'s `fit`.
//!
//! ```sh
//! cargo run --release -p kiln --example mnist_loop -- DIR     # DIR/mnist/*-ubyte[.gz], or $KILN_DATA_DIR
//! ```

use kiln::prelude::*;

/// Of the weights, and of the order of the images.
const SEED: u64 = 0;

fn main() -> kiln::Result<()> {
    let cpu = Device::cpu();
    let Mnist { train, test } = Mnist::load(data_folder()?)?;
    let mut model = Sequential::new()
        .push(Flatten::new())
        .push(Dense::new(128).activation(Activation::Relu))
        .push(Dense::new(10).activation(Activation::Softmax))
        .build([28, 28], &cpu, SEED)?;
    let mut optimizer = Adam::new(0.001);
    let criterion = SparseCategoricalCrossentropy::new();
    let loader = Loader::new(&train).batch_size(32).shuffle(SEED);

    // Inside `run` the threads stay awake between operations, instead of being woken for each of them.
    kiln::run(|| {
        let mut step = 0;
        for epoch in 1..=10 {
            let mut sums = Sums::default();
            loader.epoch(epoch, |batches| {
                for batch in batches {
                    let batch = batch?;
                    let ctx = Ctx::train(SEED, step);
                    let predictions = model.forward(&Var::from(&batch.inputs), &ctx)?;
                    let loss = criterion.forward(&predictions, &batch.targets)?;
                    sums.add(&loss, &predictions, &batch)?;

                    let gradients = loss.backward()?;
                    optimizer.step(&mut model, &gradients)?;
                    ctx.commit(&mut model)?; // what layers remember of a step; nothing here
                    step += 1;
                }
                Ok(())
            })?;
            println!("epoch {epoch:>2}  loss {:.4}  accuracy {:.4}", sums.loss(), sums.accuracy());
        }

        let mut sums = Sums::default();
        Loader::new(&test).batch_size(512).epoch(0, |batches| {
            for batch in batches {
                let batch = batch?;
                let predictions = model.forward(&Var::from(&batch.inputs), &Ctx::eval())?;
                sums.add(&criterion.forward(&predictions, &batch.targets)?, &predictions, &batch)?;
            }
            Ok(())
        })?;
        println!("test accuracy {:.4}  test loss {:.4}", sums.accuracy(), sums.loss());
        Ok(())
    })
}

/// What is reported of an epoch: the sums of the samples' losses and of right answers, and how many samples there were.
#[derive(Default)]
struct Sums {
    loss: f64,
    right: f64,
    samples: usize,
}

impl Sums {
    fn add(&mut self, loss: &Var, predictions: &Var, batch: &Batch) -> kiln::Result<()> {
        self.loss += loss.item()? * batch.len() as f64;
        self.right += Accuracy.sum(predictions.tensor(), &batch.targets)?.item()?;
        self.samples += batch.len();
        Ok(())
    }

    fn loss(&self) -> f64 {
        self.loss / self.samples as f64
    }

    fn accuracy(&self) -> f64 {
        self.right / self.samples as f64
    }
}

/// The folder named on the command line, or by the environment.
fn data_folder() -> kiln::Result<std::path::PathBuf> {
    let folder = std::env::args_os().nth(1).or_else(|| std::env::var_os("KILN_DATA_DIR"));
    let message = "name the data's folder on the command line or in $KILN_DATA_DIR";
    folder.map(Into::into).ok_or_else(|| kiln::Error::value("mnist_loop", message))
}
