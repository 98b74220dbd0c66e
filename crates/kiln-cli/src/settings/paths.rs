//! Paths of data that options name.

use super::{Settings, Value};
use kiln::ErrorKind;
use kiln::prelude::*;
use std::path::Path;

impl Settings {
    /// Sets the path of the data to that of `--data`, which is relative to the current folder.
    pub(crate) fn set_data(&mut self, path: &Path) -> Result<()> {
        self.root.set_value("data.path", absolute(path, "--data")?, "--data")
    }

    /// Takes the table of a CSV file in the place of texts that the command makes up; other data stays as it is.
    pub(crate) fn set_table(&mut self, path: &Path) -> Result<()> {
        let name = self.section()?.section("data")?.get::<String>("name")?;
        let task = match name.as_deref() {
            Some("toy_reviews") => "classification",
            Some("toy_translations") => "translation",
            _ => return Ok(()),
        };
        for key in ["name", "rows"] {
            self.root.remove("data", key);
        }
        for (key, value) in [("kind", "text"), ("task", task)] {
            self.root.set_value(&format!("data.{key}"), Value::Text(value.to_owned()), "--data")?;
        }
        self.set_data(path)
    }

    /// Trains on the text of a file in the place of the book that the command carries.
    pub(crate) fn set_text(&mut self, path: &Path) -> Result<()> {
        let option = format!("--text {}", path.display());
        let section = self.section()?.section("data")?;
        let is_book = section.get::<String>("name")?.as_deref() == Some("alice");
        if !is_book && section.get::<String>("kind")?.as_deref() != Some("text") {
            return Err(Error::value(
                "",
                format!("{option}: what is trained here is not trained on a text: leave it out"),
            ));
        }
        let (whole, has_tokens) = (absolute(path, "--text")?, section.has("tokens"));
        if is_book {
            self.root.remove("data", "name");
            for (key, value) in [("kind", "text"), ("task", "language")] {
                self.root.set_value(&format!("data.{key}"), Value::Text(value.to_owned()), &option)?;
            }
            if !has_tokens {
                self.root.set_value("data.tokens", Value::Text("characters".to_owned()), &option)?;
            }
        }
        self.root.set_value("data.path", whole, &option)
    }
}

/// The path of an option, which is relative to the current folder.
fn absolute(path: &Path, option: &str) -> Result<Value> {
    let whole = std::path::absolute(path)
        .map_err(|error| Error::new(ErrorKind::Io, "", format!("{option} {}: {error}", path.display())))?;
    Ok(Value::Text(whole.to_string_lossy().into_owned()))
}
