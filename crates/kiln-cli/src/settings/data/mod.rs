//! The data of a settings file.

mod csv;
mod images;
mod named;
mod parts;
mod series;
mod text;

use super::section::Section;
use super::tokens::Numbers;
use kiln::prelude::*;
use kiln::trained::{Input, Trained};
use std::path::{Path, PathBuf};

/// Data, ready to be trained on.
pub(crate) struct Data {
    pub(crate) train: Box<dyn Dataset>,
    /// What epochs are validated on; the test data where there is none.
    pub(crate) validation: Option<Box<dyn Dataset>>,
    pub(crate) test: Box<dyn Dataset>,
    /// What samples are called: images, rows.
    pub(crate) called: &'static str,
    /// How files become samples.
    pub(crate) input: Option<Input>,
    /// What the classes are called; empty where the targets are no classes.
    pub(crate) classes: Vec<String>,
    /// How CSV files are written.
    pub(crate) csv: CsvOptions,
    /// Where it was: a file, a folder, or "embedded".
    pub(crate) place: PathBuf,
    /// What the user is to know: what was left out, or stands in for other data.
    pub(crate) notices: Vec<String>,
}

/// Where data is that the command carries.
const EMBEDDED: &str = "embedded";

impl Data {
    /// Samples without classes.
    fn new(called: &'static str, parts: [Box<dyn Dataset>; 2], place: impl Into<PathBuf>) -> Self {
        let ([train, test], csv, place) = (parts, CsvOptions::new(), place.into());
        let (classes, notices) = (Vec::new(), Vec::new());
        Data { train, validation: None, test, called, input: None, classes, csv, place, notices }
    }

    /// The same, with how files become samples.
    fn with(self, input: Input) -> Self {
        Data { input: Some(input), ..self }
    }

    /// How many samples there are to train on, to validate with and to test on.
    pub(crate) fn counts(&self) -> [usize; 3] {
        [self.train.len(), self.validation.as_ref().map_or(0, |validation| validation.len()), self.test.len()]
    }

    /// Whether the samples are stretches of a text in characters.
    pub(crate) fn is_of_characters(&self) -> bool {
        matches!(&self.input, Some(Input::Tokens(tokenizer)) if tokenizer.is_of_characters())
    }
}

/// What stretches of a text are called.
const TEXT: &str = "stretches of text";

/// What data is looked for by.
pub(crate) struct Search<'s> {
    /// `--data`.
    pub(crate) option: Option<&'s Path>,
    /// The folder of the settings file, which its paths are relative to.
    pub(crate) folder: &'s Path,
    pub(crate) seed: u64,
    /// What a trained model knows.
    pub(crate) learned: Option<&'s Trained>,
    /// Whether all of the data is the test part.
    pub(crate) all_is_test: bool,
}

impl Search<'_> {
    /// How files become samples, where a trained model knows it.
    fn input(&self) -> Option<&Input> {
        self.learned.and_then(|learned| learned.input.as_ref())
    }

    /// The classes of a trained model.
    fn classes(&self) -> Option<&[String]> {
        self.learned.map(|learned| learned.classes.as_slice()).filter(|classes| !classes.is_empty())
    }

    /// A file or a folder: that of `--data`, or that of the settings.
    fn path(&self, settings: &Section<'_>) -> Result<PathBuf> {
        let path: String = settings.need("path")?;
        Ok(self.option.map_or_else(|| self.folder.join(path), Path::to_path_buf))
    }
}

/// The data that the table `data` says.
pub(super) fn data(root: &Section<'_>, search: &Search<'_>) -> Result<Data> {
    let settings = root.section("data")?;
    let kind = settings.get::<String>("kind")?;
    let data = match kind.as_deref() {
        Some("csv") => csv::data(&settings, search)?,
        Some("images") => images::data(&settings, search)?,
        Some("series") => series::data(&settings, search)?,
        Some("text") => text::data(&settings, search)?,
        Some(other) => {
            return Err(
                settings.wrong("kind", &format!("unknown kind {other:?}; known are csv, images, series and text"))
            );
        }
        None if settings.has("name") => named::data(&root.named("data")?.ok_or_else(|| none(root))?, search)?,
        None => return Err(none(root)),
    };
    Ok(data)
}

fn none(root: &Section<'_>) -> Error {
    root.missing("data", "a table with the `kind` of a user's data and its `path`, or the `name` of a known data set")
}

/// Data of which nothing is known but the shape of a sample.
struct Blank(Vec<usize>);

impl Dataset for Blank {
    fn len(&self) -> usize {
        0
    }
    fn input_shape(&self) -> &[usize] {
        &self.0
    }
    fn batch(&self, _: &[usize], _: &[usize], _: &Device) -> Result<Batch> {
        Err(Error::value("", "there is no data here"))
    }
}

/// Data to build a model for, with its numbers of tokens and classes: that of the settings, or, of a data set that need not be here, its shape. A
/// model that learns from the data before it is trained needs the data.
pub(super) fn to_look_at(root: &Section<'_>, search: &Search<'_>, learns: bool) -> Result<(Box<dyn Dataset>, Numbers)> {
    if !learns
        && let Ok(Some(named)) = root.named("data")
        && let Some(shape) = named::shape(&named)?
    {
        return Ok((Box::new(Blank(shape)), Numbers::default()));
    }
    let data = data(root, search)?;
    let numbers = Numbers::of(&data);
    Ok((data.train, numbers))
}
