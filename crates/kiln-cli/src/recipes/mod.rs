//! Recipes: each a short file that reads as the example one would write.

mod adding_gru;
mod char_lstm;
mod cifar10_alexnet;
mod cifar10_resnet20;
mod cifar10_vgg;
mod mnist_cnn;
mod mnist_mlp;
mod sequence_lstm;

pub(crate) use char_lstm::vocabulary;

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
    /// VGG-11 with batch normalization for CIFAR-10
    Cifar10Vgg,
    /// MNIST read row by row by an LSTM
    SequenceLstm,
    /// A character model of a book that the command carries; it can write afterwards: kiln generate
    CharLstm,
    /// The adding problem by a GRU
    AddingGru,
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
    pub(crate) train: Box<dyn Dataset>,
    pub(crate) test: Box<dyn Dataset>,
    pub(crate) epochs: usize,
    pub(crate) batch_size: usize,
}

/// How an image file becomes a model's input: the name, the shape, and a conversion that may fail.
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
    /// The name of the data set that is trained on; none where the recipe brings its own.
    pub(crate) fn data(self) -> Option<&'static str> {
        match self {
            Recipe::MnistMlp | Recipe::MnistCnn | Recipe::SequenceLstm => Some("mnist"),
            Recipe::Cifar10Alexnet | Recipe::Cifar10Resnet20 | Recipe::Cifar10Vgg => Some("cifar-10"),
            Recipe::CharLstm | Recipe::AddingGru => None,
        }
    }

    /// What its samples are.
    pub(crate) fn samples(self) -> &'static str {
        match self {
            Recipe::CharLstm => "stretches of text",
            Recipe::AddingGru => "sequences",
            _ => "images",
        }
    }

    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What the classes of samples are called, in order; nothing where a sample has none.
    pub(crate) fn classes(self) -> Vec<String> {
        match self {
            Recipe::MnistMlp | Recipe::MnistCnn | Recipe::SequenceLstm => {
                (0..10).map(|digit| digit.to_string()).collect()
            }
            Recipe::Cifar10Alexnet | Recipe::Cifar10Resnet20 | Recipe::Cifar10Vgg => {
                Cifar10::CLASSES.map(str::to_owned).to_vec()
            }
            Recipe::CharLstm | Recipe::AddingGru => Vec::new(),
        }
    }

    /// How images of files become samples as the data set's. (A model that takes no images refuses them by its input's shape.)
    pub(crate) fn input(self) -> Input {
        match self {
            Recipe::Cifar10Alexnet | Recipe::Cifar10Resnet20 | Recipe::Cifar10Vgg => {
                Input { called: "photos", shape: &[3, photo::SIDE, photo::SIDE], pixels: photo }
            }
            _ => Input { called: "digits", shape: &[digit::SIDE, digit::SIDE], pixels: digit },
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
            Recipe::SequenceLstm => sequence_lstm::model,
            Recipe::CharLstm => char_lstm::model,
            Recipe::AddingGru => adding_gru::model,
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
            Recipe::SequenceLstm => sequence_lstm::prepare,
            Recipe::CharLstm => char_lstm::prepare,
            Recipe::AddingGru => adding_gru::prepare,
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
