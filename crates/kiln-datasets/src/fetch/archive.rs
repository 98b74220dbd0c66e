//! The files of a data set out of a tar or zip archive.

mod tar;
mod zip;

use super::{of_fetching, unwritable};
use crate::catalog::{Content, Remote};
use flate2::read::MultiGzDecoder;
use kiln_store::write_atomically_with;
use kiln_tensor::{Error, ErrorKind, Result};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Called for each file of an archive with its path there and its content.
type Visit<'a> = dyn FnMut(&str, &mut dyn Read) -> io::Result<()> + 'a;

/// A file of this length in an archive: to end earlier, or not to end there, is an error.
struct Exactly<R> {
    content: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            return match self.content.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(io::Error::new(io::ErrorKind::InvalidData, "a file in it is longer than it says")),
            };
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.content.read(&mut buffer[..most])?;
        self.left -= read as u64;
        if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) }
    }
}

/// Puts the expected files into `folder`, each whole or not at all, whatever folder they are in inside of the archive.
pub(crate) fn unpack(remote: &Remote<'_>, archive: &Path, folder: &Path) -> Result<()> {
    let (Content::TarGz(names) | Content::Zip(names)) = remote.content else { return Ok(()) };
    let mut missing: BTreeSet<&str> = names.iter().copied().collect();
    let mut failed = None;
    let mut take = |path: &str, content: &mut dyn Read| {
        let name = path.rsplit('/').next().unwrap_or(path);
        if missing.remove(name)
            && let Err(error) = write(content, &folder.join(name))
        {
            failed = Some(error);
            return Err(io::Error::other("stopped"));
        }
        Ok(())
    };
    let file = BufReader::new(File::open(archive).map_err(|e| unwritable(archive, e))?);
    let read = match remote.content {
        Content::Zip(_) => zip::read(file, &mut take),
        _ => tar::read(MultiGzDecoder::new(file), &mut take),
    };
    if let Some(error) = failed {
        return Err(error);
    }
    let wrong = |message: String| Error::new(ErrorKind::Format, "fetch", format!("{}: {message}", archive.display()));
    read.map_err(|error| wrong(format!("the archive cannot be unpacked: {error}")).with_source(error))?;
    match missing.first() {
        Some(name) => Err(wrong(format!("{name} is not in the archive"))),
        None => Ok(()),
    }
}

fn write(content: &mut dyn Read, to: &Path) -> Result<()> {
    write_atomically_with(to, |file| io::copy(content, file).map(drop)).map_err(of_fetching)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a panic is a test's report
mod tests {
    use super::{Exactly, tar, zip};
    use std::io::{Cursor, Read};

    #[test]
    fn a_file_has_the_length_that_it_says() {
        for (left, whole) in [(3, true), (2, false), (4, false), (u64::MAX, false)] {
            let mut read = Vec::new();
            assert_eq!(Exactly { content: &b"abc"[..], left }.read_to_end(&mut read).is_ok(), whole, "{left}");
        }
    }

    /// Whether a visitor that reads `archive` sees its one file whole.
    fn seen_whole(read: impl FnOnce(&mut super::Visit<'_>) -> std::io::Result<()>) -> bool {
        let mut whole = false;
        let outcome = read(&mut |_, content| {
            content.read_to_end(&mut Vec::new())?;
            whole = true;
            Ok(())
        });
        assert_eq!(outcome.is_ok(), whole);
        whole
    }

    #[test]
    fn an_archive_that_is_cut_short_has_no_half_of_a_file() {
        let mut archive = vec![0u8; 512];
        archive[..5].copy_from_slice(b"a.bin");
        archive[124..135].copy_from_slice(b"00000000010");
        archive.extend([7; 8]);
        archive.resize(1536, 0);
        assert!(seen_whole(|visit| tar::read(&archive[..], visit)));
        assert!(!seen_whole(|visit| tar::read(&archive[..515], visit)));
    }

    #[test]
    fn a_file_in_a_zip_archive_has_its_directorys_length() {
        let archive = |size: u8| {
            let entry = [[0; 4], [3, 0, 0, 0], [size, 0, 0, 0], [5, 0, 0, 0]].concat();
            let local = [&b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0"[..], &entry, b"a.binabc"].concat();
            let directory = [&b"PK\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0"[..], &entry, &[0; 14], b"a.bin"].concat();
            let (start, length) = (local.len() as u8, directory.len() as u8);
            let end = [&b"PK\x05\x06\0\0\0\0"[..], &[1, 0, 1, 0, length, 0, 0, 0, start, 0, 0, 0, 0, 0]].concat();
            Cursor::new([local, directory, end].concat())
        };
        assert!(seen_whole(|visit| zip::read(archive(3), visit)));
        assert!(!seen_whole(|visit| zip::read(archive(2), visit)));
        assert!(!seen_whole(|visit| zip::read(archive(4), visit)));
    }
}
