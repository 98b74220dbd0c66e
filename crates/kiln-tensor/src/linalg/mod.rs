//! Linear algebra of matrices (feature `linalg`), by the crate faer: in the host's memory, so tensors of other devices are downloaded
//! and what comes out is uploaded.

mod decompose;
mod least_squares;
mod solve;

use crate::{DType, Device, Element, Error, ErrorKind, Result, Shape, Tensor, unsupported_dtype};
use faer::MatRef;

/// The types that faer computes in.
trait Real: Element + faer::traits::RealField {}
impl Real for f32 {}
impl Real for f64 {}

/// `$function::<T>($arguments…)` for the T of a dtype.
macro_rules! of_dtype {
    ($dtype:expr, $function:ident($($argument:expr),*)) => {
        match $dtype {
            $crate::DType::F64 => $function::<f64>($($argument),*),
            _ => $function::<f32>($($argument),*),
        }
    };
}
use of_dtype;

/// The matrices (…, m, n) of a tensor, in the host's memory.
struct Matrices {
    operation: &'static str,
    host: Tensor,
    device: Device,
    m: usize,
    n: usize,
}

impl Matrices {
    fn new(operation: &'static str, x: &Tensor) -> Result<Self> {
        if !matches!(x.dtype(), DType::F32 | DType::F64) {
            return Err(unsupported_dtype(operation, x.dtype(), "f32 or f64"));
        }
        let Some(&[m, n]) = x.dims().last_chunk::<2>() else {
            return Err(Error::shape(operation, format!("{} is no matrix: (…, m, n) is expected", x.shape())));
        };
        let host = x.to_device(&Device::cpu())?.contiguous()?;
        Ok(Matrices { operation, host, device: x.device().clone(), m, n })
    }

    fn square(operation: &'static str, x: &Tensor) -> Result<Self> {
        let matrices = Matrices::new(operation, x)?;
        if matrices.m != matrices.n {
            return Err(Error::shape(operation, format!("{} is not square: (…, n, n) is expected", x.shape())));
        }
        Ok(matrices)
    }

    /// The axes before the last two.
    fn batch(&self) -> &[usize] {
        &self.host.dims()[..self.host.rank() - 2]
    }

    fn count(&self) -> usize {
        self.batch().iter().product()
    }

    /// What `f` gives of each matrix, one after the other.
    fn each<T: Real, R>(&self, f: impl FnMut(usize, MatRef<'_, T>) -> Result<R>) -> Result<Vec<R>> {
        let mut f = f;
        let elements = self.host.as_slice::<T>()?;
        let size = self.m * self.n;
        let one = |i: usize| {
            let matrix = &elements[i * size..(i + 1) * size];
            if matrix.iter().any(|x| !x.to_f64().is_finite()) {
                return Err(self.fault(i, "holds NaN or an infinite number", "look where it comes from"));
            }
            f(i, MatRef::from_row_major_slice(matrix, self.m, self.n))
        };
        (0..self.count()).map(one).collect()
    }

    /// An error of matrix `i`: what it is, and the way out.
    #[cold]
    fn fault(&self, i: usize, what: &str, way_out: &str) -> Error {
        let which = if self.batch().is_empty() {
            "the matrix".to_owned()
        } else {
            format!("matrix {i} of {}", self.host.shape())
        };
        Error::new(ErrorKind::Value, self.operation, format!("{which} {what}: {way_out}"))
    }

    /// The elements of each matrix's result, as (…, `dims`) on the device.
    fn tensor<T: Real>(&self, elements: Vec<T>, dims: &[usize]) -> Result<Tensor> {
        Tensor::from_vec(elements, Shape::new(&[self.batch(), dims].concat())?, &self.device)
    }
}

/// Appends a matrix, row-major.
fn append<T: Real>(to: &mut Vec<T>, matrix: MatRef<'_, T>) {
    for i in 0..matrix.nrows() {
        to.extend((0..matrix.ncols()).map(|j| matrix[(i, j)]));
    }
}
