//! What the files of a run say.

use crate::log::Log;
use crate::run_folder::HISTORY;
use kiln::store::Generation;
use kiln::train::Status;
use kiln::{Error, ErrorKind, Result};
use std::path::Path;

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

/// The history, where there is an epoch in it.
pub(crate) fn history(folder: &Path, generation: &Generation) -> Result<Option<Log>> {
    let text = text(generation, HISTORY)?.filter(|text| text.lines().count() > 1);
    text.map(|text| Log::parse(&text, &folder.join(HISTORY))).transpose()
}
