//! Recipes: each a short file that reads as the example one would write.

mod mnist_mlp;

use clap::ValueEnum;
use kiln::Result;
use kiln::prelude::*;
use kiln::train::Supervised;
use std::path::Path;

/// What can be trained by name.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Recipe {
    /// The classic MNIST classifier: Flatten, Dense 128 ReLU, Dense 10 softmax
    MnistMlp,
}

/// What a recipe is given.
pub(crate) struct Setup<'a> {
    /// The folder of all data; without one, the subset that the command carries.
    pub(crate) data: Option<&'a Path>,
    pub(crate) device: &'a Device,
    pub(crate) seed: u64,
    /// Instead of the recipe's own.
    pub(crate) learning_rate: Option<f64>,
}

/// A recipe made ready: a trainer, its data, and how long and in what steps it trains unless told otherwise.
pub(crate) struct Prepared {
    pub(crate) trainer: Trainer<Supervised<Sequential, Box<dyn Loss>>, Box<dyn Optimizer>>,
    pub(crate) train: ImageDataset,
    pub(crate) test: ImageDataset,
    pub(crate) epochs: usize,
    pub(crate) batch_size: usize,
}

impl Recipe {
    /// The name of the data set that is trained on.
    pub(crate) fn data(self) -> &'static str {
        match self {
            Recipe::MnistMlp => "mnist",
        }
    }

    pub(crate) fn prepare(self, setup: &Setup<'_>) -> Result<Prepared> {
        match self {
            Recipe::MnistMlp => mnist_mlp::prepare(setup),
        }
    }
}
