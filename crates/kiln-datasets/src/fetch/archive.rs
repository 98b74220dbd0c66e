//! The files of a data set out of a tar or zip archive.

use super::{of_fetching, unwritable};
use crate::catalog::{Content, Remote};
use crate::zip::{self, Exactly, Visit};
use flate2::read::MultiGzDecoder;
use kiln_store::write_atomically_with;
use kiln_tensor::{Error, ErrorKind, Result};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

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
        _ => read_tar(MultiGzDecoder::new(file), &mut take),
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

/// Visits the ordinary files of a tar archive, in order.
fn read_tar(archive: impl Read, visit: &mut Visit<'_>) -> io::Result<()> {
    for entry in tar::Archive::new(archive).entries()? {
        let entry = entry?;
        if entry.header().entry_type().is_file() {
            let (path, size) = (String::from_utf8_lossy(&entry.path_bytes()).into_owned(), entry.size());
            // The crate does not report an archive that ends within a file.
            visit(&path, &mut Exactly::new(entry, size))?;
        }
    }
    Ok(())
}

fn write(content: &mut dyn Read, to: &Path) -> Result<()> {
    write_atomically_with(to, |file| io::copy(content, file).map(drop)).map_err(of_fetching)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a panic is a test's report
mod tests {
    use super::{Visit, read_tar};

    /// Whether a visitor that reads `archive` sees its one file whole.
    fn seen_whole(read: impl FnOnce(&mut Visit<'_>) -> std::io::Result<()>) -> bool {
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
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(8);
        archive.append_data(&mut header, "a.bin", &[7; 8][..]).unwrap();
        let archive = archive.into_inner().unwrap();
        assert!(seen_whole(|visit| read_tar(&archive[..], visit)));
        assert!(!seen_whole(|visit| read_tar(&archive[..515], visit)));
    }
}
