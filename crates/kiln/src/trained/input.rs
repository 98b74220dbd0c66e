//! How files become a model's inputs.

use crate::datasets::{TableEncoder, Tokenizer};
use crate::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// How files become a model's inputs, as it was learned from the training data. It stands in model.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Input {
    /// Rows of a table.
    Table(TableEncoder),
    /// A text that is gone on with, token by token.
    Tokens(Tokenizer),
    /// Handwritten figures, as MNIST has them.
    Digits,
    /// Photos of 32 × 32 pixels, as CIFAR-10 has them.
    Photos,
}

impl Input {
    /// What it takes.
    pub fn takes(&self) -> &'static str {
        match self {
            Input::Table(_) => "the rows of a table",
            Input::Tokens(_) => "a text",
            Input::Digits | Input::Photos => "images",
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
}
