//! Where data sets are looked for: `--data`, `$KILN_DATA_DIR`, the user's cache folder.

use kiln::datasets::source;
use std::path::{Path, PathBuf};

/// The environment's folder of all data.
pub(crate) fn variable() -> Option<PathBuf> {
    std::env::var_os("KILN_DATA_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// `kiln` in the user's cache folder ($XDG_CACHE_HOME or ~/.cache, on Windows %LOCALAPPDATA%), where there is a home.
pub(crate) fn cache() -> Option<PathBuf> {
    let (variable, below_home) = match cfg!(windows) {
        true => ("LOCALAPPDATA", "AppData/Local"),
        false => ("XDG_CACHE_HOME", ".cache"),
    };
    // A relative path would mean another folder from each place; the XDG specification has it ignored.
    let named = std::env::var_os(variable).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let home = || std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    Some(named.or_else(|| home().map(|home| home.join(below_home)))?.join("kiln"))
}

/// The folder of all data that has this data set: the one named on the command line, whatever is in it; else the first
/// that has all of its files. Nothing is fetched here: training begins at once, with or without a network.
pub(crate) fn folder_of(name: &str, option: Option<&Path>) -> Option<PathBuf> {
    if let Some(folder) = option {
        return Some(folder.to_path_buf());
    }
    let source = source(name)?;
    [variable(), cache()].into_iter().flatten().find(|folder| source.is_present(folder))
}
