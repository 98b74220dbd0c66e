//! Trained models in folders: the model with what it takes to use it.

mod folder;
mod hub;
mod input;
mod predictions;

pub use folder::{LoadOptions, MODEL, WEIGHTS};
pub use input::Input;
pub use predictions::Predictions;

use crate::autograd::Var;
use crate::datasets::{Csv, CsvOptions};
use crate::nn::{Ctx, Mask, Module, Sequential, Value, safetensors};
use crate::store::Store;
use crate::tensor::{DType, Device, Tensor};
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::path::Path;

/// Samples at a time in a prediction, where nothing else is said.
const BATCH: usize = 256;

/// A trained model with what it takes to use it: how files become its inputs, and what its outputs mean. `kiln train --out` writes
/// one, and [`load`] opens it.
///
/// ```
/// use kiln::prelude::*;
/// use kiln::trained::{Input, Trained};
/// # let folder = std::env::temp_dir().join(format!("kiln-doc-{}", std::process::id()));
///
/// let text = "width,length,kind\n1,4,cat\n2,5,cat\n6,1,dog\n7,2,dog\n";
/// let csv = CsvOptions::new().read(text)?; // `Csv::open("animals.csv")?`
/// let table = TableOptions::new("kind").fit(&csv)?;
/// let data = table.dataset(&csv)?;
/// let model = Sequential::new()
///     .push(Dense::new(2).activation(Activation::Softmax))
///     .build(data.input_shape(), &Device::cpu(), 1)?;
/// let mut trainer = compile(model, Adam::new(0.1), SparseCategoricalCrossentropy::new());
/// trainer.fit(&data, FitOptions::new().epochs(50).quiet())?;
///
/// let classes = table.class_names().unwrap_or_default().to_vec();
/// Trained::new(trainer.into_model()).input(Input::Table(table)).classes(classes).save(&folder)?;
///
/// let trained = kiln::load(&folder)?;
/// let new = CsvOptions::new().read("length,width\n4.5,1.5\n")?;
/// let predictions = trained.predict_csv(&new)?;
/// assert_eq!(predictions.class(0), Some("cat"));
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), Error>(())
/// ```
#[non_exhaustive]
pub struct Trained {
    /// The model.
    pub model: Sequential,
    /// How files become inputs, where that is known.
    pub input: Option<Input>,
    /// The classes' names by their labels, in order; empty where the outputs are no classes.
    pub classes: Vec<String>,
    /// Whether the outputs are logits of the classes instead of probabilities.
    pub logits: bool,
    /// How the CSV files that it was trained on are written.
    pub csv: CsvOptions,
    /// Samples at a time in a prediction, by default 256. It is not saved.
    pub batch_size: usize,
    /// What else model.json says: of `kiln train`, the recipe's name.
    pub notes: Map<String, Json>,
}

/// The file model.json.
#[derive(Serialize, Deserialize)]
struct Description {
    kiln: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input: Option<Input>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    classes: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    logits: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    csv: CsvOptions,
    parameters: usize,
    architecture: Json,
    #[serde(flatten)]
    notes: Map<String, Json>,
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

/// Opens the model that [`Trained::save`] or `kiln train --out` has left in a folder, on the CPU. [`LoadOptions`] opens it on another device.
///
/// A folder may also be as Hugging Face's hub has it, of a model that [`models::hub`](crate::models::hub) knows: with config.json and
/// safetensors files. The classes' names are then those of config.json.
///
/// # Errors
/// A folder without a model; files that were changed since they were written; weights of another model, infinite or NaN.
pub fn load(folder: impl AsRef<Path>) -> Result<Trained> {
    LoadOptions::new().load(folder)
}

impl Trained {
    /// A model alone.
    pub fn new(model: Sequential) -> Self {
        let (input, classes, csv, notes) = (None, Vec::new(), CsvOptions::new(), Map::new());
        Trained { model, input, classes, logits: false, csv, batch_size: BATCH, notes }
    }

    /// How files become the model's inputs.
    #[must_use]
    pub fn input(self, input: Input) -> Self {
        Trained { input: Some(input), ..self }
    }

    /// What the classes are called, by their labels.
    #[must_use]
    pub fn classes<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        Trained { classes: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// Whether the outputs are logits of the classes: probabilities are then computed for a prediction.
    #[must_use]
    pub fn logits(self, logits: bool) -> Self {
        Trained { logits, ..self }
    }

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
            notes: self.notes.clone(),
            ..Description::of(&self.model)
        };
        description.to_json()
    }

    /// What the model says about each row of a table. It need not have the target.
    ///
    /// # Errors
    /// A model that was not trained on tables; columns that are missing, values that cannot be read, with line and column.
    pub fn predict_csv(&self, csv: &Csv) -> Result<Predictions> {
        let table = match &self.input {
            Some(Input::Table(table)) => table,
            other => return Err(Input::expected("the rows of a table", other.as_ref())),
        };
        let rows = |first, end| table.inputs(&csv.select(first..end)?, &Device::cpu()).map(Value::from);
        self.predict_parts(csv.len(), rows)
    }

    /// Opens a CSV file that is written as those that the model was trained on: delimiter, header, words for missing values.
    ///
    /// # Errors
    /// As [`CsvOptions::open`].
    pub fn open_csv(&self, file: impl AsRef<Path>) -> Result<Csv> {
        self.csv.clone().open(file)
    }

    /// What comes after the newest rows of a time series: for each target, as many numbers as the horizon has, the first step first.
    ///
    /// # Errors
    /// A model that was not trained on series; fewer rows than a window, columns that are missing, values that cannot be read.
    pub fn predict_series(&self, csv: &Csv) -> Result<Predictions> {
        match &self.input {
            Some(Input::Series(series)) => self.predict(&series.inputs(csv, &Device::cpu())?),
            other => Err(Input::expected("time series", other.as_ref())),
        }
    }

    /// What the model says about each of some image files.
    ///
    /// # Errors
    /// A model that was not trained on images; files that cannot be read, by name.
    #[cfg(feature = "images")]
    pub fn predict_images<P: AsRef<Path> + Sync>(&self, files: &[P]) -> Result<Predictions> {
        let Some(input) = &self.input else { return Err(Input::expected("images", None)) };
        self.predict_parts(files.len(), |first, end| input.images(&files[first..end], &Device::cpu()).map(Value::from))
    }

    /// What the model says about each of some texts.
    ///
    /// # Errors
    /// A model that was not trained on texts.
    pub fn predict_texts<T: AsRef<str>>(&self, texts: &[T]) -> Result<Predictions> {
        let encoder = match &self.input {
            Some(Input::Text(encoder)) => encoder,
            other => return Err(Input::expected("texts", other.as_ref())),
        };
        let device = self.device();
        self.predict_parts(texts.len(), |first, end| {
            let padded = encoder.padded(&texts[first..end], &device)?;
            Ok(Value::One(Var::from(padded.values), Some(Mask::from(padded.mask))))
        })
    }

    /// The outputs for a batch of inputs.
    ///
    /// # Errors
    /// Inputs of another shape than the model takes.
    pub fn predict(&self, inputs: &Tensor) -> Result<Predictions> {
        self.predict_parts(inputs.dims().first().copied().unwrap_or(0), |first, end| {
            inputs.slice(0, first..end).map(Value::from)
        })
    }

    /// The outputs for `count` samples, of which `inputs` makes those from one number to before another.
    pub(crate) fn predict_parts(
        &self,
        count: usize,
        mut inputs: impl FnMut(usize, usize) -> Result<Value>,
    ) -> Result<Predictions> {
        let (device, step) = (self.device(), self.batch_size.max(1));
        let mut parts = Vec::new();
        for first in (0..count).step_by(step) {
            let part = match inputs(first, (first + step).min(count))? {
                Value::One(values, mask) => Value::One(Var::from(values.tensor().to_device(&device)?), mask),
                several => several,
            };
            let output = self.model.forward(part, &Ctx::eval())?.into_tensor();
            let output = if self.logits { probabilities(&output)? } else { output };
            parts.push(output.to_dtype(DType::F64)?.to_device(&Device::cpu())?);
        }
        let refs: Vec<&Tensor> = parts.iter().collect();
        let values = if refs.is_empty() {
            Tensor::zeros([0, 0], DType::F64, &Device::cpu())?
        } else {
            Tensor::concat(&refs, 0)?
        };
        Predictions::new(values, &self.classes)
    }

    pub(crate) fn device(&self) -> Device {
        self.model.parameters().first().map_or_else(Device::cpu, |(_, parameter)| parameter.value().device().clone())
    }
}

/// Of logits: one number a sample is that of class 1 of two.
fn probabilities(logits: &Tensor) -> Result<Tensor> {
    match logits.dims().last() {
        Some(&1) => logits.sigmoid(),
        _ => logits.softmax(-1),
    }
}

/// Saving a model alone.
pub trait Save {
    /// Writes the model into a folder, from which [`load`] opens it: `model.save("runs/first")`. With
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
