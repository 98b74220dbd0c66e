//! Weights of a folder into a model, one parameter after the other.

use super::names::{Names, Source};
use crate::safetensors::Shards;
use crate::state::mismatch;
use crate::{Module, Param, Sequential, Unmatched};
use kiln_tensor::{Error, Result, Shape, Tensor};
use std::collections::BTreeSet;

/// Reads all parameters of a model. Names and shapes are compared first, so that an error leaves the model unchanged.
pub(super) fn load(model: &mut Sequential, shards: &Shards, names: &Names, strict: bool) -> Result<Unmatched> {
    let mut unmatched = Unmatched::default();
    let mut used = BTreeSet::new();
    let mut plans = Vec::new();
    for (path, parameter) in model.parameters() {
        plans.push(plan(&path, parameter, shards, names, &mut used, &mut unmatched));
    }
    let unexpected = shards.names().filter(|&name| !used.contains(name) && !names.is_unneeded(name));
    unmatched.unexpected = unexpected.map(str::to_owned).collect();
    if strict && unmatched != Unmatched::default() {
        let error = mismatch(&unmatched);
        return Err(Error::new(error.kind(), "load", format!("{}: {}", shards.folder().display(), error.message())));
    }
    for ((_, parameter), plan) in model.parameters_mut().into_iter().zip(plans) {
        if let Some(source) = plan {
            let value = read(&source, parameter, shards)?;
            parameter.set(value)?;
        }
    }
    Ok(unmatched)
}

/// The names in the files that a parameter is read from. There are none if it is missing or does not fit, which is added to `unmatched`.
fn plan(
    path: &str,
    parameter: &Param,
    shards: &Shards,
    names: &Names,
    used: &mut BTreeSet<String>,
    unmatched: &mut Unmatched,
) -> Option<Source> {
    let wanted = names.source(path);
    let mut found = Vec::new();
    for name in &wanted.names {
        match names.found(name, |name| shards.shape(name).is_some()) {
            Some(name) => found.push(name.into_owned()),
            None => unmatched.missing.push(name.clone()),
        }
    }
    used.extend(found.iter().cloned());
    if found.len() < wanted.names.len() {
        return None;
    }
    let source = Source { names: found, transposed: wanted.transposed };
    let shapes: Vec<&[usize]> = source.names.iter().filter_map(|name| shards.shape(name)).collect();
    if fits(parameter.value().dims(), &shapes, source.transposed) {
        return Some(source);
    }
    let (expected, transposed) = (parameter.value().shape(), if source.transposed { " transposed" } else { "" });
    let got: Vec<String> = shapes.iter().map(|shape| format!("{shape:?}")).collect();
    unmatched.skipped.push(format!(
        "{}: expected {expected}{transposed}, got {}",
        source.names.join(" + "),
        got.join(" + ")
    ));
    None
}

/// Whether tensors of these shapes make a parameter. Axes of size 1 at the beginning do not count, as a file may have positions with an axis
/// for the batch.
fn fits(expected: &[usize], shapes: &[&[usize]], transposed: bool) -> bool {
    match (shapes, transposed) {
        ([], _) => true,
        ([shape], true) => shape.iter().rev().eq(expected),
        ([shape], false) => trimmed(shape) == trimmed(expected),
        (parts, _) => {
            let rows: usize = parts.iter().filter_map(|shape| shape.first()).sum();
            expected.first() == Some(&rows) && parts.iter().all(|shape| shape.get(1..) == expected.get(1..))
        }
    }
}

fn trimmed(shape: &[usize]) -> &[usize] {
    let ones = shape.iter().take_while(|&&size| size == 1).count();
    &shape[ones..]
}

/// The value of a parameter.
fn read(source: &Source, parameter: &Param, shards: &Shards) -> Result<Tensor> {
    let (dtype, device, shape): (_, _, Shape) =
        (parameter.value().dtype(), parameter.value().device(), *parameter.value().shape());
    let parts = source.names.iter().map(|name| shards.read_float(name, dtype, device)).collect::<Result<Vec<_>>>()?;
    match parts.as_slice() {
        [] => Tensor::zeros(shape, dtype, device),
        [whole] if source.transposed => whole.transpose(0, 1)?.contiguous(),
        [whole] => whole.reshape(shape),
        parts => Tensor::concat(&parts.iter().collect::<Vec<_>>(), 0),
    }
}
