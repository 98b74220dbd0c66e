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

    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What the classes are called, in order.
    pub(crate) fn classes(self) -> Vec<String> {
        match self {
            Recipe::MnistMlp => (0..10).map(|digit| digit.to_string()).collect(),
        }
    }

    /// The model before any training.
    pub(crate) fn model(self, device: &Device, seed: u64) -> Result<Sequential> {
        match self {
            Recipe::MnistMlp => mnist_mlp::model(device, seed),
        }
    }

    pub(crate) fn prepare(self, setup: &Setup<'_>) -> Result<Prepared> {
        match self {
            Recipe::MnistMlp => mnist_mlp::prepare(setup),
        }
    }
}
