//! What fuzzing calls and nobody else can.

use crate::{Remote, fetch};
use kiln_tensor::Result;
use std::path::Path;

/// Puts the files that `remote` names into `folder`, out of this archive.
pub fn unpack(remote: &Remote<'_>, archive: &Path, folder: &Path) -> Result<()> {
    fetch::unpack(remote, archive, folder)
}
