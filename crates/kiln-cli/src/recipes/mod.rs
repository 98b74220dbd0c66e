//! Recipes: settings files that the command carries. Each reads as the example one would write.

use crate::settings::Settings;
use clap::ValueEnum;
use kiln::Result;
use std::path::Path;

/// The recipes: documentation (the command's help), name and file.
macro_rules! recipes {
    ($($(#[doc = $doc:literal])+ $recipe:ident: $file:literal;)+) => {
        /// What can be trained by name.
        #[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
        pub(crate) enum Recipe {
            $($(#[doc = $doc])+ $recipe,)+
        }

        impl Recipe {
            /// The file.
            pub(crate) fn text(self) -> &'static str {
                match self { $(Recipe::$recipe => include_str!($file)),+ }
            }
        }
    };
}

recipes! {
    /// The classic MNIST classifier: Flatten, Dense 128 ReLU, Dense 10 softmax
    MnistMlp: "mnist-mlp.toml";
    /// A small convolutional network for MNIST
    MnistCnn: "mnist-cnn.toml";
    /// AlexNet for CIFAR-10 with augmentation, as a listing for Keras has it
    Cifar10Alexnet: "cifar10-alexnet.toml";
    /// An autoencoder of MNIST's digits, which draws them again from 32 numbers: kiln generate
    MnistAutoencoder: "mnist-autoencoder.toml";
    /// A DCGAN, which learns to draw digits: kiln generate
    MnistGan: "mnist-gan.toml";
    /// ResNet-18 for CIFAR-10, trained for 95 %: on a graphics card
    Cifar10Resnet18: "cifar10-resnet18.toml";
    /// ResNet-20 for CIFAR-10
    Cifar10Resnet20: "cifar10-resnet20.toml";
    /// A small vision transformer for CIFAR-10
    Cifar10Vit: "cifar10-vit.toml";
    /// VGG-11 with batch normalization for CIFAR-10
    Cifar10Vgg: "cifar10-vgg.toml";
    /// MNIST read row by row by an LSTM
    SequenceLstm: "sequence-lstm.toml";
    /// A character model of a book that the command carries; it can write afterwards: kiln generate
    CharLstm: "char-lstm.toml";
    /// The same book by a small transformer over characters: kiln generate
    CharTransformer: "char-transformer.toml";
    /// The same book by a small GPT over byte pairs, in nanoGPT's small setting: kiln generate
    GptMini: "gpt-mini.toml";
    /// The adding problem by a GRU
    AddingGru: "adding-gru.toml";
    /// Texts in classes by a transformer encoder: --data FILE.csv, or made-up reviews of films
    TextClassifier: "text-classifier.toml";
    /// Sorts and reverses lists of words: an encoder and a decoder, on made-up pairs of texts or those of --data FILE.csv
    TranslateToy: "translate-toy.toml";
    /// Strings of digits made of MNIST's, read by convolutions, an LSTM and CTC
    DigitsCtc: "digits-ctc.toml";
}

impl Recipe {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The settings, with the recipe's name.
    pub(crate) fn settings(self) -> Result<Settings> {
        let name = self.name();
        let mut settings = Settings::parse(self.text(), Path::new(&format!("{name}.toml")))?;
        settings.set("recipe", &format!("{name:?}"), &name)?;
        Ok(settings)
    }
}
