//! Recipes: each a short file that reads as the example one would write.

mod cifar10_alexnet;
mod cifar10_resnet20;
mod cifar10_vgg;
mod mnist_cnn;
mod mnist_mlp;

use crate::digit::{self, digit};
use crate::image::{self, Image};
use crate::photo::{self, photo};
use clap::ValueEnum;
use kiln::prelude::*;
use kiln::train::Supervised;
use kiln::{Error, ErrorKind, Result};
use std::path::Path;

/// What can be trained by name.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Recipe {
    /// The classic MNIST classifier: Flatten, Dense 128 ReLU, Dense 10 softmax
    MnistMlp,
    /// A small convolutional network for MNIST
    MnistCnn,
    /// AlexNet for CIFAR-10 with augmentation, as a listing for Keras has it
    Cifar10Alexnet,
    /// ResNet-20 for CIFAR-10
    Cifar10Resnet20,
    /// VGG-11 with batch normalisation for CIFAR-10
    Cifar10Vgg,
}

/// What a recipe is given.
pub(crate) struct Setup<'a> {
    /// The folder of all data; without one, the subset of MNIST that the command carries.
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

/// What a file's image is made: what that is called, its shape, and how it is made, or why it cannot be.
pub(crate) struct Input {
    pub(crate) called: &'static str,
    pub(crate) shape: &'static [usize],
    pixels: fn(&Image) -> Result<Vec<f32>, &'static str>,
}

impl Input {
    /// The sample that a file's image becomes.
    pub(crate) fn read(&self, path: &Path) -> Result<Vec<f32>> {
        let refused = |why| Error::new(ErrorKind::Value, "", format!("{}: {why}", path.display()));
        (self.pixels)(&image::read(path)?).map_err(refused)
    }
}

impl Recipe {
    /// The name of the data set that is trained on.
    pub(crate) fn data(self) -> &'static str {
        match self {
            Recipe::MnistMlp | Recipe::MnistCnn => "mnist",
            Recipe::Cifar10Alexnet | Recipe::Cifar10Resnet20 | Recipe::Cifar10Vgg => "cifar-10",
        }
    }

    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What the classes are called, in order.
    pub(crate) fn classes(self) -> Vec<String> {
        match self {
            Recipe::MnistMlp | Recipe::MnistCnn => (0..10).map(|digit| digit.to_string()).collect(),
            Recipe::Cifar10Alexnet | Recipe::Cifar10Resnet20 | Recipe::Cifar10Vgg => {
                Cifar10::CLASSES.map(str::to_owned).to_vec()
            }
        }
    }

    /// How images of files become samples as the data set's.
    pub(crate) fn input(self) -> Input {
        match self {
            Recipe::MnistMlp | Recipe::MnistCnn => {
                Input { called: "digits", shape: &[digit::SIDE, digit::SIDE], pixels: digit }
            }
            Recipe::Cifar10Alexnet | Recipe::Cifar10Resnet20 | Recipe::Cifar10Vgg => {
                Input { called: "photos", shape: &[3, photo::SIDE, photo::SIDE], pixels: photo }
            }
        }
    }

    /// The model before any training.
    pub(crate) fn model(self, device: &Device, seed: u64) -> Result<Sequential> {
        let model = match self {
            Recipe::MnistMlp => mnist_mlp::model,
            Recipe::MnistCnn => mnist_cnn::model,
            Recipe::Cifar10Alexnet => cifar10_alexnet::model,
            Recipe::Cifar10Resnet20 => cifar10_resnet20::model,
            Recipe::Cifar10Vgg => cifar10_vgg::model,
        };
        model(device, seed)
    }

    pub(crate) fn prepare(self, setup: &Setup<'_>) -> Result<Prepared> {
        let prepare = match self {
            Recipe::MnistMlp => mnist_mlp::prepare,
            Recipe::MnistCnn => mnist_cnn::prepare,
            Recipe::Cifar10Alexnet => cifar10_alexnet::prepare,
            Recipe::Cifar10Resnet20 => cifar10_resnet20::prepare,
            Recipe::Cifar10Vgg => cifar10_vgg::prepare,
        };
        prepare(setup)
    }
}

/// CIFAR-10, bytes that are handed out as numbers from 0 to 1.
fn cifar10(setup: &Setup<'_>) -> Result<Cifar10> {
    let Some(folder) = setup.data else {
        let message = "cifar-10 is not here: `kiln data fetch cifar-10` brings it, or name its folder with --data DIR";
        return Err(Error::new(ErrorKind::Io, "", message));
    };
    Cifar10::load(folder)
}
