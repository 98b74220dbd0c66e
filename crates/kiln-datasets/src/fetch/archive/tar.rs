//! tar: for each file a block of 512 bytes that says its name and size, then its content, filled up to whole blocks.

use super::{Exactly, Visit};
use std::io::{self, ErrorKind, Read};

const BLOCK: usize = 512;

/// Visits the ordinary files of an archive, in order.
pub(super) fn read(mut archive: impl Read, visit: &mut Visit<'_>) -> io::Result<()> {
    let mut header = [0; BLOCK];
    loop {
        archive.read_exact(&mut header)?;
        // An empty block ends the archive.
        if header.iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        let size = octal(&header[124..136])?;
        let mut content = Exactly::new(archive.by_ref().take(size), size);
        if matches!(header[156], 0 | b'0') {
            visit(&text(&header[..100]), &mut content)?;
        }
        // What nobody read, and the rest of the last block.
        let left = content.left();
        let rest = left + size.next_multiple_of(BLOCK as u64) - size;
        if io::copy(&mut archive.by_ref().take(rest), &mut io::sink())? < rest {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
}

fn octal(field: &[u8]) -> io::Result<u64> {
    let size = u64::from_str_radix(text(field).trim(), 8).ok().filter(|&size| size < 1 << 40);
    size.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "a file's size in the tar archive is not a number"))
}
