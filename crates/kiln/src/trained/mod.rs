//! Trained models in folders: the model with what it takes to use it.

mod batches;
mod folder;
mod hub;
mod input;
mod predict;
mod predictions;
mod saved;

pub use folder::{LoadOptions, MODEL, WEIGHTS};
pub use input::Input;
pub use predictions::Predictions;
pub use saved::Save;

use crate::Result;
use crate::datasets::CsvOptions;
use crate::nn::{Calibration, Sequential};
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
    /// What a [`Calibration`] has noted: predictions on the CPU are then computed by 8-bit integers.
    pub quantized: Option<Calibration>,
    /// Samples at a time in a prediction, by default 256. It is not saved.
    pub batch_size: usize,
    /// What else model.json says: of `kiln train`, the recipe's name.
    pub notes: Map<String, Json>,
}

/// Opens the model that [`Trained::save`] or `kiln train --out` has left in a folder, on the CPU. [`LoadOptions`] opens it on another device.
///
/// A folder may also be as Hugging Face's hub has it, of a model that [`models::hub`](crate::models::hub) knows: with config.json and
/// safetensors files. The classes' names are then those of config.json. With a tokenizer beside it, a decoder writes text, and a classifier of
/// BERT's kind predicts texts:
///
/// ```
/// # let of = |path: &str| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
/// # let folder = std::env::temp_dir().join(format!("kiln-doc-bert-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # for file in ["config.json", "model.safetensors"] {
/// #     std::fs::copy(of("kiln-nn/tests/fixtures/hub/bert-classes").join(file), folder.join(file)).unwrap();
/// # }
/// # std::fs::copy(of("kiln-datasets/tests/fixtures/bert/vocab.txt"), folder.join("vocab.txt")).unwrap();
/// let trained = kiln::load(&folder)?; // config.json, model.safetensors and vocab.txt or tokenizer.json
/// let moods = trained.predict_texts(&["The cats undo it!", "it is a cat"])?;
/// assert_eq!((moods.len(), moods.classes()), (2, &["sad", "so-so", "glad"].map(String::from)[..]));
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), kiln::Error>(())
/// ```
///
/// For pairs of texts, [`TextInputs`](crate::datasets::TextInputs) makes the inputs of a model that was built
/// [`with_segments`](crate::models::bert::Bert::with_segments).
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
        Trained { model, input, classes, logits: false, csv, quantized: None, batch_size: BATCH, notes }
    }

    /// Computes predictions on the CPU by 8-bit integers.
    #[must_use]
    pub fn quantized(self, calibration: Calibration) -> Self {
        Trained { quantized: Some(calibration), ..self }
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
}
