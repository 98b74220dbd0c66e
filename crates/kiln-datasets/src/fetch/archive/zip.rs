//! zip: a directory at the end says where each file begins, how it is compressed, and its size there.

use super::{Exactly, Visit};
use flate2::read::DeflateDecoder;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

/// The last record's length without the comment that may follow it.
const END: usize = 22;

/// Visits the files of an archive, in the order of its directory.
pub(super) fn read(mut archive: impl Read + Seek, visit: &mut Visit<'_>) -> io::Result<()> {
    let length = archive.seek(SeekFrom::End(0))?;
    // A comment has at most 65,535 bytes.
    let tail = length.min((END + 0xffff) as u64);
    archive.seek(SeekFrom::Start(length - tail))?;
    let mut end = Vec::new();
    archive.read_to_end(&mut end)?;
    let start = end.windows(END).rposition(|window| window.starts_with(b"PK\x05\x06"));
    let end = &end[start.ok_or_else(|| invalid("it has no directory"))?..];
    let (entries, size, offset) = (number(end, 10, 2)?, number(end, 12, 4)?, number(end, 16, 4)?);

    archive.seek(SeekFrom::Start(offset))?;
    let mut directory = Vec::new();
    archive.by_ref().take(size).read_to_end(&mut directory)?;
    let mut entry = directory.as_slice();
    for _ in 0..entries {
        if !entry.starts_with(b"PK\x01\x02") {
            return Err(invalid("its directory is damaged"));
        }
        let (method, packed, offset) = (number(entry, 10, 2)?, number(entry, 20, 4)?, number(entry, 42, 4)?);
        let size = number(entry, 24, 4)?;
        let name = 46 + number(entry, 28, 2)? as usize;
        let next = name + (number(entry, 30, 2)? + number(entry, 32, 2)?) as usize;
        let (Some(path), Some(rest)) = (entry.get(46..name), entry.get(next..)) else {
            return Err(invalid("its directory is damaged"));
        };

        // The file's own header repeats the name; its extra field may have another length.
        archive.seek(SeekFrom::Start(offset))?;
        let mut header = [0; 30];
        archive.read_exact(&mut header)?;
        archive.seek_relative((number(&header, 26, 2)? + number(&header, 28, 2)?) as i64)?;
        let content = archive.by_ref().take(packed);
        let path = String::from_utf8_lossy(path);
        match method {
            0 => visit(&path, &mut Exactly { content, left: size })?,
            8 => visit(&path, &mut Exactly { content: DeflateDecoder::new(content), left: size })?,
            other => return Err(invalid(&format!("{path} is compressed by method {other}, 0 or 8 is expected"))),
        }
        entry = rest;
    }
    Ok(())
}

/// A little-endian number of so many bytes.
fn number(record: &[u8], at: usize, bytes: usize) -> io::Result<u64> {
    let bytes = record.get(at..at + bytes).ok_or_else(|| invalid("its directory is cut short"))?;
    Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, message)
}
