//! A CSV file of the settings, and its parts: to train on, to validate with, to test on.

use super::{EMBEDDED, Search};
use crate::settings::node::Value;
use crate::settings::section::Section;
use kiln::ErrorKind;
use kiln::prelude::*;
use std::path::PathBuf;

/// An opened file.
pub(super) struct Opened<'s, 'a> {
    settings: &'s Section<'a>,
    pub(super) options: CsvOptions,
    all_is_test: bool,
    /// What paths of other files are relative to.
    folder: PathBuf,
    pub(super) path: PathBuf,
    pub(super) all: Csv,
}

/// Where rows come from.
pub(super) enum Rows {
    /// A file: that of `--data`, or of the settings.
    File,
    /// The command itself.
    Made(Csv),
}

/// The rows to train on, to validate with, where the settings say so, and to test on.
pub(super) struct Parts {
    pub(super) train: Csv,
    pub(super) validation: Option<Csv>,
    pub(super) test: Csv,
}

impl<'s, 'a> Opened<'s, 'a> {
    pub(super) fn new(settings: &'s Section<'a>, search: &Search<'_>, rows: Rows) -> Result<Self> {
        let (path, options, all) = match rows {
            Rows::File => {
                let (path, options) = (search.path(settings)?, options(settings)?);
                let all = options.clone().open(&path)?;
                (path, options, all)
            }
            Rows::Made(all) => (EMBEDDED.into(), CsvOptions::new(), all),
        };
        let all_is_test = search.all_is_test;
        Ok(Opened { settings, options, all_is_test, folder: search.folder.to_owned(), path, all })
    }

    /// The parts; by class where there is a column of classes.
    pub(super) fn parts(&self, classes: Option<&str>) -> Result<Parts> {
        let (seed, shuffled) = (self.settings.or("split_seed", 0)?, self.settings.or("shuffle", true)?);
        self.parts_by(|rows, fraction| match (shuffled, classes) {
            (false, _) => rows.split_in_order(fraction),
            (true, Some(column)) => rows.split_stratified(column, fraction, seed),
            (true, None) => rows.split(fraction, seed),
        })
    }

    /// The parts, of which `split` makes two.
    pub(super) fn parts_by(&self, split: impl Fn(&Csv, f64) -> Result<[Csv; 2]>) -> Result<Parts> {
        if self.all_is_test {
            // The other parts are asked for all the same, so that no setting is unknown.
            let _ = (self.settings.node("test"), self.settings.node("validation"));
            return Ok(Parts { train: self.all.clone(), validation: None, test: self.all.clone() });
        }
        let (rest, test) = self.part("test", &self.all, &split)?;
        let (train, validation) = match self.settings.has("validation") {
            true => self.part("validation", &rest, &split).map(|(train, validation)| (train, Some(validation)))?,
            false => (rest, None),
        };
        Ok(Parts { train, validation, test })
    }

    /// What is left of the rows, and the part that `key` says: a share of them, or a file.
    fn part(
        &self,
        key: &'static str,
        rows: &Csv,
        split: &impl Fn(&Csv, f64) -> Result<[Csv; 2]>,
    ) -> Result<(Csv, Csv)> {
        if let Some(Value::Text(file)) = self.settings.node(key).map(|node| &node.value) {
            return Ok((rows.clone(), self.options.clone().open(self.folder.join(file))?));
        }
        let parts = split(rows, self.settings.or(key, 0.2)?).map_err(|error| match error.kind() {
            ErrorKind::Value => self.settings.wrong(key, error.message()),
            _ => error,
        })?;
        let [rest, part] = parts;
        Ok((rest, part))
    }
}

fn options(settings: &Section<'_>) -> Result<CsvOptions> {
    let mut options = CsvOptions::new().header(settings.or("header", true)?);
    if let Some(delimiter) = settings.get::<String>("delimiter")? {
        let &[byte] = delimiter.as_bytes() else {
            return Err(settings.wrong("delimiter", &format!("one character is expected, got {delimiter:?}")));
        };
        options = options.delimiter(byte);
    }
    if let Some(words) = settings.get::<Vec<String>>("missing_words")? {
        options = options.missing(words);
    }
    Ok(options)
}
