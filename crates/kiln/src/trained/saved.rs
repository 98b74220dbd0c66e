//! What is written of a trained model: model.json and the weights.

use super::{Input, MODEL, Trained, WEIGHTS};
use crate::datasets::CsvOptions;
use crate::nn::{Calibration, Module, Sequential, safetensors};
use crate::store::Store;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::path::Path;

/// The file model.json.
#[derive(Serialize, Deserialize)]
pub(super) struct Description {
    kiln: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) input: Option<Input>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) classes: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) logits: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) csv: CsvOptions,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) quantized: Option<Calibration>,
    parameters: usize,
    pub(super) architecture: Json,
    #[serde(flatten)]
    pub(super) notes: Map<String, Json>,
}

fn is_default(options: &CsvOptions) -> bool {
    *options == CsvOptions::new()
}

impl Description {
    /// Of a model alone.
    fn of(model: &Sequential) -> Self {
        Description {
            kiln: env!("CARGO_PKG_VERSION").to_owned(),
            input: None,
            classes: Vec::new(),
            logits: false,
            csv: CsvOptions::new(),
            quantized: None,
            parameters: model.parameter_count(),
            architecture: model.architecture(),
            notes: Map::new(),
        }
    }

    fn to_json(&self) -> Result<String> {
        let json = serde_json::to_string_pretty(self)
            .map_err(|e| Error::new(ErrorKind::Format, "save", format!("{MODEL}: {e}")).with_source(e))?;
        Ok(json + "\n")
    }
}

/// Writes a model and its description into a folder, which is made where it is not there.
fn write(folder: &Path, model: &Sequential, description: &str) -> Result<()> {
    if model.input_shapes().is_none() {
        return Err(Error::value("save", "the model is not built: call `build` with the shape of its samples first"));
    }
    std::fs::create_dir_all(folder).map_err(|error| {
        let message = format!("{}: this folder cannot be made: {error}", folder.display());
        Error::new(ErrorKind::Io, "save", message).with_source(error)
    })?;
    let weights = safetensors::encode(&model.state_dict())?;
    Store::new(folder).lock()?.commit(&[(WEIGHTS, weights.as_slice()), (MODEL, description.as_bytes())])?;
    Ok(())
}

impl Trained {
    /// Writes `model.json`, `model.safetensors` and a manifest with their checksums into a folder, which is made where it is not
    /// there. Both files change at once, or none.
    ///
    /// # Errors
    /// A layer that no file can hold (`Lambda`); a folder that cannot be written.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        write(folder.as_ref(), &self.model, &self.description()?)
    }

    /// What model.json says of it.
    ///
    /// # Errors
    /// A layer that no file can hold.
    pub fn description(&self) -> Result<String> {
        let description = Description {
            input: self.input.clone(),
            classes: self.classes.clone(),
            logits: self.logits,
            csv: self.csv.clone(),
            quantized: self.quantized.clone(),
            notes: self.notes.clone(),
            ..Description::of(&self.model)
        };
        description.to_json()
    }
}

/// Saving a model alone.
pub trait Save {
    /// Writes the model into a folder, from which [`load`](super::load) opens it: `model.save("runs/first")`. With
    /// [`Trained`], what it takes to use the model is saved too.
    ///
    /// # Errors
    /// As [`Trained::save`].
    fn save(&self, folder: impl AsRef<Path>) -> Result<()>;
}

impl Save for Sequential {
    fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        write(folder.as_ref(), self, &Description::of(self).to_json()?)
    }
}
