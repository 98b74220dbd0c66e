//! Weights in safetensors files, under PyTorch's names and in PyTorch's order of axes.
//!
//! A file written here can be given to `torch.nn.Module.load_state_dict(safetensors.torch.load_file(path))` of the same
//! architecture, and one saved there can be loaded here: a dense layer's weight is (in, out) in memory and (out, in) in files
//! ([`Param::file_axes`](crate::Param::file_axes)).

mod atomic;
mod format;

pub use atomic::write_atomically;
pub use format::{decode, encode};

use crate::module::{Found, Paths};
use crate::{Module, StateDict, Unmatched};
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};
use std::collections::BTreeMap;
use std::path::Path;

/// Writes all parameters and buffers: to a temporary file, which replaces `path` once it is complete and on the disk.
///
/// # Errors
/// A file that cannot be written; what was at `path` is then still there.
pub fn save<M: Module + ?Sized>(model: &M, path: impl AsRef<Path>) -> Result<()> {
    write(&to_file_order(model, model.state_dict())?, path)
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
    let state = from_file_order(model, read(path, &Device::cpu())?)?;
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

/// The orders of axes that differ in files, by path.
fn file_axes<M: Module + ?Sized>(model: &M) -> BTreeMap<String, &'static [usize]> {
    let mut orders = BTreeMap::new();
    model.visit(&mut Paths::new(|path: &str, found| {
        if let Found::Parameter(parameter) = found
            && !parameter.file_axes().is_empty()
        {
            orders.insert(path.to_owned(), parameter.file_axes());
        }
    }));
    orders
}

fn reorder(state: &mut StateDict, path: &str, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<()> {
    if let Some(value) = state.get_mut(path) {
        *value = f(value)?;
    }
    Ok(())
}

/// A model's state with axes as files have them.
///
/// # Errors
/// None for a state dict of this model.
pub fn to_file_order<M: Module + ?Sized>(model: &M, mut state: StateDict) -> Result<StateDict> {
    for (path, order) in file_axes(model) {
        reorder(&mut state, &path, |value| value.permute(order)?.contiguous())?;
    }
    Ok(state)
}

/// What a file holds with axes as the model has them. Values of another rank are left for the comparison of shapes to name.
///
/// # Errors
/// Memory that cannot be had.
pub fn from_file_order<M: Module + ?Sized>(model: &M, mut state: StateDict) -> Result<StateDict> {
    for (path, order) in file_axes(model) {
        reorder(&mut state, &path, |value| {
            if value.rank() != order.len() {
                return Ok(value.clone());
            }
            let mut inverse = vec![0; order.len()];
            order.iter().enumerate().for_each(|(to, &from)| inverse[from] = to);
            value.permute(&inverse)?.contiguous()
        })?;
    }
    Ok(state)
}
