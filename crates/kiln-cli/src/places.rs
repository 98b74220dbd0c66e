//! Where data sets are looked for: `--data`, `$KILN_DATA_DIR`, the user's cache folder.

use etcetera::BaseStrategy;
use kiln::datasets::source;
use std::path::{Path, PathBuf};

/// The environment's folder of all data.
pub(crate) fn variable() -> Option<PathBuf> {
    std::env::var_os("KILN_DATA_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// `kiln` in the user's cache folder ($XDG_CACHE_HOME or ~/.cache, on Windows %LOCALAPPDATA%), where there is a home.
pub(crate) fn cache() -> Option<PathBuf> {
    Some(etcetera::choose_base_strategy().ok()?.cache_dir().join("kiln"))
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
