#![doc = include_str!("../README.md")]

mod archive;
mod atomic;
mod disk;
mod hidden;
mod lock;
mod manifest;
mod mapped;
mod space;
mod store;
mod temporary;
mod writer;

pub use archive::{CHECKPOINTS, Keep};
pub use atomic::{rename_atomically, write_atomically, write_atomically_with};
pub use disk::{Disk, Os};
pub use lock::Holder;
pub use mapped::Mapped;
pub use space::expect_room;
pub use store::{Generation, Latest, Store};
pub use writer::Writer;

use kiln_tensor::{Error, ErrorKind};
use std::io;
use std::path::Path;

/// The folder that a path is in.
fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// An error of the file system, with the path.
#[cold]
fn failed(operation: &'static str, path: &Path, what: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, operation, format!("{}: {what}: {error}", path.display())).with_source(error)
}
