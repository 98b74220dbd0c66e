//! The workspace as cargo resolves it without its lock file.

use super::Metadata;
use crate::shell::{Result, command, read, root, target};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Copies the files that git knows, but not Cargo.lock, and says where to.
pub(super) fn copy() -> Result<PathBuf> {
    let folder = target().join("fresh");
    let failed = |error: std::io::Error| format!("the workspace cannot be copied to {}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    let files = read(&mut command("git", &["ls-files", "-z"]))?;
    // Those that are deleted and not committed yet are not there.
    for file in files.split('\0').filter(|file| *file != "Cargo.lock" && root().join(file).is_file()) {
        let to = folder.join(file);
        fs::create_dir_all(to.parent().unwrap_or(&folder)).map_err(failed)?;
        fs::copy(root().join(file), &to).map_err(failed)?;
    }
    Ok(folder)
}

/// Prints which packages are not those of the lock file.
pub(super) fn print_differences(locked: &Metadata, fresh: &Metadata) {
    let list = |metadata: &Metadata| -> BTreeSet<String> {
        metadata.packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect()
    };
    let (locked, fresh) = (list(locked), list(fresh));
    let show = |sign: char, of: &BTreeSet<String>, other: &BTreeSet<String>| {
        of.difference(other).for_each(|package| println!("{sign} {package}"));
    };
    show('-', &locked, &fresh);
    show('+', &fresh, &locked);
}
