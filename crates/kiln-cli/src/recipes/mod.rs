//! Recipes: each a short file that reads as the example one would write.

mod mnist_mlp;

use clap::ValueEnum;
use kiln::Result;
use kiln::prelude::*;
use std::path::Path;

/// What can be trained by name.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Recipe {
    /// The classic MNIST classifier: Flatten, Dense 128 ReLU, Dense 10 softmax
    MnistMlp,
}

/// A recipe made ready: its model, its data, its defaults.
pub(crate) struct Prepared {
    pub(crate) model: Sequential,
    pub(crate) train: ImageDataset,
    pub(crate) test: ImageDataset,
    pub(crate) epochs: usize,
    pub(crate) batch_size: usize,
    pub(crate) learning_rate: f64,
}

impl Recipe {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Recipe::MnistMlp => "mnist-mlp",
        }
    }

    pub(crate) fn prepare(self, data: &Path, device: &Device, seed: u64) -> Result<Prepared> {
        match self {
            Recipe::MnistMlp => mnist_mlp::prepare(data, device, seed),
        }
    }
}
