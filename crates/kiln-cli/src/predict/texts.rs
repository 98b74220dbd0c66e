//! Texts of files and of the command line.

use super::{Sheet, report};
use crate::arguments::PredictOptions;
use crate::report::{line, plain};
use crate::run_folder::Run;
use kiln::datasets::{PairEncoder, TextEncoder, load_text};
use kiln::prelude::*;
use serde_json::json;
use std::path::Path;

/// Endings of files with texts. A word that ends like this is a file, also where no such file is there.
const TABLES: [&str; 5] = ["csv", "tsv", "parquet", "arrow", "feather"];
const TEXTS: [&str; 2] = ["txt", "md"];

/// The texts of one argument: those of a file, or the argument itself.
struct Texts<'o> {
    given: &'o Path,
    texts: Vec<String>,
    is_file: bool,
}

impl<'o> Texts<'o> {
    /// Of a CSV file the texts of this column, or of the only one, of another file its lines.
    fn read(given: &'o Path, column: Option<&str>, run: &Run) -> Result<Self> {
        let mut texts = Vec::new();
        let is_file = is_file(given);
        if !is_file {
            texts.push(given.to_string_lossy().into_owned());
        } else if has_ending(given, &TABLES) {
            let csv = run.trained.open_csv(given)?;
            let column = column.map_or_else(|| only_column(csv.columns(), given), Ok)?;
            csv.for_each(&[column], |values| {
                texts.push(values[0].unwrap_or_default().to_owned());
                Ok(())
            })?;
        } else {
            texts.extend(load_text(given)?.lines().map(str::to_owned));
        }
        Ok(Texts { given, texts, is_file })
    }

    /// An error of one of the texts, with the file.
    fn named(&self, error: &Error) -> Error {
        let (given, message) = (self.given.to_string_lossy(), error.message());
        let message = if self.is_file { format!("{given}: {message}") } else { format!("{given:?}: {message}") };
        Error::new(error.kind(), "", message)
    }

    /// What reports call a text.
    fn name(&self, at: usize) -> String {
        let given = self.given.display();
        if self.is_file { format!("{given}: text {}", at + 1) } else { given.to_string() }
    }

    /// What a file of predictions calls a text.
    fn short_name(&self, at: usize) -> String {
        if self.is_file { (at + 1).to_string() } else { self.given.to_string_lossy().into_owned() }
    }

    /// The beginning of a text's JSON.
    fn object(&self, at: usize) -> serde_json::Value {
        let given = self.given.to_string_lossy();
        match self.is_file {
            true => json!({ "result": "predict", "file": given, "text": at + 1 }),
            false => json!({ "result": "predict", "text": given }),
        }
    }
}

/// The column of a table that has one.
fn only_column<'c>(columns: &'c [String], path: &Path) -> Result<&'c str> {
    if let [column] = columns {
        return Ok(column);
    }
    let message = format!(
        "{}: one column is expected, that of the texts, and there are {}; a text file has a text in each line",
        path.display(),
        columns.len()
    );
    Err(Error::value("", message))
}

/// Whether an argument names a file and is no text.
fn is_file(given: &Path) -> bool {
    let text = given.to_string_lossy();
    let is_word = !text.contains(char::is_whitespace);
    given.exists()
        || is_word && (text.contains(std::path::MAIN_SEPARATOR) || has_ending(given, &[&TABLES[..], &TEXTS].concat()))
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| endings.contains(&extension.as_str()))
}

/// Says in which class each text is. The encoder is that of the training; a model from a hub has none.
pub(super) fn classified(
    options: &PredictOptions,
    run: &Run,
    encoder: Option<&TextEncoder>,
    sheet: &mut Option<Sheet>,
) -> Result<()> {
    for given in &options.inputs {
        let texts = Texts::read(given, encoder.map(TextEncoder::text), run)?;
        if let Some(encoder) = encoder.filter(|_| !texts.is_file) {
            expect_known(&texts, encoder)?;
        }
        let predictions = run.trained.predict_texts(&texts.texts)?;
        for at in 0..predictions.len() {
            report(options, &texts.name(at), texts.object(at), &predictions, at);
        }
        if let Some(sheet) = sheet {
            sheet.add(given, |at| texts.short_name(at), "text", &predictions);
        }
    }
    Ok(())
}

/// Refuses a text of which the model knows no word: its answer would say nothing of it.
fn expect_known(texts: &Texts<'_>, encoder: &TextEncoder) -> Result<()> {
    for text in &texts.texts {
        let (tokens, unknown) = (encoder.tokenizer().encode_ordinary(text)?, encoder.tokenizer().unknown());
        if tokens.is_empty() {
            return Err(Error::value("", "an empty text was given: a text with at least one word is expected"));
        }
        if tokens.iter().all(|&token| Some(token) == unknown) {
            let why = "the model knows none of these words: they are not in the texts that it was trained on";
            return Err(texts.named(&Error::value("", why)));
        }
    }
    Ok(())
}

/// Says what the model makes of each text.
pub(super) fn translated(
    options: &PredictOptions,
    run: &Run,
    encoder: &PairEncoder,
    sheet: &mut Option<Sheet>,
) -> Result<()> {
    for given in &options.inputs {
        let texts = Texts::read(given, Some(encoder.text()), run)?;
        let made = run.trained.translate(&texts.texts).map_err(|error| texts.named(&error))?;
        for (at, made) in made.iter().enumerate() {
            if options.json {
                let mut object = texts.object(at);
                object["prediction"] = made.as_str().into();
                line(&object);
            } else if options.out.is_some() {
                continue;
            } else if texts.is_file {
                plain(&format!("{}: {made}", texts.name(at)));
            } else {
                plain(made);
            }
        }
        if let Some(sheet) = sheet {
            sheet.add_texts(given, |at| texts.short_name(at), &made);
        }
    }
    Ok(())
}
