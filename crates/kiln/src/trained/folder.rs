//! The folder of a trained model: its files, checked against the manifest.

use super::saved::Description;
use super::{Trained, hub};
use crate::nn::{Init, Module, Sequential, safetensors};
use crate::store::{Generation, Store};
use crate::tensor::{DType, Device};
use crate::{Error, ErrorKind, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The file of the layers, the inputs and the classes.
pub const MODEL: &str = "model.json";
/// The file of the weights.
pub use kiln_train::checkpoint::WEIGHTS;

/// How a trained model is opened.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    device: Device,
    accept_changed: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions { device: Device::cpu(), accept_changed: false }
    }
}

impl LoadOptions {
    /// On the CPU, with checksums compared.
    pub fn new() -> Self {
        LoadOptions::default()
    }

    /// Where the weights are to be.
    #[must_use]
    pub fn device(self, device: &Device) -> Self {
        LoadOptions { device: device.clone(), ..self }
    }

    /// Takes files that differ from the manifest, and a folder without one.
    #[must_use]
    pub fn accept_changed(self, accept: bool) -> Self {
        LoadOptions { accept_changed: accept, ..self }
    }

    /// Opens a model, as [`load`](super::load) does.
    ///
    /// # Errors
    /// As [`load`](super::load).
    pub fn load(&self, folder: impl AsRef<Path>) -> Result<Trained> {
        let folder = folder.as_ref();
        if hub::is_hub(folder) {
            let trained = hub::load(folder, &self.device)?;
            all_finite(&trained.model).map_err(|error| named(folder, &error))?;
            return Ok(trained);
        }
        let files = self.files(folder)?;
        let description = folder.join(MODEL);
        let wrong = |why: &str| Error::new(ErrorKind::Format, "", format!("{}: {why}", description.display()));
        let read: Description = serde_json::from_str(&files.text(MODEL)?)
            .map_err(|error| wrong(&format!("not a model's JSON: {error}")))?;
        // Without memory for the weights: whether they are as many as this asks for is seen when they are loaded.
        let mut init = Init::new(0, &self.device).placeholders();
        let mut model = Sequential::from_architecture_with(&read.architecture, &mut init)
            .map_err(|error| wrong(&format!("`architecture`: {}", error.message())))?;
        if model.input_shapes().is_none() || model.output_shapes().is_empty() {
            return Err(wrong(
                "`architecture`: `input`, the sizes of a sample's axes, and at least one layer are expected",
            ));
        }
        let width = model.output_shapes().last().and_then(|shapes| shapes.one().ok()?.last().copied());
        if let (classes @ 1.., Some(width)) = (read.classes.len(), width)
            && width != classes
            && (width, classes) != (1, 2)
        {
            return Err(wrong(&format!(
                "the model gives {width} numbers for a sample, and there are {classes} classes"
            )));
        }
        safetensors::load(&mut model, files.path(WEIGHTS)?)?;
        all_finite(&model).map_err(|error| named(&folder.join(WEIGHTS), &error))?;
        let mut trained = Trained::new(model).classes(read.classes).logits(read.logits);
        (trained.input, trained.csv, trained.notes) = (read.input, read.csv, read.notes);
        trained.quantized = read.quantized;
        Ok(trained)
    }

    /// The files of a folder.
    ///
    /// # Errors
    /// No such folder, or one without a manifest.
    pub fn files<'a>(&self, folder: &'a Path) -> Result<Files<'a>> {
        if !folder.is_dir() {
            let message =
                format!("{}: the folder does not exist; `kiln train RECIPE --out DIR` makes one", folder.display());
            return Err(Error::new(ErrorKind::Io, "", message));
        }
        // The hub's folders have no manifest.
        let unchecked = self.accept_changed || hub::is_hub(folder);
        let generation = if unchecked { None } else { Store::new(folder).current()? };
        if generation.is_none() && !unchecked {
            let message = format!(
                "{}: this folder has no manifest.json, so it is not known whether its files are a run's; \
                 --accept-changed takes them as they are",
                folder.display()
            );
            return Err(Error::new(ErrorKind::Format, "", message));
        }
        Ok(Files { folder, generation })
    }
}

/// A run's folder that is read: files of its current generation, whose checksums are compared.
pub struct Files<'a> {
    folder: &'a Path,
    /// None where files are taken as they are.
    generation: Option<Generation>,
}

impl Files<'_> {
    /// Whether a file is part of the run.
    pub fn has(&self, file: &str) -> bool {
        match &self.generation {
            Some(generation) => generation.names().any(|name| name == file),
            None => self.folder.join(file).exists(),
        }
    }

    /// Where a file is.
    ///
    /// # Errors
    /// A file that is not there, or was changed.
    pub fn path(&self, file: &str) -> Result<PathBuf> {
        let Some(generation) = &self.generation else { return Ok(self.folder.join(file)) };
        generation.path(file).map_err(|error| {
            let remedy = if error.kind() == ErrorKind::Format { "; --accept-changed takes it as it is" } else { "" };
            Error::new(error.kind(), "", format!("{}{remedy}", error.message())).with_source(error)
        })
    }

    /// What a file says.
    ///
    /// # Errors
    /// As [`Files::path`]; a file that cannot be read.
    pub fn text(&self, file: &str) -> Result<String> {
        let path = self.path(file)?;
        fs::read_to_string(&path).map_err(|error| {
            Error::new(ErrorKind::Io, "", format!("{}: cannot be read: {error}", path.display())).with_source(error)
        })
    }
}

/// An error with the file or the folder that it is about.
fn named(path: &Path, error: &Error) -> Error {
    Error::new(error.kind(), "", format!("{}: {}", path.display(), error.message()))
}

/// Fails where a weight is infinite or NaN, with the tensor's name.
fn all_finite(model: &Sequential) -> Result<()> {
    for (name, tensor) in model.state_dict() {
        let finite = tensor.isfinite()?;
        if finite.all(..)?.item()? == 0.0 {
            let (all, good) = (tensor.elements(), finite.to_dtype(DType::I64)?.sum(..)?.item()?);
            let bad = all - good as usize;
            let message = format!("{name}: {bad} of {all} values are infinite or NaN; such a model predicts nothing");
            return Err(Error::value("", message));
        }
    }
    Ok(())
}
