//! Weights in safetensors files, under PyTorch's names and with PyTorch's shapes.
//!
//! A file written here can be given to `torch.nn.Module.load_state_dict(safetensors.torch.load_file(path))` of the same
//! architecture, and one saved there can be loaded here.

mod format;
mod shards;

use format::{Decoded, decode_supported};
pub use format::{decode, encode};
pub use shards::Shards;

use crate::{Module, StateDict, Unmatched};
use kiln_store::{Mapped, write_atomically};
use kiln_tensor::{Device, Error, ErrorKind, Result};
use std::path::Path;

/// Writes all parameters and buffers: to a temporary file, which replaces `path` once it is complete and on the disk.
///
/// # Errors
/// A file that cannot be written; what was at `path` is then still there.
pub fn save<M: Module + ?Sized>(model: &M, path: impl AsRef<Path>) -> Result<()> {
    write(&model.state_dict(), path)
}

/// Reads all parameters and buffers of a file into a model of the same architecture.
///
/// # Errors
/// A file that cannot be read or is no safetensors file; names that are missing or unexpected, shapes that differ, all
/// listed. The model is then unchanged.
pub fn load<M: Module + ?Sized>(model: &mut M, path: impl AsRef<Path>) -> Result<()> {
    load_matching(model, path, true).map(|_| ())
}

/// As [`load`], where `strict` is false of those tensors that both sides have with the same shape, as to fine-tune a model with
/// another head. Returns what was left out: missing and unexpected names, and tensors of another shape or type.
///
/// # Errors
/// As [`load`].
pub fn load_matching<M: Module + ?Sized>(model: &mut M, path: impl AsRef<Path>, strict: bool) -> Result<Unmatched> {
    let path = path.as_ref();
    let Decoded { tensors, unsupported } = open(path, |bytes| {
        let decoded = decode_supported(bytes, &Device::cpu())?;
        match decoded.unsupported.first() {
            Some((name, why)) if strict => Err(Error::new(ErrorKind::Unsupported, "load", format!("{name}: {why}"))),
            _ => Ok(decoded),
        }
    })?;
    let mut unmatched = model.load_state_dict(&tensors, strict).map_err(|error| {
        Error::new(error.kind(), error.operation(), format!("{}: {}", path.display(), error.message()))
    })?;
    unmatched.missing.retain(|name| !unsupported.iter().any(|(other, _)| other == name));
    unmatched.skipped.extend(unsupported.into_iter().map(|(name, why)| format!("{name}: {why}")));
    Ok(unmatched)
}

/// Writes tensors, as they are, as [`save`] does.
///
/// # Errors
/// A file that cannot be written.
pub fn write(tensors: &StateDict, path: impl AsRef<Path>) -> Result<()> {
    write_atomically(path.as_ref(), &encode(tensors)?)
}

/// Reads all tensors of a file, as they are, to a device.
///
/// # Errors
/// A file that cannot be read or is no safetensors file.
pub fn read(path: impl AsRef<Path>, device: &Device) -> Result<StateDict> {
    open(path.as_ref(), |bytes| decode(bytes, device))
}

/// Calls `decode` with a file's bytes, which are mapped and not copied.
fn open<R>(path: &Path, decode: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
    decode(&Mapped::open(path)?).map_err(|error| of_file(path, error))
}

/// An error with the file that it is about.
fn of_file(path: &Path, error: Error) -> Error {
    Error::new(error.kind(), "load", format!("{}: {}", path.display(), error.message())).with_source(error)
}
