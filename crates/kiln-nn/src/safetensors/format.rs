//! Tensors as safetensors bytes and back.

use crate::StateDict;
use ::safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView, View, serialize};
use half::{bf16, f16};
use kiln_tensor::{DType, Device, Element, Error, ErrorKind, Result, Shape, Tensor};
use std::borrow::Cow;
use std::collections::HashMap;

/// The name under which the format keeps a file's metadata.
const METADATA: &str = "__metadata__";

/// The content of a safetensors file with these tensors: little-endian, by dtype and then by name, so that equal tensors give
/// equal bytes.
///
/// # Errors
/// A tensor named `__metadata__`, which the format keeps for itself; a device whose values cannot be read.
pub fn encode(tensors: &StateDict) -> Result<Vec<u8>> {
    if tensors.contains_key(METADATA) {
        let message = format!("a tensor cannot be named {METADATA}: safetensors files keep their metadata there");
        return Err(Error::value("save", message));
    }
    let on_host = |tensor: &Tensor| tensor.to_device(&Device::cpu())?.contiguous();
    let hosted: Vec<Tensor> = tensors.values().map(on_host).collect::<Result<_>>()?;
    let entries: Vec<_> = tensors
        .keys()
        .zip(&hosted)
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
/// Bytes that are not such a file, or are cut short; a tensor of a dtype, a rank or numbers that Kiln does not have.
pub fn decode(bytes: &[u8], device: &Device) -> Result<StateDict> {
    let Decoded { tensors, unsupported } = decode_supported(bytes, device)?;
    match unsupported.into_iter().next() {
        Some((name, why)) => Err(Error::new(ErrorKind::Unsupported, "load", format!("{name}: {why}"))),
        None => Ok(tensors),
    }
}

/// The content of a file.
pub(super) struct Decoded {
    pub(super) tensors: StateDict,
    /// Tensors of a dtype, a rank or numbers that Kiln does not have, by name, and why.
    pub(super) unsupported: Vec<(String, String)>,
}

pub(super) fn decode_supported(bytes: &[u8], device: &Device) -> Result<Decoded> {
    let file = SafeTensors::deserialize(bytes).map_err(incomplete)?;
    let mut decoded = Decoded { tensors: StateDict::new(), unsupported: Vec::new() };
    for (name, view) in file.iter() {
        let why = match Shape::new(view.shape()) {
            Err(error) => error.message().to_owned(),
            Ok(shape) => match tensor_of(&view, shape, device)? {
                Ok(tensor) => {
                    decoded.tensors.insert(name.to_owned(), tensor);
                    continue;
                }
                Err(why) => why,
            },
        };
        decoded.unsupported.push((name.to_owned(), why));
    }
    Ok(decoded)
}

/// The error of bytes that are no such file.
pub(super) fn incomplete(error: SafeTensorError) -> Error {
    let message = format!("not a complete safetensors file ({error})");
    Error::new(ErrorKind::Format, "load", message).with_source(error)
}

/// One tensor, as the safetensors crate wants to see it.
struct Entry<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    bytes: Cow<'a, [u8]>,
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
        DType::I32 => Dtype::I32,
        DType::I8 => Dtype::I8,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
    }
}

/// The elements of a contiguous tensor of the host in little-endian order, in place where the host's order is that.
fn bytes_of(tensor: &Tensor) -> Result<Cow<'_, [u8]>> {
    fn of<T: LittleEndian>(tensor: &Tensor) -> Result<Cow<'_, [u8]>> {
        let numbers = tensor.as_slice::<T>()?;
        Ok(match T::bytes(numbers) {
            Some(bytes) => Cow::Borrowed(bytes),
            None => Cow::Owned(numbers.iter().flat_map(|number| number.to_le()).collect()),
        })
    }
    match tensor.dtype() {
        DType::F32 => of::<f32>(tensor),
        DType::F64 => of::<f64>(tensor),
        DType::F16 => of::<f16>(tensor),
        DType::BF16 => of::<bf16>(tensor),
        DType::I64 => of::<i64>(tensor),
        DType::I32 => of::<i32>(tensor),
        DType::I8 => of::<i8>(tensor),
        DType::U8 => Ok(Cow::Borrowed(tensor.as_slice::<u8>()?)),
        DType::Bool => Ok(Cow::Borrowed(bytemuck::cast_slice(tensor.as_slice::<bool>()?))),
    }
}

/// A number of several bytes, and those bytes in the order of the file.
trait LittleEndian: Element {
    type Bytes: IntoIterator<Item = u8>;
    fn to_le(self) -> Self::Bytes;
    /// The numbers of these bytes, at any address.
    fn from_le(bytes: &[u8]) -> Vec<Self>;
    /// Numbers as bytes in place, where the host is little-endian.
    fn bytes(numbers: &[Self]) -> Option<&[u8]>;
    /// Bytes as numbers in place, where the host is little-endian and the address is a multiple of their size.
    fn numbers(bytes: &[u8]) -> Option<&[Self]>;
}

macro_rules! numbers {
    ($($T:ty),+) => {$(
        impl LittleEndian for $T {
            type Bytes = [u8; size_of::<$T>()];
            fn to_le(self) -> Self::Bytes {
                self.to_le_bytes()
            }
            fn from_le(bytes: &[u8]) -> Vec<Self> {
                bytes.as_chunks().0.iter().map(|&chunk| Self::from_le_bytes(chunk)).collect()
            }
            fn bytes(numbers: &[Self]) -> Option<&[u8]> {
                cfg!(target_endian = "little").then(|| bytemuck::cast_slice(numbers))
            }
            fn numbers(bytes: &[u8]) -> Option<&[Self]> {
                bytemuck::try_cast_slice(bytes).ok().filter(|_| cfg!(target_endian = "little"))
            }
        }
    )+};
}
numbers!(f32, f64, f16, bf16, i64, i32, i8);

/// A tensor of a file, or why Kiln cannot hold it. Integers of 16 bits become i32, unsigned ones of 32 and 64 bits i64.
pub(super) fn tensor_of(
    view: &TensorView<'_>,
    shape: Shape,
    device: &Device,
) -> Result<std::result::Result<Tensor, String>> {
    fn of<T: LittleEndian>(bytes: &[u8], shape: Shape, device: &Device) -> Result<Tensor> {
        match T::numbers(bytes) {
            Some(numbers) => Tensor::from_slice(numbers, shape, device),
            None => Tensor::from_slice(&T::from_le(bytes), shape, device),
        }
    }
    fn each<const N: usize, T: Element>(
        bytes: &[u8],
        shape: Shape,
        device: &Device,
        number: impl Fn([u8; N]) -> T,
    ) -> Result<Tensor> {
        let numbers: Vec<T> = bytes.as_chunks().0.iter().map(|&chunk| number(chunk)).collect();
        Tensor::from_slice(&numbers, shape, device)
    }
    let bytes = view.data();
    let tensor = match view.dtype() {
        Dtype::F32 => of::<f32>(bytes, shape, device),
        Dtype::F64 => of::<f64>(bytes, shape, device),
        Dtype::F16 => of::<f16>(bytes, shape, device),
        Dtype::BF16 => of::<bf16>(bytes, shape, device),
        Dtype::I64 => of::<i64>(bytes, shape, device),
        Dtype::I32 => of::<i32>(bytes, shape, device),
        Dtype::I16 => each(bytes, shape, device, |chunk| i32::from(i16::from_le_bytes(chunk))),
        Dtype::I8 => of::<i8>(bytes, shape, device),
        Dtype::U64 => {
            let numbers = || bytes.as_chunks().0.iter().map(|&chunk| u64::from_le_bytes(chunk)).enumerate();
            if let Some((at, large)) = numbers().find(|&(_, number)| i64::try_from(number).is_err()) {
                return Ok(Err(format!("element {at} of the dtype U64 is {large}, which i64 does not hold")));
            }
            each(bytes, shape, device, |chunk| u64::from_le_bytes(chunk) as i64)
        }
        Dtype::U32 => each(bytes, shape, device, |chunk| i64::from(u32::from_le_bytes(chunk))),
        Dtype::U16 => each(bytes, shape, device, |chunk| i32::from(u16::from_le_bytes(chunk))),
        Dtype::U8 => Tensor::from_slice(bytes, shape, device),
        Dtype::BOOL => each(bytes, shape, device, |[byte]: [u8; 1]| byte != 0),
        dtype => return Ok(Err(format!("Kiln does not have the dtype {dtype}"))),
    };
    tensor.map(Ok)
}
