//! zip archives (PKWARE's APPNOTE.TXT): files one after the other, and at the end a directory that says where each begins, how it is
//! compressed, its sizes and its checksum. Sizes of 4 GiB and more are in extra fields (Zip64).

mod read;
mod write;

use flate2::Crc;
pub(crate) use read::read;
use std::io::{self, ErrorKind, Read};
pub(crate) use write::Writer;

/// What stands where a size is in the extra field.
const ELSEWHERE: u64 = 0xffff_ffff;

/// Called for each file of an archive with its path there and its content.
pub(crate) type Visit<'a> = dyn FnMut(&str, &mut dyn Read) -> io::Result<()> + 'a;

/// A file of this length in an archive: to end earlier, not to end there, or to have another checksum, is an error.
pub(crate) struct Exactly<R> {
    content: R,
    left: u64,
    /// What was read, and the checksum expected of the whole.
    checksum: Option<(Crc, u32)>,
}

impl<R: Read> Exactly<R> {
    #[cfg(any(test, feature = "fetch"))]
    pub(crate) fn new(content: R, length: u64) -> Self {
        Exactly { content, left: length, checksum: None }
    }

    /// Held to this CRC-32 at its end.
    fn of_checksum(content: R, length: u64, checksum: u32) -> Self {
        Exactly { content, left: length, checksum: Some((Crc::new(), checksum)) }
    }

    fn end(&mut self) -> io::Result<usize> {
        if self.content.read(&mut [0])? != 0 {
            return Err(invalid("a file in it is longer than it says"));
        }
        match &self.checksum {
            Some((found, expected)) if found.sum() != *expected => {
                Err(invalid("a file in it does not have its checksum: it was damaged"))
            }
            _ => Ok(0),
        }
    }
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            return self.end();
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.content.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        if let Some((crc, _)) = &mut self.checksum {
            crc.update(&buffer[..read]);
        }
        Ok(read)
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a panic is a test's report
mod tests {
    use super::{Exactly, Visit, Writer, read};
    use std::io::{Cursor, Read};

    #[test]
    fn a_file_has_the_length_that_it_says() {
        for (left, whole) in [(3, true), (2, false), (4, false), (u64::MAX, false)] {
            assert_eq!(Exactly::new(&b"abc"[..], left).read_to_end(&mut Vec::new()).is_ok(), whole, "{left}");
        }
    }

    /// Names and contents of an archive; none where it is damaged.
    fn files(archive: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        let mut visit = |name: &str, content: &mut dyn Read| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            files.push((name.to_owned(), bytes));
            Ok(())
        };
        read(Cursor::new(archive), &mut visit as &mut Visit<'_>).ok()?;
        Some(files)
    }

    fn archive(deflate: bool) -> Vec<u8> {
        let mut archive = Writer::new(Cursor::new(Vec::new()), deflate);
        archive.add("a.bin", |to| to.write_all(&[7; 1000])).unwrap();
        archive.add("b.bin", |_| Ok(())).unwrap();
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn what_is_written_is_read() {
        for deflate in [false, true] {
            let archive = archive(deflate);
            assert_eq!(archive.len() < 500, deflate);
            let expected = vec![("a.bin".to_owned(), vec![7; 1000]), ("b.bin".to_owned(), vec![])];
            assert_eq!(files(&archive), Some(expected));
            for cut in 0..archive.len() {
                assert!(files(&archive[..cut]).is_none(), "{cut}");
            }
        }
    }

    /// A byte of the contents, or of a size or checksum of the directory, that is another one is noticed.
    #[test]
    fn damage_is_noticed() {
        let good = archive(false);
        let directory = good.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
        for at in [100, 1000, directory + 16, directory + 20, directory + 24] {
            let mut damaged = good.clone();
            damaged[at] ^= 1;
            assert!(files(&damaged).is_none(), "{at}");
        }
    }

    /// Sizes and places in the extra field, and a directory of the large form, as of archives beyond 4 GiB.
    #[test]
    fn the_large_form() {
        let local =
            [&b"PK\x03\x04"[..], &[0; 10], &0x352441c2u32.to_le_bytes(), &[0xff; 8], &[5, 0, 0, 0], b"a.binabc"]
                .concat();
        let sizes = [3u64, 3, 0].map(u64::to_le_bytes).concat();
        let extra = [&[1, 0, 24, 0][..], &sizes].concat();
        let directory = [
            &b"PK\x01\x02"[..],
            &[0; 12],
            &0x352441c2u32.to_le_bytes(),
            &[0xff; 8],
            &[5, 0, extra.len() as u8, 0],
            &[0; 10],
            &[0xff; 4],
            b"a.bin",
            &extra,
        ]
        .concat();
        let numbers = [1u64, 1, directory.len() as u64, local.len() as u64].map(u64::to_le_bytes).concat();
        let large = [&b"PK\x06\x06"[..], &[0; 20], &numbers].concat();
        let place = ((local.len() + directory.len()) as u64).to_le_bytes();
        let locator = [&b"PK\x06\x07\0\0\0\0"[..], &place, &[1, 0, 0, 0]].concat();
        let end = [&b"PK\x05\x06"[..], &[0; 4], &[0xff; 12], &[0; 2]].concat();
        let whole = [local, directory, large, locator, end].concat();
        assert_eq!(files(&whole), Some(vec![("a.bin".to_owned(), b"abc".to_vec())]));
    }
}
