//! Files as memory.

use crate::failed;
use kiln_tensor::Result;
use memmap2::Mmap;
use std::fs::File;
use std::ops::Deref;
use std::path::Path;

/// The bytes of a file, which are not read but mapped: the system loads the pages that are looked at, and may drop them again. So a file may
/// be larger than the memory.
///
/// Nothing may shorten the file or write into it meanwhile; to replace it, as [`write_atomically`](crate::write_atomically) does, is fine.
#[derive(Debug)]
pub struct Mapped(Mmap);

impl Mapped {
    /// The bytes of a file.
    ///
    /// # Errors
    /// A file that cannot be opened or mapped.
    pub fn open(path: &Path) -> Result<Mapped> {
        // SAFETY: the map is read-only. Another process that cuts the file short would end this one by a signal; Kiln's own writers
        // replace files and never shorten them or write into them.
        let mapped = File::open(path).and_then(|file| unsafe { Mmap::map(&file) });
        mapped.map(Mapped).map_err(|error| failed("load", path, "cannot be read", error))
    }
}

impl Deref for Mapped {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic is a test's report

    use super::Mapped;
    use crate::write_atomically;

    #[test]
    fn a_file_that_is_replaced_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_atomically(&path, b"before").unwrap();
        let before = Mapped::open(&path).unwrap();
        write_atomically(&path, b"").unwrap();
        assert_eq!((&*before, &*Mapped::open(&path).unwrap()), (&b"before"[..], &b""[..]));
        let error = Mapped::open(&folder.path().join("b")).unwrap_err();
        assert!(error.message().contains("b: cannot be read: "), "{error}");
    }
}
