//! The images that a CSV file lists.

use super::files::{ImageFiles, Targets};
use crate::Csv;
use crate::csv::{in_order, number, wrong_in};
use kiln_tensor::{Error, ErrorKind, Result};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

pub(super) fn classes(file: &Path, columns: [&str; 2], known: Option<Vec<String>>) -> Result<ImageFiles> {
    let mut texts = Vec::new();
    let paths = each(file, columns, |text| {
        if known.as_ref().is_some_and(|known| !known.iter().any(|class| class == text)) {
            return Err(wrong_in(columns[1], &format!("{text:?} is not among the classes of the training images")));
        }
        texts.push(text.to_owned());
        Ok(())
    })?;
    let names = known.unwrap_or_else(|| {
        let mut names: Vec<String> = texts.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        names.sort_by(|a, b| in_order(a, b));
        names
    });
    if let [class] = &names[..] {
        let message = format!("{}: column {:?} has only the class {class}: two are needed", file.display(), columns[1]);
        return Err(Error::new(ErrorKind::Format, "", message));
    }
    let numbers: HashMap<&str, u32> = names.iter().map(String::as_str).zip(0..).collect();
    let labels = texts.iter().map(|text| numbers.get(text.as_str()).copied().unwrap_or(0)).collect();
    Ok(ImageFiles::new(file.display(), paths, Targets::Classes { labels, names: names.clone() }))
}

pub(super) fn numbers(file: &Path, path_column: &str, target_column: &str) -> Result<ImageFiles> {
    let mut numbers = Vec::new();
    let paths = each(file, [path_column, target_column], |text| {
        let wrong = || wrong_in(target_column, &format!("{text:?} is no number"));
        numbers.push(number(text).ok_or_else(wrong)? as f32);
        Ok(())
    })?;
    Ok(ImageFiles::new(file.display(), paths, Targets::Numbers(numbers)))
}

/// The files of the first column, which are there; `f` takes the second one's values.
fn each(file: &Path, columns: [&str; 2], mut f: impl FnMut(&str) -> Result<()>) -> Result<Vec<PathBuf>> {
    let csv = Csv::open(file)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut paths = Vec::with_capacity(csv.len());
    csv.for_each(&columns, |values| {
        let value = |which: usize| values[which].ok_or_else(|| wrong_in(columns[which], "there is no value"));
        let image = folder.join(value(0)?);
        if !image.is_file() {
            return Err(wrong_in(columns[0], &format!("there is no file {}", image.display())));
        }
        paths.push(image);
        f(value(1)?)
    })?;
    Ok(paths)
}
