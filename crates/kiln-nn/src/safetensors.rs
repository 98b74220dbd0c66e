//! Weights in safetensors files, under PyTorch's names and with PyTorch's shapes.
//!
//! A file written here can be given to `torch.nn.Module.load_state_dict(safetensors.torch.load_file(path))` of the same
//! architecture, and one saved there can be loaded here.

mod format;

pub use format::{decode, encode};

use crate::{Module, StateDict, Unmatched};
use kiln_store::write_atomically;
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

/// As [`load`], of those names that both sides have (unless `strict`), as to fine-tune a model with another head. Returns
/// the names without a partner.
///
/// # Errors
/// As [`load`].
pub fn load_matching<M: Module + ?Sized>(model: &mut M, path: impl AsRef<Path>, strict: bool) -> Result<Unmatched> {
    let path = path.as_ref();
    let state = read(path, &Device::cpu())?;
    model.load_state_dict(&state, strict).map_err(|error| {
        Error::new(error.kind(), error.operation(), format!("{}: {}", path.display(), error.message()))
    })
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
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|error| {
        Error::new(ErrorKind::Io, "load", format!("{}: cannot be read: {error}", path.display())).with_source(error)
    })?;
    decode(&bytes, device).map_err(|error| {
        Error::new(error.kind(), "load", format!("{}: {}", path.display(), error.message())).with_source(error)
    })
}
