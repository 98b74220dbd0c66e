//! NumPy's files: .npy, one array, and .npz, a zip archive of several by name.

use crate::TensorDataset;
use crate::zip::{self, Writer};
use kiln_store::{write_atomically, write_atomically_with};
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read};
use std::path::Path;

/// The error of a file, with its path.
#[cold]
fn wrong(operation: &'static str, path: &Path, kind: ErrorKind, message: impl std::fmt::Display) -> Error {
    Error::new(kind, operation, format!("{}: {message}", path.display()))
}

fn open(operation: &'static str, path: &Path) -> Result<BufReader<File>> {
    let failed = |error: io::Error| wrong(operation, path, ErrorKind::Io, &error).with_source(error);
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(wrong(operation, path, ErrorKind::Format, "a file is expected here, this is a directory"));
    }
    Ok(BufReader::with_capacity(1 << 16, file))
}

/// The one array of a file: no byte follows it.
fn alone(mut reader: impl Read, device: &Device) -> Result<Tensor> {
    let array = Tensor::from_npy(&mut reader, device)?;
    let unreadable = |error: io::Error| Error::new(ErrorKind::Format, "from_npy", error.to_string()).with_source(error);
    // At the end of a file in an archive this compares its checksum.
    match reader.read(&mut [0]).map_err(unreadable)? {
        0 => Ok(array),
        _ => {
            let message = format!("its header says {} of {}, but more bytes follow", array.shape(), array.dtype());
            Err(Error::new(ErrorKind::Format, "from_npy", message))
        }
    }
}

/// The array of a .npy file, as NumPy's `load` reads it; [`Tensor::from_npy`] says which types become which.
///
/// # Errors
/// A file that cannot be read; what [`Tensor::from_npy`] refuses; bytes after the array. The file is named.
pub fn load_npy(path: impl AsRef<Path>, device: &Device) -> Result<Tensor> {
    let path = path.as_ref();
    alone(open("load_npy", path)?, device)
        .map_err(|error| wrong("load_npy", path, error.kind(), error.message()).with_source(error))
}

/// Writes a tensor as a .npy file, which replaces `path` once it is complete and on the disk.
///
/// # Errors
/// A tensor of bf16, which NumPy does not have; a file that cannot be written: what was at `path` is then still there.
pub fn save_npy(path: impl AsRef<Path>, tensor: &Tensor) -> Result<()> {
    let mut bytes = Vec::new();
    tensor.to_npy(&mut bytes)?;
    write_atomically(path.as_ref(), &bytes)
}

/// The arrays of an archive; only those of some names, where these are given.
fn read_npz(path: &Path, wanted: Option<&[&str]>, device: &Device) -> Result<BTreeMap<String, Tensor>> {
    let mut arrays = BTreeMap::new();
    let mut failed = None;
    let mut take = |file: &str, content: &mut dyn Read| {
        let name = file.strip_suffix(".npy");
        let skipped = wanted.is_some_and(|wanted| name.is_none_or(|name| !wanted.contains(&name)));
        if skipped {
            return Ok(());
        }
        let read = match name {
            Some(name) if arrays.contains_key(name) => {
                Err(Error::new(ErrorKind::Format, "load_npz", "it is in the archive twice"))
            }
            Some(name) => alone(content, device).map(|array| drop(arrays.insert(name.to_owned(), array))),
            None => {
                Err(Error::new(ErrorKind::Format, "load_npz", "it is no array: names that end in .npy are expected"))
            }
        };
        read.map_err(|error| {
            failed =
                Some(wrong("load_npz", path, error.kind(), format!("{file}: {}", error.message())).with_source(error));
            io::Error::other("stopped")
        })
    };
    let outcome = zip::read(open("load_npz", path)?, &mut take);
    if let Some(error) = failed {
        return Err(error);
    }
    let unreadable = |error: io::Error| {
        let message = match error.kind() {
            io::ErrorKind::UnexpectedEof => "the archive is cut short".to_owned(),
            _ => format!("not a readable zip archive: {error}"),
        };
        wrong("load_npz", path, ErrorKind::Format, message).with_source(error)
    };
    outcome.map_err(unreadable)?;
    Ok(arrays)
}

/// The arrays of a .npz file by name, stored or compressed, as NumPy's `savez` and `savez_compressed` write them.
///
/// ```
/// use kiln_datasets::{load_npz, save_npz};
/// use kiln_tensor::{Device, Tensor};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("kiln-npz-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("arrays.npz");
/// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2], &Device::cpu())?;
/// save_npz(&path, [("x", &x), ("first", &x.slice(0, 0..1)?)])?;
/// let arrays = load_npz(&path, &Device::cpu())?;
/// assert_eq!(arrays["first"].dims(), [1, 2]);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// A file that cannot be read, is no zip archive, is damaged, or holds what is no array; what [`Tensor::from_npy`] refuses. The file and
/// the array are named.
pub fn load_npz(path: impl AsRef<Path>, device: &Device) -> Result<BTreeMap<String, Tensor>> {
    read_npz(path.as_ref(), None, device)
}

/// Writes tensors by name as a .npz file, which replaces `path` once it is complete and on the disk. NumPy's `load` reads it.
///
/// # Errors
/// A name that is there twice; a tensor of bf16, which NumPy does not have; a file that cannot be written: what was at `path` is then
/// still there.
pub fn save_npz<'t>(
    path: impl AsRef<Path>,
    arrays: impl IntoIterator<Item = (impl AsRef<str>, &'t Tensor)>,
) -> Result<()> {
    write_npz(path.as_ref(), arrays, false)
}

/// As [`save_npz`], each array compressed.
///
/// # Errors
/// As [`save_npz`].
pub fn save_npz_compressed<'t>(
    path: impl AsRef<Path>,
    arrays: impl IntoIterator<Item = (impl AsRef<str>, &'t Tensor)>,
) -> Result<()> {
    write_npz(path.as_ref(), arrays, true)
}

fn write_npz<'t>(
    path: &Path,
    arrays: impl IntoIterator<Item = (impl AsRef<str>, &'t Tensor)>,
    deflate: bool,
) -> Result<()> {
    let mut named = BTreeMap::new();
    for (name, tensor) in arrays {
        let name = name.as_ref().to_owned();
        if named.contains_key(&name) {
            return Err(wrong("save_npz", path, ErrorKind::Value, format!("two arrays are named {name:?}")));
        }
        named.insert(name, tensor);
    }
    let mut failed = None;
    let written = write_atomically_with(path, |file| {
        let mut archive = Writer::new(BufWriter::new(file), deflate);
        for (name, tensor) in &named {
            archive.add(&format!("{name}.npy"), |to| {
                tensor.to_npy(to).map_err(|error| {
                    failed = Some(wrong("save_npz", path, error.kind(), format!("{name}: {}", error.message())));
                    io::Error::other("stopped")
                })
            })?;
        }
        archive.finish().map(drop)
    });
    match failed {
        Some(error) => Err(error),
        None => written,
    }
}

impl TensorDataset {
    /// The samples of a .npz file: the rows of its array `inputs`, with those of its array `targets`, often `"x"` and `"y"`. Others are not
    /// read.
    ///
    /// ```no_run
    /// # use kiln_datasets::TensorDataset;
    /// # use kiln_tensor::Device;
    /// let data = TensorDataset::from_npz("train.npz", "x", "y", &Device::cpu())?;
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`load_npz`]; an array that is not there; arrays without axes or of different numbers of rows.
    pub fn from_npz(path: impl AsRef<Path>, inputs: &str, targets: &str, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let arrays = read_npz(path, Some(&[inputs, targets]), device)?;
        let take = |name: &str| {
            arrays.get(name).cloned().ok_or_else(|| {
                let message = format!("no array is named {name:?}: `load_npz` reads all there are");
                wrong("load_npz", path, ErrorKind::Value, message)
            })
        };
        TensorDataset::new(take(inputs)?, take(targets)?)
    }
}
