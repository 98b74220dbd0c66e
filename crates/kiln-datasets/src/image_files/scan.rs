//! The images in folders.

use super::files::{ImageFiles, List, Targets};
use super::format::{MAGIC, PictureFormat};
use kiln_tensor::{Error, ErrorKind, Result, nearest};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Folders within folders: more are a link that leads back.
const DEEPEST: usize = 32;

/// The images of each subfolder; of these classes, where they are given.
pub(super) fn classes(folder: &Path, given: Option<Vec<String>>) -> Result<ImageFiles> {
    let folders: Vec<PathBuf> = entries(folder)?.into_iter().filter(|path| path.is_dir()).collect();
    let found = folders.iter().map(|path| name(path)).collect::<Result<Vec<String>>>()?;
    let all_needed = given.is_none();
    if all_needed {
        check_count(folder, &found)?;
    }
    let names = given.unwrap_or_else(|| found.clone());
    let (mut paths, mut labels, mut others) = (Vec::new(), Vec::new(), 0);
    for (path, class) in folders.iter().zip(&found) {
        let Some(label) = names.iter().position(|name| name == class) else {
            return Err(unknown(path, class, &names));
        };
        let before = paths.len();
        collect(path, 0, &mut paths, &mut others)?;
        if all_needed && paths.len() == before {
            return Err(empty(path, "this class has no image"));
        }
        labels.resize(paths.len(), label as u32);
    }
    if paths.is_empty() {
        return Err(empty(folder, "there is no image in the classes' folders"));
    }
    Ok(list(folder, paths, Targets::Classes { names, labels }, others))
}

/// All images in a folder.
pub(super) fn unlabeled(folder: &Path) -> Result<ImageFiles> {
    let (mut paths, mut others) = (Vec::new(), 0);
    collect(folder, 0, &mut paths, &mut others)?;
    if paths.is_empty() {
        return Err(empty(folder, "there is no image in this folder"));
    }
    Ok(list(folder, paths, Targets::Nothing, others))
}

fn list(folder: &Path, paths: Vec<PathBuf>, targets: Targets, others: usize) -> ImageFiles {
    ImageFiles { list: Arc::new(List { origin: folder.display().to_string(), paths, targets, others }) }
}

/// What is in a folder and not hidden, by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error: std::io::Error| {
        let message = format!("{}: this folder cannot be read: {error}", folder.display());
        Error::new(ErrorKind::Io, "", message).with_source(error)
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Adds the images in a folder and its subfolders, by path, and counts the other files.
fn collect(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>, others: &mut usize) -> Result<()> {
    if depth == DEEPEST {
        let message = format!("{}: folders are nested more than {DEEPEST} deep", folder.display());
        return Err(Error::new(ErrorKind::Format, "", message));
    }
    for path in entries(folder)? {
        if path.is_dir() {
            collect(&path, depth + 1, paths, others)?;
        } else if PictureFormat::is_named(&path) || begins_as_image(&path) {
            paths.push(path);
        } else {
            *others += 1;
        }
    }
    Ok(())
}

/// Whether a file whose name does not say so is an image.
fn begins_as_image(path: &Path) -> bool {
    let mut bytes = Vec::with_capacity(MAGIC);
    let read = fs::File::open(path).and_then(|file| file.take(MAGIC as u64).read_to_end(&mut bytes));
    // A text may begin with the two letters of BMP.
    read.is_ok() && PictureFormat::of(&bytes).is_ok_and(|format| format != PictureFormat::Bmp)
}

/// The name of a class's folder.
fn name(path: &Path) -> Result<String> {
    path.file_name().and_then(|name| name.to_str()).map(str::to_owned).ok_or_else(|| {
        let message = format!("{}: the name of this class is not UTF-8: rename the folder", path.display());
        Error::new(ErrorKind::Format, "", message)
    })
}

fn check_count(folder: &Path, found: &[String]) -> Result<()> {
    let why = match found {
        [] => "there is no subfolder: each class has one with its images".to_owned(),
        [class] => format!("there is only the class {class}: two are needed, each a subfolder with its images"),
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::Format, "", format!("{}: {why}", folder.display())))
}

#[cold]
fn empty(folder: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Format, "", format!("{}: {why}: JPEG, PNG, WebP, BMP or GIF", folder.display()))
}

#[cold]
fn unknown(path: &Path, class: &str, names: &[String]) -> Error {
    let hint = match nearest(class, names.iter().map(String::as_str)) {
        Some(name) => format!("the nearest one is {name}"),
        None => format!("there are {} of them", names.len()),
    };
    Error::new(ErrorKind::Format, "", format!("{}: {class} is none of the classes: {hint}", path.display()))
}
