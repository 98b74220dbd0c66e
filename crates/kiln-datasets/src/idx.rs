//! IDX files, the format of MNIST: a magic number, big-endian sizes, then bytes (Y. LeCun's page of MNIST describes it).

use flate2::read::MultiGzDecoder;
use kiln_tensor::{Error, ErrorKind, Result};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// The bytes of an IDX file of unsigned bytes, and their shape.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Idx {
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// Row-major.
    pub data: Vec<u8>,
}

/// The error of a file that is not what it should be.
pub(crate) fn wrong(path: &Path, message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Format, "", format!("{}: {message}", path.display()))
}

/// What reading failed with: a stream that ends early or is no gzip is the file's fault, the rest the system's.
pub(crate) fn unreadable(path: &Path, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    let (kind, message) = match error.kind() {
        UnexpectedEof => (ErrorKind::Format, "the data is cut short".to_string()),
        InvalidInput | InvalidData => (ErrorKind::Format, format!("no readable gzip data: {error}")),
        _ => (ErrorKind::Io, error.to_string()),
    };
    Error::new(kind, "", format!("{}: {message}", path.display())).with_source(error)
}

/// Reads an IDX file of unsigned bytes with `axes` axes; one whose name ends in `.gz` is decompressed on the way.
///
/// # Errors
/// A file that cannot be read, is no such IDX file, or holds more or fewer bytes than its sizes say; the file is named.
pub fn read_idx(path: &Path, axes: usize) -> Result<Idx> {
    let file = File::open(path).map_err(|e| unreadable(path, e))?;
    if file.metadata().is_ok_and(|m| m.is_dir()) {
        return Err(wrong(path, "a file is expected here, this is a directory"));
    }
    let buffered = BufReader::with_capacity(1 << 16, file);
    if path.extension().is_some_and(|e| e == "gz") {
        parse(path, MultiGzDecoder::new(buffered), axes)
    } else {
        parse(path, buffered, axes)
    }
}

/// Reads an IDX file from a stream; `path` is what errors name.
pub(crate) fn parse(path: &Path, mut reader: impl Read, axes: usize) -> Result<Idx> {
    // The magic number has a byte for them.
    if axes > usize::from(u8::MAX) {
        return Err(wrong(path, format!("an IDX file has at most 255 axes, {axes} are expected of it")));
    }
    let mut header = [0; 4];
    let mut sizes = vec![0; 4 * axes];
    let cut = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => wrong(path, "the file ends within its header"),
        _ => unreadable(path, e),
    };
    reader.read_exact(&mut header).map_err(cut)?;
    let magic = u32::from_be_bytes(header);
    let expected = 0x0800 | axes as u32;
    if magic != expected {
        return Err(wrong(
            path,
            format!(
                "not an IDX file of bytes with {axes} axes: its magic number is {magic:#010x}, expected {expected:#010x}"
            ),
        ));
    }
    reader.read_exact(&mut sizes).map_err(cut)?;
    let shape: Vec<usize> =
        sizes.chunks_exact(4).map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]]) as usize).collect();
    let length = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size)).filter(|&n| n <= isize::MAX as usize);
    let Some(length) = length else {
        return Err(wrong(path, format!("its header says {shape:?}, more bytes than memory can hold")));
    };
    // Grown as it is read: a header that lies must not allocate terabytes.
    let mut data = Vec::with_capacity(length.min(1 << 26));
    let read = reader.by_ref().take(length as u64).read_to_end(&mut data).map_err(|e| unreadable(path, e))?;
    if read < length {
        return Err(wrong(
            path,
            format!("its header says {shape:?}, {length} bytes, but only {read} follow: it is cut short"),
        ));
    }
    let mut rest = [0; 1];
    if reader.read(&mut rest).map_err(|e| unreadable(path, e))? > 0 {
        return Err(wrong(path, format!("its header says {shape:?}, {length} bytes, but more follow")));
    }
    Ok(Idx { shape, data })
}
