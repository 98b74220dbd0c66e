//! Decompositions.

use super::{Matrices, Real, append, of_dtype};
use crate::{Result, Tensor};
use faer::{MatRef, Side};

/// Whether a matrix is its own transpose, but for rounding.
fn is_symmetric<T: Real>(matrix: MatRef<'_, T>, epsilon: f64) -> bool {
    let n = matrix.nrows();
    let at = |i, j| -> f64 { matrix[(i, j)].to_f64() };
    let largest =
        (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).fold(0.0f64, |most, (i, j)| most.max(at(i, j).abs()));
    (0..n).all(|i| (0..i).all(|j| (at(i, j) - at(j, i)).abs() <= epsilon * largest))
}

/// A difference that comes from rounding.
fn rounding<T: Real>() -> f64 {
    if size_of::<T>() == 4 { 1e-4 } else { 1e-10 }
}

fn expect_symmetric<T: Real>(a: &Matrices, i: usize, matrix: MatRef<'_, T>) -> Result<()> {
    if is_symmetric(matrix, rounding::<T>()) {
        return Ok(());
    }
    Err(a.fault(i, "is not symmetric", "the mean of it and its transpose is"))
}

fn choleskies<T: Real>(a: &Matrices) -> Result<Tensor> {
    let mut elements = Vec::with_capacity(a.host.elements());
    a.each::<T, _>(|i, matrix| {
        expect_symmetric(a, i, matrix)?;
        let llt = matrix.llt(Side::Lower).map_err(|_| {
            let way_out = "a small multiple of the identity matrix added to it makes one of rounding positive definite";
            a.fault(i, "is not positive definite", way_out)
        })?;
        append(&mut elements, llt.L());
        Ok(())
    })?;
    a.tensor(elements, &[a.n, a.n])
}

fn qrs<T: Real>(a: &Matrices) -> Result<(Tensor, Tensor)> {
    let (mut q, mut r) = (Vec::new(), Vec::new());
    a.each::<T, _>(|_, matrix| {
        let qr = matrix.qr();
        append(&mut q, qr.compute_thin_Q().as_ref());
        append(&mut r, qr.thin_R());
        Ok(())
    })?;
    let size = a.m.min(a.n);
    Ok((a.tensor(q, &[a.m, size])?, a.tensor(r, &[size, a.n])?))
}

fn svds<T: Real>(a: &Matrices) -> Result<(Tensor, Tensor, Tensor)> {
    let size = a.m.min(a.n);
    let (mut u, mut s, mut v) = (Vec::new(), Vec::new(), Vec::new());
    a.each::<T, _>(|i, matrix| {
        let svd = matrix.thin_svd().map_err(|_| a.fault(i, "does not converge", "scale it, or compute in f64"))?;
        append(&mut u, svd.U());
        s.extend((0..size).map(|k| svd.S().column_vector()[k]));
        append(&mut v, svd.V().transpose());
        Ok(())
    })?;
    Ok((a.tensor(u, &[a.m, size])?, a.tensor(s, &[size])?, a.tensor(v, &[size, a.n])?))
}

fn eigen<T: Real>(a: &Matrices) -> Result<(Tensor, Tensor)> {
    let (mut values, mut vectors) = (Vec::new(), Vec::new());
    a.each::<T, _>(|i, matrix| {
        if a.n == 0 {
            return Ok(()); // faer takes none
        }
        expect_symmetric(a, i, matrix)?;
        let eigen = matrix
            .self_adjoint_eigen(Side::Lower)
            .map_err(|_| a.fault(i, "does not converge", "scale it, or compute in f64"))?;
        values.extend((0..a.n).map(|k| eigen.S().column_vector()[k]));
        append(&mut vectors, eigen.U());
        Ok(())
    })?;
    Ok((a.tensor(values, &[a.n])?, a.tensor(vectors, &[a.n, a.n])?))
}

impl Tensor {
    /// The lower triangle L with L·Lᵀ = A, of symmetric positive definite matrices (…, n, n) of f32 or f64. Feature `linalg`; computed on
    /// the host.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let a = Tensor::from_slice(&[4.0f64, 2.0, 2.0, 5.0], [2, 2], &Device::cpu())?;
    /// assert_eq!(a.cholesky()?.to_vec::<f64>()?, [2.0, 0.0, 1.0, 2.0]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Matrices that are not square, not symmetric, not positive definite, or hold NaN or infinite numbers; another dtype.
    pub fn cholesky(&self) -> Result<Tensor> {
        let a = Matrices::square("cholesky", self)?;
        of_dtype!(self.dtype(), choleskies(&a))
    }

    /// Q (…, m, r) with orthonormal columns and R (…, r, n), an upper triangle, with Q·R = A, of matrices (…, m, n) of f32 or f64; r is the
    /// smaller of m and n. The signs of R's diagonal are not fixed. Feature `linalg`; computed on the host.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let a = Tensor::from_slice(&[3.0f64, 1.0, 4.0, 2.0], [2, 2], &Device::cpu())?;
    /// let (q, r) = a.qr()?;
    /// let again = q.matmul(&r)?.to_vec::<f64>()?;
    /// assert!(again.iter().zip([3.0, 1.0, 4.0, 2.0]).all(|(x, y)| (x - y).abs() < 1e-12));
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Matrices that hold NaN or infinite numbers; another dtype.
    pub fn qr(&self) -> Result<(Tensor, Tensor)> {
        let a = Matrices::new("qr", self)?;
        of_dtype!(self.dtype(), qrs(&a))
    }

    /// The singular value decomposition U·diag(S)·Vᵀ = A of matrices (…, m, n) of f32 or f64: U (…, m, r), the singular values S (…, r) from
    /// the largest down, and Vᵀ (…, r, n); r is the smaller of m and n. Feature `linalg`; computed on the host.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let a = Tensor::from_slice(&[0.0f64, 2.0, -3.0, 0.0], [2, 2], &Device::cpu())?;
    /// let (u, s, vt) = a.svd()?;
    /// assert!(s.to_vec::<f64>()?.iter().zip([3.0, 2.0]).all(|(x, y)| (x - y).abs() < 1e-12));
    /// assert_eq!((u.dims(), vt.dims()), (&[2, 2][..], &[2, 2][..]));
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Matrices that hold NaN or infinite numbers; another dtype; iterations that do not converge.
    pub fn svd(&self) -> Result<(Tensor, Tensor, Tensor)> {
        let a = Matrices::new("svd", self)?;
        of_dtype!(self.dtype(), svds(&a))
    }

    /// The eigenvalues (…, n) of symmetric matrices (…, n, n) of f32 or f64, from the smallest up, and the orthonormal eigenvectors
    /// (…, n, n), a column each. Feature `linalg`; computed on the host.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let a = Tensor::from_slice(&[2.0f64, 1.0, 1.0, 2.0], [2, 2], &Device::cpu())?;
    /// let (values, _) = a.eigh()?;
    /// assert!(values.to_vec::<f64>()?.iter().zip([1.0, 3.0]).all(|(x, y)| (x - y).abs() < 1e-12));
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Matrices that are not square, not symmetric, or hold NaN or infinite numbers; another dtype; iterations that do not converge.
    pub fn eigh(&self) -> Result<(Tensor, Tensor)> {
        let a = Matrices::square("eigh", self)?;
        of_dtype!(self.dtype(), eigen(&a))
    }
}
