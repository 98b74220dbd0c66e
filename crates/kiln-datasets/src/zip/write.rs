//! Writing.

use super::ELSEWHERE;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use std::io::{self, Seek, SeekFrom, Write};

/// Version 4.5 of the format, the first with Zip64.
const VERSION: u16 = 45;
/// The first day that a file can have, so that equal files make equal archives.
const DATE: u16 = 1 << 5 | 1;

struct Entry {
    name: String,
    checksum: u32,
    packed: u64,
    size: u64,
    offset: u64,
}

/// An archive that is written file by file.
pub(crate) struct Writer<W> {
    to: W,
    deflate: bool,
    entries: Vec<Entry>,
}

/// Counts and sums what goes through.
struct Counted<W> {
    to: W,
    size: u64,
    crc: Crc,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.size += written as u64;
        self.crc.update(&bytes[..written]);
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W: Write + Seek> Writer<W> {
    /// Files are deflated, or stored as they are.
    pub(crate) fn new(to: W, deflate: bool) -> Self {
        Writer { to, deflate, entries: Vec::new() }
    }

    /// A file of what `write` writes. What is in an archive must be read again: a name of at most 65,535 bytes.
    pub(crate) fn add(&mut self, name: &str, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        if name.len() > usize::from(u16::MAX) {
            return Err(io::Error::other("a name in a zip archive has at most 65,535 bytes"));
        }
        let offset = self.to.stream_position()?;
        self.local_header(name, 0, 0, 0)?;
        let start = self.to.stream_position()?;
        let (size, checksum) = if self.deflate {
            let encoder = DeflateEncoder::new(&mut self.to, Compression::default());
            let mut counted = Counted { to: encoder, size: 0, crc: Crc::new() };
            write(&mut counted)?;
            counted.to.finish()?;
            (counted.size, counted.crc.sum())
        } else {
            let mut counted = Counted { to: &mut self.to, size: 0, crc: Crc::new() };
            write(&mut counted)?;
            (counted.size, counted.crc.sum())
        };
        let end = self.to.stream_position()?;
        let packed = end - start;
        self.to.seek(SeekFrom::Start(offset))?;
        self.local_header(name, checksum, packed, size)?;
        self.to.seek(SeekFrom::Start(end))?;
        self.entries.push(Entry { name: name.to_owned(), checksum, packed, size, offset });
        Ok(())
    }

    fn method(&self) -> u16 {
        if self.deflate { 8 } else { 0 }
    }

    /// The header before a file, whose sizes are in the large form: they are not known when it is written first.
    fn local_header(&mut self, name: &str, checksum: u32, packed: u64, size: u64) -> io::Result<()> {
        let (small, method) = (ELSEWHERE as u32, self.method());
        self.to.write_all(b"PK\x03\x04")?;
        numbers(&mut self.to, &[VERSION, 0, method, 0, DATE])?;
        for number in [checksum, small, small] {
            self.to.write_all(&number.to_le_bytes())?;
        }
        numbers(&mut self.to, &[name.len() as u16, 20])?;
        self.to.write_all(name.as_bytes())?;
        numbers(&mut self.to, &[1, 16])?;
        self.to.write_all(&size.to_le_bytes())?;
        self.to.write_all(&packed.to_le_bytes())
    }

    /// Writes the directory.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        let start = self.to.stream_position()?;
        let method = self.method();
        for entry in &self.entries {
            let large: Vec<u64> =
                [entry.size, entry.packed, entry.offset].into_iter().filter(|&number| number >= ELSEWHERE).collect();
            let small = |number: u64| (number.min(ELSEWHERE) as u32).to_le_bytes();
            self.to.write_all(b"PK\x01\x02")?;
            numbers(&mut self.to, &[VERSION, VERSION, 0, method, 0, DATE])?;
            self.to.write_all(&entry.checksum.to_le_bytes())?;
            self.to.write_all(&small(entry.packed))?;
            self.to.write_all(&small(entry.size))?;
            let extra = if large.is_empty() { 0 } else { 4 + 8 * large.len() as u16 };
            numbers(&mut self.to, &[entry.name.len() as u16, extra, 0, 0, 0, 0, 0])?;
            self.to.write_all(&small(entry.offset))?;
            self.to.write_all(entry.name.as_bytes())?;
            if !large.is_empty() {
                numbers(&mut self.to, &[1, extra - 4])?;
                large.iter().try_for_each(|number| self.to.write_all(&number.to_le_bytes()))?;
            }
        }
        self.end(start)?;
        self.to.flush()?;
        Ok(self.to)
    }

    /// The records that say where the directory is.
    fn end(&mut self, start: u64) -> io::Result<()> {
        let end = self.to.stream_position()?;
        let (count, length) = (self.entries.len() as u64, end - start);
        if count >= 0xffff || end >= ELSEWHERE {
            self.to.write_all(b"PK\x06\x06")?;
            self.to.write_all(&44u64.to_le_bytes())?;
            numbers(&mut self.to, &[VERSION, VERSION, 0, 0, 0, 0])?;
            for number in [count, count, length, start] {
                self.to.write_all(&number.to_le_bytes())?;
            }
            self.to.write_all(b"PK\x06\x07\0\0\0\0")?;
            self.to.write_all(&end.to_le_bytes())?;
            self.to.write_all(&1u32.to_le_bytes())?;
        }
        let count = count.min(0xffff) as u16;
        self.to.write_all(b"PK\x05\x06")?;
        numbers(&mut self.to, &[0, 0, count, count])?;
        for number in [length, start] {
            self.to.write_all(&(number.min(ELSEWHERE) as u32).to_le_bytes())?;
        }
        numbers(&mut self.to, &[0])
    }
}

fn numbers(to: &mut impl Write, numbers: &[u16]) -> io::Result<()> {
    numbers.iter().try_for_each(|number| to.write_all(&number.to_le_bytes()))
}
