//! Recipes: each a short file that reads as the example one would write.

use crate::digit::{self, digit};
use crate::photo::{self, photo};
use crate::pictures::Pictures;
use clap::ValueEnum;
use kiln::ErrorKind;
use kiln::datasets::Picture;
use kiln::prelude::*;
use kiln::train::Supervised;
use std::path::Path;

/// The recipes: documentation (the command's help), name, file, and what the samples are. The names on the command line, models,
/// trainers and errors follow. A file has two functions, `model` and `prepare`.
macro_rules! recipes {
    ($($(#[doc = $doc:literal])+ $recipe:ident: $file:ident, $samples:expr;)+) => {
        $(mod $file;)+

        /// What can be trained by name.
        #[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
        pub(crate) enum Recipe {
            $($(#[doc = $doc])+ $recipe,)+
        }

        impl Recipe {
            fn kind(self) -> &'static Samples {
                match self { $(Recipe::$recipe => &$samples),+ }
            }

            /// The model before any training.
            pub(crate) fn model(self, device: &Device, seed: u64) -> Result<Sequential> {
                match self { $(Recipe::$recipe => $file::model(device, seed)),+ }
            }

            pub(crate) fn prepare(self, setup: &Setup<'_>) -> Result<Prepared> {
                match self { $(Recipe::$recipe => $file::prepare(setup)),+ }
            }
        }
    };
}

recipes! {
    /// The classic MNIST classifier: Flatten, Dense 128 ReLU, Dense 10 softmax
    MnistMlp: mnist_mlp, DIGITS;
    /// A small convolutional network for MNIST
    MnistCnn: mnist_cnn, DIGITS;
    /// AlexNet for CIFAR-10 with augmentation, as a listing for Keras has it
    Cifar10Alexnet: cifar10_alexnet, PHOTOS;
    /// An autoencoder of MNIST's digits, which draws them again from 32 numbers: kiln generate
    MnistAutoencoder: mnist_autoencoder, Samples { classes: &[], makes: Makes::Images, ..DIGITS };
    /// A DCGAN, which learns to draw digits: kiln generate
    MnistGan: mnist_gan, Samples { classes: &[], makes: Makes::Images, ..DIGITS };
    /// ResNet-18 for CIFAR-10, trained for 95 %: on a graphics card
    Cifar10Resnet18: cifar10_resnet18, PHOTOS;
    /// ResNet-20 for CIFAR-10
    Cifar10Resnet20: cifar10_resnet20, PHOTOS;
    /// VGG-11 with batch normalization for CIFAR-10
    Cifar10Vgg: cifar10_vgg, PHOTOS;
    /// MNIST read row by row by an LSTM
    SequenceLstm: sequence_lstm, DIGITS;
    /// A character model of a book that the command carries; it can write afterwards: kiln generate
    CharLstm: char_lstm, Samples { called: "stretches of text", makes: Makes::Text, ..OWN };
    /// The adding problem by a GRU
    AddingGru: adding_gru, OWN;
}

pub(crate) use char_lstm::vocabulary;

/// What a recipe trains on.
struct Samples {
    /// The name of the data set; none where the recipe brings its own.
    data: Option<&'static str>,
    /// What they are, in reports.
    called: &'static str,
    /// What the classes are called, in order; nothing where a sample has none.
    classes: &'static [&'static str],
    /// What the model makes: `kiln generate`.
    makes: Makes,
    /// How images of files become samples as the data set's. (A model that takes no images refuses them by its input's shape.)
    input: Input,
}

/// What `kiln generate` writes or draws.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Makes {
    Nothing,
    Text,
    Images,
}

const DIGITS: Samples = Samples {
    data: Some("mnist"),
    called: "images",
    classes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    makes: Makes::Nothing,
    input: Input { called: "digits", shape: &[digit::SIDE, digit::SIDE], pixels: digit },
};

const PHOTOS: Samples = Samples {
    data: Some("cifar-10"),
    called: "images",
    classes: &Cifar10::CLASSES,
    makes: Makes::Nothing,
    input: Input { called: "photos", shape: &[3, photo::SIDE, photo::SIDE], pixels: photo },
};

/// What a recipe makes itself.
const OWN: Samples = Samples { data: None, called: "sequences", classes: &[], ..DIGITS };

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
    pub(crate) trainer: Training,
    pub(crate) train: Box<dyn Dataset>,
    pub(crate) test: Box<dyn Dataset>,
    pub(crate) epochs: usize,
    pub(crate) batch_size: usize,
    /// The schedule of the learning rate over so many steps.
    pub(crate) schedule: Option<fn(u64) -> Box<dyn Schedule>>,
    /// What is drawn of a model that makes images.
    pub(crate) pictures: Option<Pictures>,
}

/// The trainer of any recipe.
pub(crate) type Training = Trainer<Box<dyn Goal>, Box<dyn Optimizer>>;

/// An objective of one model, which is what a run's folder keeps.
pub(crate) trait Goal: Objective {
    fn model(&self) -> &Sequential;
    fn model_mut(&mut self) -> &mut Sequential;

    /// The shape of the samples that it is trained on.
    fn takes(&self) -> Option<&Shape> {
        self.model().input_shape()
    }
}

impl<L: Loss> Goal for Supervised<Sequential, L> {
    fn model(&self) -> &Sequential {
        &self.model
    }
    fn model_mut(&mut self) -> &mut Sequential {
        &mut self.model
    }
}

/// [`kiln::train::compile`] for a [`Training`].
fn compile(model: Sequential, optimizer: impl Optimizer + 'static, loss: impl Loss + 'static) -> Training {
    Trainer::new(Box::new(Supervised { model, loss }), Box::new(optimizer))
}

impl Prepared {
    /// A recipe without a schedule and without pictures.
    fn new(
        trainer: Training,
        train: impl Dataset + 'static,
        test: impl Dataset + 'static,
        epochs: usize,
        batch_size: usize,
    ) -> Self {
        let (train, test) = (Box::new(train), Box::new(test));
        Prepared { trainer, train, test, epochs, batch_size, schedule: None, pictures: None }
    }
}

/// How an image file becomes a model's input: the name, the shape, and a conversion that may fail.
pub(crate) struct Input {
    pub(crate) called: &'static str,
    pub(crate) shape: &'static [usize],
    pixels: fn(&Picture) -> Result<Vec<f32>, &'static str>,
}

impl Input {
    /// The sample that a file's image becomes.
    pub(crate) fn read(&self, path: &Path) -> Result<Vec<f32>> {
        let refused = |why| Error::new(ErrorKind::Value, "", format!("{}: {why}", path.display()));
        (self.pixels)(&Picture::read(path)?).map_err(refused)
    }
}

impl Recipe {
    /// The name of the data set that is trained on; none where the recipe brings its own.
    pub(crate) fn data(self) -> Option<&'static str> {
        self.kind().data
    }

    /// What its samples are.
    pub(crate) fn samples(self) -> &'static str {
        self.kind().called
    }

    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What the classes of samples are called, in order; nothing where a sample has none.
    pub(crate) fn classes(self) -> Vec<String> {
        self.kind().classes.iter().map(|&class| class.to_owned()).collect()
    }

    /// What its model makes.
    pub(crate) fn makes(self) -> Makes {
        self.kind().makes
    }

    /// How images of files become samples as the data set's.
    pub(crate) fn input(self) -> &'static Input {
        &self.kind().input
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
