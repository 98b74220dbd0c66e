//! The images that a CSV file lists.

use super::files::{ImageFiles, Targets};
use crate::Csv;
use crate::csv::{Pair, in_order, number};
use kiln_tensor::{Error, ErrorKind, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub(super) fn classes(file: &Path, path_column: &str, label_column: &str) -> Result<ImageFiles> {
    let mut texts = Vec::new();
    let paths = each(file, [path_column, label_column], |row| {
        texts.push(row.text(1)?.to_owned());
        Ok(())
    })?;
    let mut names: Vec<String> = texts.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    names.sort_by(|a, b| in_order(a, b));
    if let [class] = &names[..] {
        let message = format!("{}: column {label_column:?} has only the class {class}: two are needed", file.display());
        return Err(Error::new(ErrorKind::Format, "", message));
    }
    let label = |text: &String| names.binary_search_by(|name| in_order(name, text)).unwrap_or(0) as u32;
    let labels = texts.iter().map(label).collect();
    Ok(ImageFiles::new(file.display(), paths, Targets::Classes { names, labels }))
}

pub(super) fn numbers(file: &Path, path_column: &str, target_column: &str) -> Result<ImageFiles> {
    let mut numbers = Vec::new();
    let paths = each(file, [path_column, target_column], |row| {
        let text = row.text(1)?;
        numbers.push(number(text).ok_or_else(|| row.wrong(1, &format!("{text:?} is no number")))? as f32);
        Ok(())
    })?;
    Ok(ImageFiles::new(file.display(), paths, Targets::Numbers(numbers)))
}

/// The files of the first column, which are there; `f` takes the second one's values.
fn each(file: &Path, columns: [&str; 2], mut f: impl FnMut(&Pair<'_>) -> Result<()>) -> Result<Vec<PathBuf>> {
    let csv = Csv::open(file)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut paths = Vec::with_capacity(csv.len());
    csv.each_pair(columns, |row| {
        let image = folder.join(row.text(0)?);
        if !image.is_file() {
            return Err(row.wrong(0, &format!("there is no file {}", image.display())));
        }
        paths.push(image);
        f(&row)
    })?;
    Ok(paths)
}
