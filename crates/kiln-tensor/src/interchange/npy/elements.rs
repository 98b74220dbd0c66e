//! The elements of a .npy file.

use super::header::Header;
use super::{unreadable, wrong};
use crate::{DType, Device, Element, Error, ErrorKind, Result, Tensor};
use half::f16;
use std::io::{self, Read, Write};

/// Bytes that are converted together.
const BLOCK: usize = 1 << 16;

/// The byte order, kind and size of NumPy's name of a type: `<f4` is little-endian, a float, of 4 bytes.
fn kind(descr: &str) -> Option<(bool, char, usize)> {
    let mut letters = descr.chars();
    let first = letters.next()?;
    let (big, kind) = match first {
        '<' | '|' => (false, letters.next()?),
        '>' => (true, letters.next()?),
        '=' => (cfg!(target_endian = "big"), letters.next()?),
        _ => (cfg!(target_endian = "big"), first),
    };
    Some((big, kind, letters.as_str().parse().ok()?))
}

/// The type and the way out, of a type that is not read.
#[cold]
fn refused(descr: &str) -> Error {
    let what = match kind(descr).map(|(_, kind, _)| kind).or(descr.chars().nth(1)) {
        Some('O') => "Python objects, which are programs: convert with `astype` before saving",
        Some('c') => "complex numbers: save the real and imaginary parts apart",
        Some('S' | 'U' | 'a') => "text: save its codes as integers",
        Some('M' | 'm') => "dates or times: convert with `astype(\"int64\")` before saving",
        Some('V') => {
            "bytes without a type, as NumPy saves bfloat16 and structures: convert with `astype(\"float32\")` before saving"
        }
        Some('f') => "floats of another size than 2, 4 or 8 bytes: convert with `astype(\"float64\")` before saving",
        _ => "no type that is known: float16 to float64, int8 to int64, uint8 to uint64 and bool are read",
    };
    Error::new(ErrorKind::Unsupported, "from_npy", format!("the array is of type {descr:?}, {what}"))
}

/// The elements in the order of the file: of a Fortran-ordered array those of the transpose, axes reversed.
pub(super) fn read(reader: &mut impl Read, header: &Header, device: &Device) -> Result<Tensor> {
    let source = &mut Source { reader, header, device };
    let Some((big, kind, size)) = kind(&header.descr) else { return Err(refused(&header.descr)) };
    macro_rules! number {
        ($from:ty as $T:ty) => {
            if big {
                source.tensor(|bytes| Ok(<$from>::from_be_bytes(bytes) as $T))
            } else {
                source.tensor(|bytes| Ok(<$from>::from_le_bytes(bytes) as $T))
            }
        };
    }
    match (kind, size) {
        ('f', 2) if big => source.tensor(|bytes| Ok(f16::from_be_bytes(bytes))),
        ('f', 2) => source.tensor(|bytes| Ok(f16::from_le_bytes(bytes))),
        ('f', 4) => number!(f32 as f32),
        ('f', 8) => number!(f64 as f64),
        ('i', 1) => number!(i8 as i8),
        ('i', 2) => number!(i16 as i32),
        ('i', 4) => number!(i32 as i32),
        ('i', 8) => number!(i64 as i64),
        ('u', 1) => number!(u8 as u8),
        ('u', 2) => number!(u16 as i32),
        ('u', 4) => number!(u32 as i64),
        ('u', 8) => source.tensor(|bytes| {
            let number = if big { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) };
            i64::try_from(number).map_err(|_| {
                let message =
                    format!("the array holds {number}, above the largest i64: convert with `astype(\"float64\")`");
                Error::new(ErrorKind::Unsupported, "from_npy", message)
            })
        }),
        ('b', 1) => source.tensor(|[byte]: [u8; 1]| Ok(byte != 0)),
        _ => Err(refused(&header.descr)),
    }
}

struct Source<'a, R> {
    reader: &'a mut R,
    header: &'a Header,
    device: &'a Device,
}

impl<R: Read> Source<'_, R> {
    /// The tensor of the elements that follow, of `N` bytes each.
    fn tensor<T: Element, const N: usize>(&mut self, decode: impl Fn([u8; N]) -> Result<T>) -> Result<Tensor> {
        let shape = &self.header.shape;
        let count = shape.elements();
        // As many as arrive: a header may say anything.
        let mut numbers: Vec<T> = Vec::new();
        let mut block = vec![0; BLOCK.min(count.saturating_mul(N))];
        while numbers.len() < count {
            let wanted = block.len().min((count - numbers.len()) * N);
            let filled = fill(self.reader, &mut block[..wanted])?;
            if filled < wanted {
                let (all, found) = (count.saturating_mul(N), numbers.len() * N + filled);
                return Err(wrong(format!(
                    "its header says {shape} of {}, {all} bytes, but only {found} follow: the file is cut short",
                    self.header.descr
                )));
            }
            let more = wanted / N;
            crate::allocator::room(&mut numbers, more)?;
            for &bytes in block[..wanted].as_chunks().0 {
                numbers.push(decode(bytes)?);
            }
        }
        let mut dims = shape.to_vec();
        if self.header.fortran_order {
            dims.reverse();
        }
        Tensor::from_vec(numbers, dims, self.device)
    }
}

/// Fills the buffer, and says how far that went before the end.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    Ok(filled)
}

#[cold]
pub(super) fn unwritable(error: io::Error) -> Error {
    Error::new(ErrorKind::Io, "to_npy", format!("the array cannot be written: {error}")).with_source(error)
}

/// Writes the elements of a contiguous tensor of the host, little-endian.
pub(super) fn write(tensor: &Tensor, writer: &mut impl Write) -> Result<()> {
    fn of<T: Element, const N: usize>(
        tensor: &Tensor,
        writer: &mut impl Write,
        encode: impl Fn(T) -> [u8; N],
    ) -> Result<()> {
        for numbers in tensor.as_slice::<T>()?.chunks(BLOCK / N) {
            let bytes: Vec<u8> = numbers.iter().flat_map(|&number| encode(number)).collect();
            writer.write_all(&bytes).map_err(unwritable)?;
        }
        Ok(())
    }
    match tensor.dtype() {
        DType::F32 => of(tensor, writer, f32::to_le_bytes),
        DType::F64 => of(tensor, writer, f64::to_le_bytes),
        DType::F16 => of(tensor, writer, f16::to_le_bytes),
        DType::BF16 => of(tensor, writer, half::bf16::to_le_bytes),
        DType::I64 => of(tensor, writer, i64::to_le_bytes),
        DType::I32 => of(tensor, writer, i32::to_le_bytes),
        DType::I8 => of(tensor, writer, i8::to_le_bytes),
        DType::U8 => of(tensor, writer, u8::to_le_bytes),
        DType::Bool => of(tensor, writer, |truth: bool| [u8::from(truth)]),
    }
}
