//! config.toml: how a run went about it.

use kiln::{Error, ErrorKind, Result};
use serde::{Deserialize, Deserializer, Serialize};
use std::num::NonZeroUsize;
use std::path::Path;

/// What config.toml says, in its order.
#[derive(Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) recipe: String,
    pub(crate) seed: u64,
    pub(crate) options: Options,
    pub(crate) versions: Versions,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Options {
    pub(crate) epochs: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) batch_size: usize,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) drop_last: bool,
    pub(crate) optimizer: String,
    pub(crate) learning_rate: f64,
    /// What the learning rate follows, and over how many steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<String>,
    pub(crate) threads: usize,
    pub(crate) device: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<usize>,
    /// The folder of the data, or "embedded".
    pub(crate) data: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Versions {
    pub(crate) kiln: String,
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<usize, D::Error> {
    NonZeroUsize::deserialize(deserializer).map(NonZeroUsize::get)
}

impl Config {
    pub(crate) fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| Error::new(ErrorKind::Value, "", format!("config.toml: {error}")))
    }

    /// Reads the text of the file `path`, which errors name with the line.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or_else(String::new, |before| format!(" line {}:", before.split('\n').count()));
            let message = error.message().replace('\n', " ");
            Error::new(ErrorKind::Format, "", format!("{}:{line} {message}", path.display()))
        })
    }
}
