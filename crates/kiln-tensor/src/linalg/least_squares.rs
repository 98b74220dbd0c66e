//! What follows from the singular values.

use super::Matrices;
use crate::{DType, Error, Result, Tensor};

/// The singular values that are not rounding, as 1, the others 0: those above max(m, n)·ε of the largest one.
fn counting(s: &Tensor, m: usize, n: usize) -> Result<Tensor> {
    let epsilon = if s.dtype() == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) };
    let least = s.max_keepdim(-1)?.mul_scalar(epsilon * m.max(n) as f64)?;
    s.gt(&least)
}

impl Tensor {
    /// The pseudo-inverses (…, n, m) of matrices (…, m, n) of f32 or f64, after Moore and Penrose: V·diag(1/S)·Uᵀ over the singular values
    /// above max(m, n)·ε of the largest one. Feature `linalg`; computed on the host.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let a = Tensor::from_slice(&[1.0f64, 1.0], [1, 2], &Device::cpu())?;
    /// assert!(a.pinv()?.to_vec::<f64>()?.iter().all(|x| (x - 0.5).abs() < 1e-12));
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Tensor::svd`].
    pub fn pinv(&self) -> Result<Tensor> {
        let Matrices { m, n, .. } = Matrices::new("pinv", self)?;
        if m.min(n) == 0 {
            return self.transpose(-2, -1)?.contiguous();
        }
        let (u, s, vt) = self.svd()?;
        let (one, zero) =
            (Tensor::ones(s.shape(), s.dtype(), s.device())?, Tensor::zeros(s.shape(), s.dtype(), s.device())?);
        let counting = counting(&s, m, n)?;
        let inverse = Tensor::select(&counting, &one.div(&Tensor::select(&counting, &s, &one)?)?, &zero)?;
        vt.transpose(-2, -1)?.matmul(&u.transpose(-2, -1)?.mul(&inverse.unsqueeze(-1)?)?)
    }

    /// The x of the least |A·x − b|, and among those of the least size, for matrices A (…, m, n) of f32 or f64 and right sides b (…, m, k),
    /// or (m,): the product of [`Tensor::pinv`] and b. Feature `linalg`; the decomposition is computed on the host.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// // A line through (0, 1), (1, 3), (2, 5): 1 + 2·t.
    /// let a = Tensor::from_slice(&[1.0f64, 0.0, 1.0, 1.0, 1.0, 2.0], [3, 2], &Device::cpu())?;
    /// let b = Tensor::from_slice(&[1.0f64, 3.0, 5.0], [3], &Device::cpu())?;
    /// assert!(a.lstsq(&b)?.to_vec::<f64>()?.iter().zip([1.0, 2.0]).all(|(x, y)| (x - y).abs() < 1e-12));
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Sizes that do not fit; those of [`Tensor::svd`] and [`Tensor::matmul`].
    pub fn lstsq(&self, b: &Tensor) -> Result<Tensor> {
        let a = Matrices::new("lstsq", self)?;
        let rows = if b.rank() == 1 { b.rank() } else { b.rank().saturating_sub(1) };
        if rows == 0 || b.dims()[rows - 1] != a.m {
            let message = format!(
                "{} and {} are no system: right sides (…, {}, k) or ({},) are expected",
                self.shape(),
                b.shape(),
                a.m,
                a.m
            );
            return Err(Error::shape("lstsq", message));
        }
        self.pinv()?.matmul(b)
    }

    /// How many singular values are above max(m, n)·ε of the largest one, of matrices (…, m, n) of f32 or f64: i64 (…). Feature `linalg`;
    /// computed on the host.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let a = Tensor::from_slice(&[1.0f64, 2.0, 2.0, 4.0], [2, 2], &Device::cpu())?;
    /// assert_eq!(a.matrix_rank()?.item()?, 1.0);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Tensor::svd`].
    pub fn matrix_rank(&self) -> Result<Tensor> {
        let a = Matrices::new("matrix_rank", self)?;
        if a.m.min(a.n) == 0 {
            return Tensor::zeros(a.batch(), DType::I64, self.device());
        }
        counting(&self.svd()?.1, a.m, a.n)?.to_dtype(DType::F64)?.sum(-1)?.to_dtype(DType::I64)
    }

    /// The nuclear norm, the sum of the singular values, of matrices (…, m, n) of f32 or f64: (…). Feature `linalg`; computed on the host.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let a = Tensor::from_slice(&[0.0f64, 2.0, -3.0, 0.0], [2, 2], &Device::cpu())?;
    /// assert!((a.nuclear_norm()?.item()? - 5.0).abs() < 1e-12);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Tensor::svd`].
    pub fn nuclear_norm(&self) -> Result<Tensor> {
        self.svd()?.1.sum(-1)
    }
}
