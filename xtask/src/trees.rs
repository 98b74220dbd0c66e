//! What a package is built of.

use crate::shell::{Result, cargo, read};
use std::collections::BTreeSet;
use std::path::Path;

/// Name and version of every package in a build of a package of the workspace in `folder` on this machine: libraries, procedural macros, build scripts' crates.
pub(crate) fn packages(package: &str, folder: &Path) -> Result<BTreeSet<(String, String)>> {
    let arguments = ["tree", "--package", package, "--edges", "normal,build", "--prefix", "none", "--format", "{p}"];
    let text = read(cargo(&arguments).current_dir(folder))?;
    // `name v1.2.3 (proc-macro) (path)`
    let mut words = text.lines().map(str::split_whitespace);
    Ok(words.by_ref().filter_map(|mut line| Some((line.next()?.into(), line.next()?.into()))).collect())
}
