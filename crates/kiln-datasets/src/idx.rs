//! IDX files, the format of MNIST: a magic number, big-endian sizes, then bytes (Y. LeCun's page of MNIST describes it).

use flate2::bufread::MultiGzDecoder;
use kiln_tensor::{Error, ErrorKind, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

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

/// The most bytes that a byte of gzip can unpack to.
const GZIP_RATIO: u64 = 1032;

/// Reads an IDX file of unsigned bytes with `axes` axes; one whose name ends in `.gz` is decompressed on the way.
///
/// The header says how many bytes follow; no more than those and one are unpacked, and memory is taken for no more than the
/// file can hold.
///
/// # Errors
/// A file that cannot be read, is no such IDX file, or holds more or fewer bytes than its sizes say; the file is named.
pub fn read_idx(path: &Path, axes: usize) -> Result<Idx> {
    Opened::open(path, axes)?.read()
}

/// An IDX file whose header has been read and whose content has not.
pub(crate) struct Opened<'a> {
    path: PathBuf,
    reader: Box<dyn Read + 'a>,
    shape: Vec<usize>,
    /// The bytes that the header says.
    length: usize,
    /// The most bytes that there can be, from the size of the file.
    most: u64,
}

impl<'a> Opened<'a> {
    /// Reads the header of a file, which is decompressed where its name ends in `.gz`.
    pub(crate) fn open(path: &Path, axes: usize) -> Result<Self> {
        let file = File::open(path).map_err(|e| unreadable(path, e))?;
        let metadata = file.metadata().map_err(|e| unreadable(path, e))?;
        if metadata.is_dir() {
            return Err(wrong(path, "a file is expected here, this is a directory"));
        }
        let buffered = BufReader::with_capacity(1 << 16, file);
        if path.extension().is_some_and(|e| e == "gz") {
            Opened::gzip(path, buffered, metadata.len(), axes)
        } else {
            Opened::new(path, Box::new(buffered), metadata.len(), axes)
        }
    }

    /// Reads the header of a file of `size` compressed bytes.
    pub(crate) fn gzip(path: &Path, compressed: impl BufRead + 'a, size: u64, axes: usize) -> Result<Self> {
        Opened::new(path, Box::new(MultiGzDecoder::new(compressed)), size.saturating_mul(GZIP_RATIO), axes)
    }

    fn new(path: &Path, mut reader: Box<dyn Read + 'a>, most: u64, axes: usize) -> Result<Self> {
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
        check_magic(path, header, axes)?;
        reader.read_exact(&mut sizes).map_err(cut)?;
        let shape: Vec<usize> =
            sizes.chunks_exact(4).map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]]) as usize).collect();
        let length = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
        let Some(length) = length.filter(|&n| n <= isize::MAX as usize) else {
            return Err(wrong(path, format!("its header says {shape:?}, more bytes than memory can hold")));
        };
        Ok(Opened { path: path.to_path_buf(), reader, shape, length, most })
    }

    /// The sizes of the axes.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The file, which errors name.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the content: the bytes that the header says, and one to see that there are no more.
    pub(crate) fn read(self) -> Result<Idx> {
        let Opened { path, mut reader, shape, length, most } = self;
        // A header that claims more than the file can hold must not allocate that.
        let mut data = Vec::with_capacity(length.min(usize::try_from(most).unwrap_or(usize::MAX)));
        let read = reader.by_ref().take(length as u64).read_to_end(&mut data).map_err(|e| unreadable(&path, e))?;
        if read < length {
            return Err(wrong(
                &path,
                format!("its header says {shape:?}, {length} bytes, but only {read} follow: it is cut short"),
            ));
        }
        // At the end of a gzip stream this compares its checksum.
        let more = reader.take(1).read_to_end(&mut Vec::new()).map_err(|e| unreadable(&path, e))?;
        if more > 0 {
            return Err(wrong(&path, format!("its header says {shape:?}, {length} bytes, but more follow")));
        }
        Ok(Idx { shape, data })
    }
}

/// Fails where the first four bytes are not those of an IDX file of bytes with so many axes.
fn check_magic(path: &Path, header: [u8; 4], axes: usize) -> Result<()> {
    let (magic, expected) = (u32::from_be_bytes(header), 0x0800 | axes as u32);
    if magic == expected {
        return Ok(());
    }
    // The types of elements that the format has, with the magic number's bytes in reverse.
    if let [1..=255, 0x08 | 0x09 | 0x0b..=0x0e, 0, 0] = header {
        let message = format!(
            "this IDX file is little-endian, its magic number is {magic:#010x}, but IDX is big-endian: write its magic number \
             and sizes with the highest byte first ({:#010x}; in NumPy as \">i4\")",
            magic.swap_bytes()
        );
        return Err(wrong(path, message));
    }
    let found = format!("its magic number is {magic:#010x}, expected {expected:#010x}");
    Err(wrong(path, format!("not an IDX file of bytes with {axes} axes: {found}")))
}
