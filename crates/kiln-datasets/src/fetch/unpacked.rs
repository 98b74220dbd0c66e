//! What was unpacked from an archive, and whether it is still that.
//!
//! An archive is removed once it is unpacked, so the sums of its files are kept beside them: `NAME.sha256`, in the format of
//! `sha256sum`, with the archive's own sum in a comment.

use super::partial::sha256;
use super::{of_fetching, unwritable};
use crate::catalog::Remote;
use kiln_store::write_atomically;
use kiln_tensor::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn list_of(archive: &Remote<'_>, folder: &Path) -> PathBuf {
    folder.join(format!("{}.sha256", archive.name))
}

fn comment(archive: &Remote<'_>) -> String {
    format!("# {}  {}", archive.sha256, archive.name)
}

/// Whether these files of the archive are there and right. Without a list, as of files that were put there by hand, they count as
/// right; a list of another archive does not count for this one.
pub(super) fn is_whole(archive: &Remote<'_>, names: &[&str], folder: &Path) -> Result<bool> {
    if !names.iter().all(|name| folder.join(name).is_file()) {
        return Ok(false);
    }
    let Ok(list) = std::fs::read_to_string(list_of(archive, folder)) else { return Ok(true) };
    let (first, rest) = list.split_once('\n').unwrap_or_default();
    let sums: BTreeMap<&str, &str> =
        rest.lines().filter_map(|line| line.split_once("  ")).map(|(sum, name)| (name, sum)).collect();
    if first != comment(archive) {
        return Ok(false);
    }
    for &name in names {
        let path = folder.join(name);
        let (_, sum) = sha256(&path).map_err(|e| unwritable(&path, e))?;
        if sums.get(name) != Some(&sum.as_str()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Keeps the sums of files that were just unpacked.
pub(super) fn note(archive: &Remote<'_>, names: &[&str], folder: &Path) -> Result<()> {
    let mut list = comment(archive) + "\n";
    for name in names {
        let path = folder.join(name);
        let (_, sum) = sha256(&path).map_err(|e| unwritable(&path, e))?;
        list += &format!("{sum}  {name}\n");
    }
    write_atomically(&list_of(archive, folder), list.as_bytes()).map_err(of_fetching)
}
