//! The files of a data set out of a tar or zip archive.

mod tar;
mod zip;

use super::{part_of, place, unwritable};
use crate::catalog::{Content, Remote};
use flate2::read::MultiGzDecoder;
use kiln_tensor::{Error, ErrorKind, Result};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Called for each file of an archive with its path there and its content.
type Visit<'a> = dyn FnMut(&str, &mut dyn Read) -> io::Result<()> + 'a;

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
    let path = part_of(to);
    let mut file = File::create(&path).map_err(|e| unwritable(&path, e))?;
    io::copy(content, &mut file).map_err(|e| unwritable(&path, e))?;
    place(&file, &path, to)
}
