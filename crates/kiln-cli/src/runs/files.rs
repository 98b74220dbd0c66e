//! What the files of a run say.

use crate::log::Log;
use crate::run_folder::HISTORY;
use kiln::store::{Generation, Store};
use kiln::train::Status;
use kiln::{Error, ErrorKind, Result};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// How often a run is read that another process is writing, and after how long.
const TRIES: usize = 4;
const PAUSE: Duration = Duration::from_millis(20);

/// A file of text, where the run has it.
pub(super) fn text(generation: &Generation, name: &str) -> Result<Option<String>> {
    if !generation.has(name) {
        return Ok(None);
    }
    let bytes = generation.read(name)?;
    let wrong = |_| Error::new(ErrorKind::Format, "", format!("{name}: this is not UTF-8 text"));
    String::from_utf8(bytes).map(Some).map_err(wrong)
}

/// How far it has got; none of runs that were made before this was written.
pub(crate) fn status(generation: &Generation) -> Result<Option<Status>> {
    text(generation, Status::FILE)?.map(|text| Status::decode(text.as_bytes())).transpose()
}

/// The history, where an epoch was completed.
pub(crate) fn history(folder: &Path, generation: &Generation) -> Result<Option<Log>> {
    text(generation, HISTORY)?.map_or(Ok(None), |text| Log::read(&text, &folder.join(HISTORY)))
}

/// Reads a run, and again where that has failed while another process is writing it: its files may change in between.
pub(super) fn settled<T>(store: &Store, read: impl Fn() -> T, has_failed: impl Fn(&T) -> bool) -> T {
    let mut found = read();
    for _ in 1..TRIES {
        if !has_failed(&found) || store.writer().is_none() {
            break;
        }
        sleep(PAUSE);
        found = read();
    }
    found
}
