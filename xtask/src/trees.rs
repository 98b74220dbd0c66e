//! What a package is built of.

use crate::shell::{Result, cargo, read};
use std::collections::{BTreeMap, BTreeSet};

/// Name and version of every package in a build on this machine: libraries, procedural macros, build scripts' crates.
pub(crate) fn packages(package: &str) -> Result<BTreeSet<(String, String)>> {
    let arguments = ["tree", "--package", package, "--edges", "normal,build", "--prefix", "none", "--format", "{p}"];
    let text = read(&mut cargo(&arguments))?;
    // `name v1.2.3 (proc-macro) (path)`
    let mut words = text.lines().map(str::split_whitespace);
    Ok(words.by_ref().filter_map(|mut line| Some((line.next()?.into(), line.next()?.into()))).collect())
}

/// Packages that are there in more than one version.
pub(crate) fn twice(packages: &BTreeSet<(String, String)>) -> Vec<String> {
    let mut versions = BTreeMap::<&str, Vec<&str>>::new();
    for (name, version) in packages {
        versions.entry(name).or_default().push(version);
    }
    let several = versions.into_iter().filter(|(_, versions)| versions.len() > 1);
    several.map(|(name, versions)| format!("{name} ({})", versions.join(", "))).collect()
}
