//! The manifest: which files make up the current generation, with their checksums.

use kiln_tensor::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

pub(crate) const NAME: &str = "manifest.json";

/// The version of the manifest's format that this crate writes, and the newest that it reads.
const FORMAT: u32 = 1;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    pub(crate) generation: u64,
    pub(crate) files: BTreeMap<String, Sum>,
}

/// Length and checksum of a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Sum {
    pub(crate) bytes: u64,
    /// XXH3, 128 bits, in hexadecimal.
    pub(crate) xxh3: String,
}

impl Sum {
    /// Of bytes that go by.
    pub(crate) fn of(mut bytes: impl Read) -> io::Result<Sum> {
        let (mut hash, mut length) = (Xxh3::new(), 0);
        let mut buffer = vec![0; 1 << 20];
        loop {
            match bytes.read(&mut buffer) {
                Ok(0) => return Ok(Sum { bytes: length, xxh3: format!("{:032x}", hash.digest128()) }),
                Ok(read) => {
                    hash.update(&buffer[..read]);
                    length += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the file at `path` has this sum.
    pub(crate) fn is_of(&self, path: &Path) -> io::Result<bool> {
        let file = File::open(path)?;
        Ok(file.metadata()?.len() == self.bytes && Sum::of(file)? == *self)
    }
}

impl Manifest {
    pub(crate) fn new(generation: u64, files: BTreeMap<String, Sum>) -> Manifest {
        Manifest { format: FORMAT, generation, files }
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::new(ErrorKind::Format, "save", format!("{NAME}: {error}")).with_source(error))?;
        Ok((text + "\n").into_bytes())
    }

    /// The manifest of a folder; `None` where there is none.
    pub(crate) fn read(folder: &Path) -> Result<Option<Manifest>> {
        let path = folder.join(NAME);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(crate::failed("load", &path, "cannot be read", error)),
        };
        let wrong = |why: String| Error::new(ErrorKind::Format, "load", format!("{}: {why}", path.display()));
        let newer = |format: u64| {
            let message =
                format!("{}: format {format} is newer than this version of Kiln reads ({FORMAT})", path.display());
            Error::new(ErrorKind::Unsupported, "load", message)
        };
        let value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| wrong(format!("this is not JSON: {error}")))?;
        match value["format"].as_u64() {
            Some(format) if format > u64::from(FORMAT) => return Err(newer(format)),
            _ => {}
        }
        let manifest: Manifest =
            serde_json::from_value(value).map_err(|error| wrong(format!("this is not a manifest: {error}")))?;
        match manifest.files.keys().find(|name| !is_plain(name)) {
            Some(name) => Err(wrong(format!("{name:?} is not the name of a file in this folder"))),
            None => Ok(Some(manifest)),
        }
    }
}

/// Whether a name is that of a file in the folder itself, and none of the store's own.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']) && name != NAME
}
