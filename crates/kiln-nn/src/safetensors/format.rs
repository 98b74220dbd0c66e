//! Tensors as safetensors bytes and back.

use crate::StateDict;
use ::safetensors::tensor::{Dtype, SafeTensors, View, serialize};
use half::{bf16, f16};
use kiln_tensor::{DType, Device, Error, ErrorKind, Result, Shape, Tensor};
use std::borrow::Cow;
use std::collections::HashMap;

/// The content of a safetensors file with these tensors: little-endian, by dtype and then by name, so that equal tensors give
/// equal bytes.
///
/// # Errors
/// A device whose values cannot be read.
pub fn encode(tensors: &StateDict) -> Result<Vec<u8>> {
    let entries: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| {
            Ok((name, Entry { dtype: file_dtype(tensor.dtype()), shape: tensor.dims(), bytes: bytes_of(tensor)? }))
        })
        .collect::<Result<_>>()?;
    // What PyTorch's own files carry; one entry only, since the order of several would be that of a hash map.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    serialize(entries, Some(metadata)).map_err(|error| {
        Error::new(ErrorKind::Format, "save", format!("these tensors make no file: {error}")).with_source(error)
    })
}

/// The tensors of a safetensors file.
///
/// # Errors
/// Bytes that are no such file, or are cut short; a dtype that Kiln has not.
pub fn decode(bytes: &[u8], device: &Device) -> Result<StateDict> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        let message = format!("this is no complete safetensors file ({error})");
        Error::new(ErrorKind::Format, "load", message).with_source(error)
    })?;
    file.iter()
        .map(|(name, view)| {
            let shape = Shape::new(view.shape())?;
            let tensor = tensor_of(view.dtype(), view.data(), shape, device)?.ok_or_else(|| {
                let message = format!("{name} has dtype {}, which Kiln does not compute with", view.dtype());
                Error::new(ErrorKind::Unsupported, "load", message)
            })?;
            Ok((name.to_owned(), tensor))
        })
        .collect()
}

/// One tensor, as the safetensors crate wants to see it.
struct Entry<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    bytes: Vec<u8>,
}

impl View for Entry<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

fn file_dtype(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
    }
}

fn bytes_of(tensor: &Tensor) -> Result<Vec<u8>> {
    Ok(match tensor.dtype() {
        DType::F32 => tensor.to_vec::<f32>()?.into_iter().flat_map(f32::to_le_bytes).collect(),
        DType::F64 => tensor.to_vec::<f64>()?.into_iter().flat_map(f64::to_le_bytes).collect(),
        DType::F16 => tensor.to_vec::<f16>()?.into_iter().flat_map(f16::to_le_bytes).collect(),
        DType::BF16 => tensor.to_vec::<bf16>()?.into_iter().flat_map(bf16::to_le_bytes).collect(),
        DType::I64 => tensor.to_vec::<i64>()?.into_iter().flat_map(i64::to_le_bytes).collect(),
        DType::U8 => tensor.to_vec::<u8>()?,
        DType::Bool => tensor.to_vec::<bool>()?.into_iter().map(u8::from).collect(),
    })
}

/// Numbers of `N` bytes each.
fn numbers<const N: usize, T>(bytes: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| from(*chunk)).collect()
}

fn tensor_of(dtype: Dtype, bytes: &[u8], shape: Shape, device: &Device) -> Result<Option<Tensor>> {
    Ok(Some(match dtype {
        Dtype::F32 => Tensor::from_slice(&numbers(bytes, f32::from_le_bytes), shape, device)?,
        Dtype::F64 => Tensor::from_slice(&numbers(bytes, f64::from_le_bytes), shape, device)?,
        Dtype::F16 => Tensor::from_slice(&numbers(bytes, f16::from_le_bytes), shape, device)?,
        Dtype::BF16 => Tensor::from_slice(&numbers(bytes, bf16::from_le_bytes), shape, device)?,
        Dtype::I64 => Tensor::from_slice(&numbers(bytes, i64::from_le_bytes), shape, device)?,
        Dtype::I32 => Tensor::from_slice(&numbers(bytes, |b| i64::from(i32::from_le_bytes(b))), shape, device)?,
        Dtype::U8 => Tensor::from_slice(bytes, shape, device)?,
        Dtype::BOOL => Tensor::from_slice(&bytes.iter().map(|&b| b != 0).collect::<Vec<bool>>(), shape, device)?,
        _ => return Ok(None),
    }))
}
