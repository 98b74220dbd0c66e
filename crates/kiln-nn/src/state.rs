//! State dicts: the values of a module by path.

use crate::visit::Collected;
use crate::{Buffer, Param, PathPattern};
use kiln_tensor::{Error, ErrorKind, Result, Tensor};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Tensors by path.
pub type StateDict = BTreeMap<String, Tensor>;

/// Names that had no partner when a state dict was loaded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Unmatched {
    /// In the module, not in the state dict.
    pub missing: Vec<String>,
    /// In the state dict, not in the module.
    pub unexpected: Vec<String>,
    /// In both, but of another shape or type, or of a type that Kiln does not have: with what was expected and found.
    pub skipped: Vec<String>,
}

pub(crate) fn state_dict(all: Collected<&Param, &Buffer>) -> StateDict {
    let parameters = all.parameters.into_iter().map(|(path, parameter)| (path, parameter.value().clone()));
    let buffers = all.buffers.into_iter().map(|(path, buffer)| (path, buffer.value().clone()));
    parameters.chain(buffers).collect()
}

/// Freezes what matches a pattern, or lets it learn again; an error where nothing does.
pub(crate) fn set_trainable(
    all: Collected<&mut Param, &mut Buffer>,
    operation: &'static str,
    pattern: &str,
    trainable: bool,
) -> Result<usize> {
    let pattern = PathPattern::new(pattern);
    let buffers = all.buffers.iter().map(|(path, _)| path.as_str());
    pattern.expect_any(operation, all.parameters.iter().map(|(path, _)| path.as_str()).chain(buffers))?;
    let parameters = all.parameters.into_iter().filter(|(path, _)| pattern.matches(path));
    let changed = parameters.map(|(_, parameter)| parameter.set_trainable(trainable)).count();
    let buffers = all.buffers.into_iter().filter(|(path, _)| pattern.matches(path));
    buffers.for_each(|(_, buffer)| buffer.set_trainable(trainable));
    Ok(changed)
}

/// Replaces every value by what these make of parameters and of buffers, all or none.
pub(crate) fn convert(
    all: Collected<&mut Param, &mut Buffer>,
    parameter: impl Fn(&Tensor) -> Result<Tensor>,
    buffer: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<()> {
    let parameters: Vec<Tensor> = all.parameters.iter().map(|(_, p)| parameter(p.value())).collect::<Result<_>>()?;
    let buffers: Vec<Tensor> = all.buffers.iter().map(|(_, b)| buffer(b.value())).collect::<Result<_>>()?;
    for ((_, parameter), value) in all.parameters.into_iter().zip(parameters) {
        *parameter.value_mut() = value;
    }
    for ((_, buffer), value) in all.buffers.into_iter().zip(buffers) {
        buffer.replace(value);
    }
    Ok(())
}

/// A value that was checked, on its way into a tensor of the module.
enum Incoming<'s> {
    /// To be copied into the tensor's own memory.
    Copy(Cow<'s, Tensor>),
    /// The tensor's memory is shared with others, who keep it; so the tensor gets this memory.
    Move(Tensor),
    /// The value is the tensor itself.
    Same,
}

impl<'s> Incoming<'s> {
    /// All that can fail: a conversion, another device's memory, memory for a tensor that must move.
    fn new(value: &'s Tensor, into: &Tensor) -> Result<Self> {
        if value.storage_id() == into.storage_id() && value.layout() == into.layout() {
            return Ok(Incoming::Same);
        }
        let value = match value.device() == into.device() {
            true => Cow::Borrowed(value),
            false => Cow::Owned(value.to_device(into.device())?),
        };
        if into.is_unique() && into.is_contiguous() {
            return Ok(Incoming::Copy(value));
        }
        let mut moved = Tensor::zeros(into.shape(), into.dtype(), into.device())?;
        moved.copy_from(&value)?;
        Ok(Incoming::Move(moved))
    }

    fn write(self, into: &mut Tensor) -> Result<()> {
        match self {
            Incoming::Copy(value) => into.copy_from(&value),
            Incoming::Move(value) => {
                *into = value;
                Ok(())
            }
            Incoming::Same => Ok(()),
        }
    }
}

pub(crate) fn load(mut all: Collected<&mut Param, &mut Buffer>, state: &StateDict, strict: bool) -> Result<Unmatched> {
    let mut unmatched = Unmatched::default();
    let mut known = BTreeSet::new();

    // First everything is compared and made ready, so that an error leaves the module as it was.
    let mut prepare = |path: &str, old: &Tensor| {
        known.insert(path.to_owned());
        let Some(new) = state.get(path) else {
            unmatched.missing.push(path.to_owned());
            return Ok(None);
        };
        let convertible = new.dtype() == old.dtype() || new.dtype().is_float() && old.dtype().is_float();
        if new.shape() != old.shape() || !convertible {
            unmatched.skipped.push(format!(
                "{path}: expected {} {}, got {} {}",
                old.dtype(),
                old.shape(),
                new.dtype(),
                new.shape()
            ));
            return Ok(None);
        }
        Incoming::new(new, old).map(Some)
    };
    let parameters: Vec<_> = all.parameters.iter().map(|(path, p)| prepare(path, p.value())).collect::<Result<_>>()?;
    let buffers: Vec<_> = all.buffers.iter().map(|(path, b)| prepare(path, b.value())).collect::<Result<_>>()?;
    // PyTorch's batch normalization counts its steps, for nothing but a momentum of None.
    let counted = |name: &str| {
        name.strip_suffix("num_batches_tracked").is_some_and(|layer| known.contains(&format!("{layer}running_mean")))
    };
    unmatched.unexpected = state.keys().filter(|&name| !known.contains(name) && !counted(name)).cloned().collect();

    if strict && unmatched != Unmatched::default() {
        return Err(mismatch(&unmatched));
    }
    for ((_, parameter), value) in all.parameters.iter_mut().zip(parameters) {
        value.map_or(Ok(()), |value| value.write(parameter.value_mut()))?;
    }
    for ((_, buffer), value) in all.buffers.iter_mut().zip(buffers) {
        value.map_or(Ok(()), |value| value.write(buffer.value_mut()))?;
    }
    Ok(unmatched)
}

pub(crate) fn mismatch(unmatched: &Unmatched) -> Error {
    let mut text = String::from("the state is of another architecture; nothing was changed.");
    let mut list = |title: &str, names: &[String]| {
        if !names.is_empty() {
            let _ = write!(text, " {title} ({}): {}.", names.len(), names.join(", "));
        }
    };
    list("Missing", &unmatched.missing);
    list("Unexpected", &unmatched.unexpected);
    list("Of another shape or type", &unmatched.skipped);
    let kind = if unmatched.skipped.is_empty() { ErrorKind::Value } else { ErrorKind::Shape };
    Error::new(kind, "load_state_dict", text)
}
