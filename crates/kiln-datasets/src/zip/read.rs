//! Reading.

use super::{ELSEWHERE, Exactly, Visit, invalid};
use flate2::read::DeflateDecoder;
use std::io::{self, Read, Seek, SeekFrom};

/// The last record's length without the comment that may follow it.
const END: usize = 22;

/// What the directory says of a file.
struct Entry {
    method: u64,
    checksum: u32,
    packed: u64,
    size: u64,
    offset: u64,
}

/// Visits the files of an archive, in the order of its directory.
pub(crate) fn read(mut archive: impl Read + Seek, visit: &mut Visit<'_>) -> io::Result<()> {
    let (entries, directory) = directory(&mut archive)?;
    let mut record = directory.as_slice();
    for _ in 0..entries {
        if !record.starts_with(b"PK\x01\x02") {
            return Err(invalid("its directory is damaged"));
        }
        let name = 46 + number(record, 28, 2)? as usize;
        let extra = name + number(record, 30, 2)? as usize;
        let next = extra + number(record, 32, 2)? as usize;
        let (Some(path), Some(extra), Some(rest)) = (record.get(46..name), record.get(name..extra), record.get(next..))
        else {
            return Err(invalid("its directory is damaged"));
        };
        let Entry { method, checksum, packed, size, offset } = entry(record, extra)?;
        // The file's own header repeats the name; its extra field may have another length.
        archive.seek(SeekFrom::Start(offset))?;
        let mut header = [0; 30];
        archive.read_exact(&mut header)?;
        archive.seek_relative((number(&header, 26, 2)? + number(&header, 28, 2)?) as i64)?;
        let content = archive.by_ref().take(packed);
        let path = String::from_utf8_lossy(path);
        match method {
            0 => visit(&path, &mut Exactly::of_checksum(content, size, checksum))?,
            8 => visit(&path, &mut Exactly::of_checksum(DeflateDecoder::new(content), size, checksum))?,
            other => return Err(invalid(&format!("{path} is compressed by method {other}, 0 or 8 is expected"))),
        }
        record = rest;
    }
    Ok(())
}

/// How many files there are, and the bytes of the directory.
fn directory(archive: &mut (impl Read + Seek)) -> io::Result<(u64, Vec<u8>)> {
    let length = archive.seek(SeekFrom::End(0))?;
    // A comment has at most 65,535 bytes.
    let tail = length.min((END + 0xffff) as u64);
    archive.seek(SeekFrom::Start(length - tail))?;
    let mut end = Vec::new();
    archive.read_to_end(&mut end)?;
    let start = end.windows(END).rposition(|window| window.starts_with(b"PK\x05\x06"));
    let start = start.ok_or_else(|| invalid("it has no directory"))?;
    let last = &end[start..];
    let (mut entries, mut size, mut offset) = (number(last, 10, 2)?, number(last, 12, 4)?, number(last, 16, 4)?);
    if (entries == 0xffff || size == ELSEWHERE || offset == ELSEWHERE) && start >= 20 {
        let locator = &end[start - 20..start];
        if locator.starts_with(b"PK\x06\x07") {
            archive.seek(SeekFrom::Start(number(locator, 8, 8)?))?;
            let mut record = [0; 56];
            archive.read_exact(&mut record)?;
            if !record.starts_with(b"PK\x06\x06") {
                return Err(invalid("its directory is damaged"));
            }
            (entries, size, offset) = (number(&record, 32, 8)?, number(&record, 40, 8)?, number(&record, 48, 8)?);
        }
    }
    archive.seek(SeekFrom::Start(offset))?;
    let mut directory = Vec::new();
    archive.by_ref().take(size).read_to_end(&mut directory)?;
    Ok((entries, directory))
}

/// Sizes and place of a file, from its record or, where they are large, from the extra field of Zip64.
fn entry(record: &[u8], mut extra: &[u8]) -> io::Result<Entry> {
    let (mut packed, mut size) = (number(record, 20, 4)?, number(record, 24, 4)?);
    let mut offset = number(record, 42, 4)?;
    while extra.len() >= 4 {
        let end = 4 + number(extra, 2, 2)? as usize;
        if number(extra, 0, 2)? == 1 {
            let mut at = 4;
            for field in [&mut size, &mut packed, &mut offset] {
                if *field == ELSEWHERE {
                    *field = number(extra, at, 8)?;
                    at += 8;
                }
            }
        }
        extra = extra.get(end..).unwrap_or_default();
    }
    let checksum = number(record, 16, 4)? as u32;
    Ok(Entry { method: number(record, 10, 2)?, checksum, packed, size, offset })
}

/// A little-endian number of so many bytes.
fn number(record: &[u8], at: usize, bytes: usize) -> io::Result<u64> {
    let bytes = record.get(at..at + bytes).ok_or_else(|| invalid("its directory is cut short"))?;
    Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}
