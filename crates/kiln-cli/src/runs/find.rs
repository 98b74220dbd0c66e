//! The folders that are runs.

use crate::report::tell;
use crate::run_folder::FILES;
use kiln::trained::MODEL;
use kiln::{Error, ErrorKind, Result};
use serde_json::Value;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Folders inside of each other that are looked into.
const DEPTH: usize = 4;

const MANIFEST: &str = "manifest.json";

/// A run, and its path from the folder that was looked into.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) folder: PathBuf,
}

/// The runs in a folder and in the folders in it, by name; the folder itself may be one. Hidden folders, links and what is inside of a run
/// are left out.
pub(super) fn runs(folder: &Path) -> Result<Vec<Found>> {
    let unread = |error: io::Error| {
        let message = format!("{}: cannot be read: {error}", folder.display());
        Error::new(ErrorKind::Io, "", message).with_source(error)
    };
    if !fs::metadata(folder).map_err(unread)?.is_dir() {
        let message = format!("{}: this is a file; a folder of runs is expected", folder.display());
        return Err(Error::new(ErrorKind::Io, "", message));
    }
    let mut found = Vec::new();
    if is_run(folder) {
        let name = folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let name = name.unwrap_or_else(|| folder.display().to_string());
        found.push(Found { name, folder: folder.to_path_buf() });
    } else {
        walk(folder, "", DEPTH, &mut found).map_err(unread)?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(found)
}

fn walk(folder: &Path, name: &str, depth: usize, found: &mut Vec<Found>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, last) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if last.starts_with('.') || !entry.file_type()?.is_dir() {
            continue;
        }
        let name = if name.is_empty() { last } else { format!("{name}/{last}") };
        if is_run(&path) {
            found.push(Found { name, folder: path });
        } else if depth > 1
            && let Err(error) = walk(&path, &name, depth - 1, found)
        {
            tell(&format!("{}: cannot be read and is left out: {error}", path.display()));
        }
    }
    Ok(())
}

/// Whether a folder has a run, or what is left of one. Other programs write files of the same names, and the folder of a sweep has a
/// manifest too.
fn is_run(folder: &Path) -> bool {
    let has = |file: &str| folder.join(file).is_file();
    if has(crate::sweep::STATE) {
        return false;
    }
    // A manifest or a description that was cut short stands beside other files of the run.
    let others = || FILES.iter().filter(|file| has(file)).count() > 1;
    has_keys(&folder.join(MANIFEST), &["format", "generation", "files"])
        || has_keys(&folder.join(MODEL), &["kiln", "architecture"])
        || (has(MANIFEST) || has(MODEL)) && others()
}

/// Whether a file is JSON, an object with these keys.
fn has_keys(file: &Path, keys: &[&str]) -> bool {
    let value = fs::read(file).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    value.is_some_and(|value| keys.iter().all(|key| value.get(key).is_some()))
}
