//! What is learned from a column.

use super::bind::{boolean_in, fits, number_in, refused};
use super::stats::Stats;
use super::table::{Feature, Filled, Form};
use super::table_options::Missing;
use super::tables::{Csv, Row, list};
use super::values::{Value, boolean, in_order, number, short};
use kiln_tensor::{Error, Result};

/// What has been learned from a column so far.
pub(super) struct Learned<'a> {
    pub(super) name: &'a str,
    pub(super) place: usize,
    pub(super) form: Form,
    pub(super) missing: &'a Missing,
    pub(super) stats: Stats,
}

impl Learned<'_> {
    /// Takes in the value of a row.
    pub(super) fn see(&mut self, row: &Row<'_>) -> Result<()> {
        let (text, value) = row.value(self.place)?;
        match (&self.form, value) {
            (_, Value::Missing) if self.missing == &Missing::Refuse => return Err(refused(row, self.place)),
            (_, Value::Missing) => {}
            (Form::Number, _) => {
                number_in(row, self.place, text)?;
            }
            (Form::Boolean, _) => {
                boolean_in(row, self.place, text)?;
            }
            (Form::OneHot { .. } | Form::Index { .. }, _) => {}
        }
        self.stats.add(text, value, row.number());
        Ok(())
    }

    pub(super) fn finish(mut self, train: &Csv) -> Result<Feature> {
        let missing = match self.form {
            Form::Number => self.filled_number(train)?,
            Form::Boolean => match self.filled_category(train)? {
                Filled::Category(word) => Filled::Number(f64::from(u8::from(self.truth(&word)?))),
                other => other,
            },
            Form::OneHot { .. } | Form::Index { .. } => self.filled_category(train)?,
        };
        let form = match self.form {
            Form::OneHot { .. } => Form::OneHot { categories: self.categories(train, &missing)? },
            Form::Index { .. } => Form::Index { categories: self.categories(train, &missing)? },
            Form::Number | Form::Boolean => self.form,
        };
        Ok(Feature { column: self.name.to_owned(), form, missing })
    }

    fn filled_number(&mut self, train: &Csv) -> Result<Filled> {
        let learned = match self.missing {
            Missing::Refuse => return Ok(Filled::Refuse),
            Missing::DropRow => return Ok(Filled::DropRow),
            Missing::Constant(word) => match number(word.trim()).filter(|&number| fits(number)) {
                Some(number) => return Ok(Filled::Number(number)),
                None => return Err(self.constant(word, "no number of f32")),
            },
            Missing::Mean => self.stats.mean(),
            Missing::Median => self.stats.median(),
            Missing::Mode => self.stats.mode().and_then(number),
        };
        learned.map(Filled::Number).ok_or_else(|| self.nothing_learned(train))
    }

    fn filled_category(&self, train: &Csv) -> Result<Filled> {
        match self.missing {
            Missing::Refuse => Ok(Filled::Refuse),
            Missing::DropRow => Ok(Filled::DropRow),
            Missing::Constant(word) => Ok(Filled::Category(word.trim().to_owned())),
            Missing::Mean | Missing::Median | Missing::Mode => {
                let mode = self.stats.mode().map(|word| Filled::Category(word.to_owned()));
                mode.ok_or_else(|| self.nothing_learned(train))
            }
        }
    }

    fn truth(&self, word: &str) -> Result<bool> {
        let truth = match word {
            "0" => Some(false),
            "1" => Some(true),
            _ => boolean(word),
        };
        truth.ok_or_else(|| self.constant(word, "neither true nor false"))
    }

    /// The categories in order, with that of missing values.
    fn categories(&self, train: &Csv, missing: &Filled) -> Result<Vec<String>> {
        let Some(values) = self.stats.values() else {
            let message =
                format!("the column {:?} has too many different values to be categories: ignore it", self.name);
            return Err(train.wrong(&message));
        };
        let mut categories: Vec<String> = values.into_iter().map(|(value, _)| value.to_owned()).collect();
        if let Filled::Category(word) = missing
            && !categories.contains(word)
        {
            categories.push(word.clone());
            categories.sort_by(|a, b| in_order(a, b));
        }
        if categories.is_empty() {
            return Err(self.nothing_learned(train));
        }
        Ok(categories)
    }

    #[cold]
    fn constant(&self, word: &str, what: &str) -> Error {
        let message = format!("{} is {what}, and is to stand for missing values of {:?}", short(word), self.name);
        Error::value("TableOptions", message)
    }

    #[cold]
    fn nothing_learned(&self, train: &Csv) -> Error {
        let values = if self.stats.values().is_none() { "too many different values" } else { "no value" };
        train.wrong(&format!(
            "the column {} has {values} in the training rows, so nothing can stand for missing ones: `TableOptions::missing_in` with \
             a constant does, or ignore the column",
            list(std::iter::once(self.name))
        ))
    }
}
