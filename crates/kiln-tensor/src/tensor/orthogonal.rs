//! Orthogonal matrices.

use super::Tensor;
use super::random::expect_float;
use crate::{DType, Device, Element, Error, ErrorKind, IntoShape, Result, Shape};
use kiln_math::{RandomStream, draws};

impl Tensor {
    /// A random matrix (first axis, the others) whose shorter side's vectors are orthonormal, uniform among all such (Saxe et al. 2014), as
    /// Keras's and PyTorch's initializers.
    ///
    /// Normal numbers, orthogonalized by Gram and Schmidt twice over ("twice is enough"), in f64; what the diagonal of R is made positive
    /// for in a QR decomposition, Gram and Schmidt give by themselves.
    ///
    /// ```
    /// use kiln_math::{Purpose, RandomStream};
    /// use kiln_tensor::{DType, Device, Tensor};
    /// let stream = RandomStream::new(0, Purpose::Init, 0);
    /// let w = Tensor::orthogonal([2, 5], DType::F64, &Device::cpu(), stream)?;
    /// let product = w.matmul(&w.t()?)?.to_vec::<f64>()?;
    /// assert!((product[0] - 1.0).abs() < 1e-14 && product[1].abs() < 1e-14);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// A dtype that is not a float type; no memory for the numbers in f64.
    pub fn orthogonal(shape: impl IntoShape, dtype: DType, device: &Device, stream: RandomStream) -> Result<Tensor> {
        let shape = shape.into_shape()?;
        match expect_float("orthogonal", dtype)? {
            DType::F64 => matrix::<f64>(&shape, device, stream),
            _ => matrix::<f32>(&shape, device, stream)?.to_dtype(dtype),
        }
    }
}

fn matrix<T: Element>(shape: &Shape, device: &Device, stream: RandomStream) -> Result<Tensor> {
    // The matrix itself is asked for first: one that is too large is refused before anything is computed.
    Tensor::write_with(shape, device, |values: &mut [T]| {
        let rows = shape.first().copied().unwrap_or(1);
        let columns = shape.iter().skip(1).product::<usize>();
        let length = rows.max(columns);
        let vectors = orthonormal(rows.min(columns), length, shape, stream)?;
        for (i, value) in values.iter_mut().enumerate() {
            let (row, column) = (i / columns, i % columns);
            let at = if rows <= columns { row * length + column } else { column * length + row };
            *value = T::from_f64(vectors[at]);
        }
        Ok(())
    })
}

/// So many vectors of this length, which is not less, one after the other, for a matrix of this shape.
fn orthonormal(count: usize, length: usize, shape: &Shape, mut stream: RandomStream) -> Result<Vec<f64>> {
    let mut vectors = Vec::new();
    if vectors.try_reserve_exact(count * length).is_err() {
        let message = format!("an orthogonal matrix of shape {shape} is made in f64, for which there is no memory");
        return Err(Error::new(ErrorKind::Memory, "orthogonal", message));
    }
    vectors.resize(count * length, 0.0);
    for k in 0..count {
        let (before, rest) = vectors.split_at_mut(k * length);
        let vector = &mut rest[..length];
        loop {
            for pair in vector.chunks_mut(2) {
                let (a, b) = draws::normal_pair_f64(stream.next_u64(), stream.next_u64());
                pair.iter_mut().zip([a, b]).for_each(|(to, z)| *to = z);
            }
            let drawn = norm(vector);
            for _ in 0..2 {
                for other in before.chunks_exact(length) {
                    let dot: f64 = other.iter().zip(&*vector).map(|(a, b)| a * b).sum();
                    vector.iter_mut().zip(other).for_each(|(x, o)| *x -= dot * o);
                }
            }
            let left = norm(vector);
            // All but a multiple of the others by chance: drawn again.
            if left > 1e-8 * drawn {
                vector.iter_mut().for_each(|x| *x /= left);
                break;
            }
        }
    }
    Ok(vectors)
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}
