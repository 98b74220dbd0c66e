//! Files of predictions.

use super::numbers;
use crate::report::{line, plain};
use kiln::prelude::*;
use kiln::store::write_atomically;
use kiln::trained::Predictions;
use serde_json::json;
use std::path::{Path, PathBuf};

/// A file of predictions: CSV, or JSON with one object for each sample.
pub(super) struct Sheet {
    path: PathBuf,
    json: bool,
    /// Whether the samples are of several files, whose names are then a column.
    several: bool,
    text: String,
}

impl Sheet {
    pub(super) fn new(path: &Path, several: bool) -> Result<Sheet> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match extension {
            "csv" | "json" => {
                Ok(Sheet { path: path.to_owned(), json: extension == "json", several, text: String::new() })
            }
            _ => Err(Error::value(
                "",
                format!("--out {}: a file that ends with .csv or .json is expected", path.display()),
            )),
        }
    }

    /// Adds predictions for a file; `name` says what each is for, under the heading `key`. Images have names of their own.
    pub(super) fn add(&mut self, file: &Path, name: impl Fn(usize) -> String, key: &str, predictions: &Predictions) {
        let row = |at| (name(at), predictions.class(at), predictions.values(at));
        self.rows(file, key, predictions.classes(), (0..predictions.len()).map(row));
    }

    /// Adds the texts that a model has made of those of a file.
    pub(super) fn add_texts(&mut self, file: &Path, name: impl Fn(usize) -> String, made: &[String]) {
        let rows = made.iter().enumerate().map(|(at, text)| (name(at), Some(text.as_str()), &[][..]));
        self.rows(file, "text", &[], rows);
    }

    /// Adds a row for each sample: its name, the class or the text, where there is one, and numbers.
    fn rows<'r>(
        &mut self,
        file: &Path,
        key: &str,
        classes: &[String],
        rows: impl Iterator<Item = (String, Option<&'r str>, &'r [f64])>,
    ) {
        let file = (self.several && key != "image").then(|| file.to_string_lossy());
        if !self.json && self.text.is_empty() {
            let of_classes = classes.iter().map(|class| cell(&format!("p({class})")));
            let names = [key.to_owned(), "prediction".to_owned()];
            let columns: Vec<String> = file.iter().map(|_| "file".to_owned()).chain(names).chain(of_classes).collect();
            self.text = columns.join(",") + "\n";
        }
        for (name, said, values) in rows {
            if self.json {
                let mut object = json!({ key: name });
                if let Some(file) = &file {
                    object["file"] = file.as_ref().into();
                }
                object["prediction"] = said.map_or_else(|| numbers(values), Into::into);
                if !classes.is_empty() {
                    let each = classes.iter().cloned().zip(values.iter().map(|&value| value.into()));
                    object["probabilities"] = serde_json::Value::Object(each.collect());
                }
                self.text += if self.text.is_empty() { "[\n" } else { ",\n" };
                self.text += &object.to_string();
                continue;
            }
            let (of_file, said) = (file.as_deref().map(cell), said.map(cell));
            let cells: Vec<String> = (of_file.into_iter().chain([cell(&name)]).chain(said))
                .chain(values.iter().map(f64::to_string))
                .collect();
            self.text += &(cells.join(",") + "\n");
        }
    }

    pub(super) fn write(mut self, json: bool) -> Result<()> {
        if self.json {
            self.text += if self.text.is_empty() { "[]\n" } else { "\n]\n" };
        }
        write_atomically(&self.path, self.text.as_bytes())?;
        match json {
            true => line(&json!({ "result": "predict", "out": self.path.to_string_lossy() })),
            false => plain(&format!("written to {}", self.path.display())),
        }
        Ok(())
    }
}

/// A value of a CSV file, in quotes where it needs them.
fn cell(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
