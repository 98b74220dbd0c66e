//! What lies in the folder of a run between two sessions of it.

use super::random::Random;
use crate::shell::Result;
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Files and folders under temporary names, with the time of their last change: in the folder of a run, beside it while it is new, and
/// where older checkpoints are kept.
fn temporary(run: &Path) -> Vec<(PathBuf, SystemTime)> {
    let hidden = format!(".{}.new-", run.file_name().unwrap_or_default().to_string_lossy());
    let beside =
        entries(run.parent().unwrap_or(Path::new("."))).into_iter().filter(|path| name(path).starts_with(&hidden));
    let folders = [run.to_owned(), run.join("checkpoints")].into_iter().chain(beside);
    let all = folders.flat_map(|folder| entries(&folder));
    let temporary = all.filter(|path| name(path).starts_with('.') && name(path) != ".lock");
    temporary.filter_map(|path| Some((path.clone(), fs::metadata(&path).ok()?.modified().ok()?))).collect()
}

/// What lies under temporary names in the folder of a run, and hidden folders beside it.
pub(super) fn left(run: &Path) -> Vec<PathBuf> {
    let hidden = format!(".{}.new-", run.file_name().unwrap_or_default().to_string_lossy());
    let beside =
        entries(run.parent().unwrap_or(Path::new("."))).into_iter().filter(|path| name(path).starts_with(&hidden));
    temporary(run).into_iter().map(|(path, _)| path).chain(beside).collect()
}

/// Whether a checkpoint was being written when the process was killed.
pub(super) fn was_being_written(run: &Path) -> bool {
    !temporary(run).is_empty()
}

/// Whether a checkpoint is being written by a process that was started at this time.
pub(super) fn is_being_written(run: &Path, started: SystemTime) -> bool {
    temporary(run).iter().any(|(_, changed)| *changed > started)
}

/// The number of the checkpoint in the folder of a run.
pub(super) fn generation(run: &Path) -> Option<u64> {
    manifest(run)?["generation"].as_u64()
}

/// Cuts a file of the newest checkpoint short, or changes a byte of it; says which. None where there is no older checkpoint to go on
/// from, or a file still has its temporary name.
pub(super) fn damage(run: &Path, random: &mut Random) -> Result<Option<String>> {
    let Some(manifest) = manifest(run) else { return Ok(None) };
    let number = manifest["generation"].to_string();
    let older =
        entries(&run.join("checkpoints")).iter().any(|path| !name(path).starts_with('.') && name(path) != number);
    let unnamed = temporary(run).iter().any(|(path, _)| name(path).ends_with(&format!(".generation-{number}")));
    let files: Vec<&String> = manifest["files"].as_object().into_iter().flat_map(|files| files.keys()).collect();
    if !older || unnamed || files.is_empty() {
        return Ok(None);
    }
    let path = run.join(files[random.below(files.len())]);
    let failed = |error| format!("{}: {error}", path.display());
    let mut bytes = fs::read(&path).map_err(failed)?;
    let at = random.below(bytes.len());
    if random.share() < 0.5 {
        let file = File::options().write(true).open(&path).map_err(failed)?;
        file.set_len(at as u64).map_err(failed)?;
    } else if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.below(8);
        fs::write(&path, bytes).map_err(failed)?;
    }
    Ok(Some(name(&path)))
}

fn manifest(run: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(run.join("manifest.json")).ok()?).ok()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
