//! How files become a model's inputs.

#[cfg(feature = "images")]
use crate::datasets::{ImageOptions, Picture};
use crate::datasets::{PairEncoder, SeriesEncoder, TableEncoder, TextEncoder, TextInputs, Tokenizer};
use crate::{Error, ErrorKind};
#[cfg(feature = "images")]
use crate::{
    Result,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};
#[cfg(feature = "images")]
use std::path::Path;

/// How files become a model's inputs, as it was learned from the training data. It stands in model.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Input {
    /// Rows of a table.
    Table(TableEncoder),
    /// Texts.
    Text(TextEncoder),
    /// Texts as a model such as BERT reads them: with the tokens that it expects around each.
    WholeText(TextInputs),
    /// Texts, of which the model makes other texts.
    Pairs(PairEncoder),
    /// A text that is gone on with, token by token.
    Tokens(Tokenizer),
    /// Windows of a time series.
    Series(SeriesEncoder),
    /// Pictures (the feature `images`).
    #[cfg(feature = "images")]
    Images(ImageOptions),
    /// Pictures of one figure, which are made to look like MNIST's: [`Picture::to_digit`](crate::datasets).
    Digits,
}

impl Input {
    /// What it takes.
    pub fn takes(&self) -> &'static str {
        match self {
            Input::Table(_) => "the rows of a table",
            Input::Text(_) | Input::WholeText(_) => "texts",
            Input::Pairs(_) => "texts to translate",
            Input::Tokens(_) => "the beginning of a text",
            Input::Series(_) => "time series",
            #[cfg(feature = "images")]
            Input::Images(_) => "images",
            Input::Digits => "images of digits",
        }
    }

    #[cold]
    pub(crate) fn expected(given: &str, input: Option<&Input>) -> Error {
        let takes = match input {
            Some(input) => format!("takes {}", input.takes()),
            None => "does not say how files become its inputs: pass tensors to `predict`".to_owned(),
        };
        Error::new(ErrorKind::Unsupported, "predict", format!("the model {takes}, not {given}"))
    }

    /// The samples that image files become, as a batch.
    ///
    /// # Errors
    /// An input that takes no images; files that cannot be read, by name.
    #[cfg(feature = "images")]
    pub fn images<P: AsRef<Path> + Sync>(&self, files: &[P], device: &Device) -> Result<Tensor> {
        /// Pixels of a side of MNIST's images.
        const SIDE: usize = 28;
        match self {
            Input::Images(options) => options.read_batch(files, device),
            Input::Digits => {
                let mut pixels = Vec::with_capacity(files.len() * SIDE * SIDE);
                for file in files.iter().map(AsRef::as_ref) {
                    let named =
                        |error: Error| Error::new(error.kind(), "", format!("{}: {}", file.display(), error.message()));
                    pixels.extend(Picture::read(file)?.to_digit().map_err(named)?);
                }
                Tensor::from_vec(pixels, [files.len(), SIDE, SIDE], device)
            }
            other => Err(Input::expected("images", Some(other))),
        }
    }
}
