//! NumPy's .npy format.

mod elements;
mod header;

use crate::{DType, Device, Error, ErrorKind, Result, Tensor};
use header::Header;
use std::io::{Read, Write};

/// Content that is not what it should be.
#[cold]
fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Format, "from_npy", message)
}

#[cold]
fn unreadable(error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData => ErrorKind::Format,
        _ => ErrorKind::Io,
    };
    Error::new(kind, "from_npy", format!("the array cannot be read: {error}")).with_source(error)
}

impl Tensor {
    /// The array of a .npy file (versions 1 to 3 of the format), as NumPy's `save` writes it. What follows it is not read, so that
    /// several may be in one file.
    ///
    /// | NumPy's type | dtype here |
    /// |---|---|
    /// | float16, float32, float64 | f16, f32, f64 |
    /// | int64, int32, int8, uint8, bool | i64, i32, i8, u8, bool |
    /// | int16, uint16 | i32 |
    /// | uint32 | i64 |
    /// | uint64 | i64, where each element fits |
    ///
    /// Either byte order, C's or Fortran's order of elements; the tensor is row-major. Memory is taken for no more than what is there
    /// to be read, whatever the header says.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3], &Device::cpu())?;
    /// let mut file = Vec::new();
    /// x.to_npy(&mut file)?;
    /// let again = Tensor::from_npy(&file[..], &Device::cpu())?;
    /// assert_eq!(again.dims(), [2, 3]);
    /// assert_eq!(again.to_vec::<f32>()?, x.to_vec::<f32>()?);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// What is no .npy file, is cut short, or has a header that cannot be read; Python objects, structured and complex arrays, text,
    /// dates; more than six axes; a uint64 above the largest i64; a reader that fails.
    pub fn from_npy(mut reader: impl Read, device: &Device) -> Result<Tensor> {
        let header = Header::read(&mut reader)?;
        let read = elements::read(&mut reader, &header, device)?;
        if !header.fortran_order {
            return Ok(read);
        }
        let order: Vec<usize> = (0..header.shape.rank()).rev().collect();
        read.permute(&order)?.contiguous()
    }

    /// Writes this as a .npy file, row-major and little-endian, which NumPy's `load` reads. NumPy has no bf16: convert to f32 first,
    /// which holds the same numbers.
    ///
    /// # Errors
    /// A tensor of bf16; a fault of the device that surfaced; a writer that fails.
    pub fn to_npy(&self, mut writer: impl Write) -> Result<()> {
        let descr = match self.dtype() {
            DType::F32 => "<f4",
            DType::F64 => "<f8",
            DType::F16 => "<f2",
            DType::I64 => "<i8",
            DType::I32 => "<i4",
            DType::I8 => "|i1",
            DType::U8 => "|u1",
            DType::Bool => "|b1",
            DType::BF16 => {
                let message =
                    "NumPy has no type bf16: convert with `to_dtype(DType::F32)`, which holds the same numbers";
                return Err(Error::new(ErrorKind::DType, "to_npy", message));
            }
        };
        let hosted = self.to_device(&Device::cpu())?.contiguous()?;
        let written = writer
            .write_all(&Header::bytes(descr, self.shape()))
            .map_err(elements::unwritable)
            .and_then(|()| elements::write(&hosted, &mut writer));
        written.and_then(|()| writer.flush().map_err(elements::unwritable))
    }
}
