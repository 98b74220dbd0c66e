//! Inverses, solutions and determinants, by the LU decomposition with partial pivoting.

use super::{Matrices, Real, append, of_dtype};
use crate::tensor::check_pair;
use crate::{Error, Result, Shape, Tensor, broadcast_shapes};
use faer::linalg::solvers::{PartialPivLu, Solve};
use faer::{Mat, MatRef};

/// The decomposition of matrix `i`, which has an inverse.
fn regular<T: Real>(matrices: &Matrices, i: usize, matrix: MatRef<'_, T>) -> Result<PartialPivLu<T>> {
    let lu = matrix.partial_piv_lu();
    let u = lu.U();
    if (0..u.nrows()).any(|k| u[(k, k)].to_f64() == 0.0) {
        return Err(matrices.fault(i, "is singular, it has no inverse", "`lstsq` and `pinv` take any matrix"));
    }
    Ok(lu)
}

/// The sign of the exchanges of rows, and the pivots: the determinant is the product of both.
fn pivots<T: Real>(matrix: MatRef<'_, T>) -> (f64, Vec<f64>) {
    let lu = matrix.partial_piv_lu();
    let mut places: Vec<usize> = lu.P().arrays().0.to_vec();
    let mut sign = 1.0;
    for i in 0..places.len() {
        while places[i] != i {
            let to = places[i];
            places.swap(i, to);
            sign = -sign;
        }
    }
    (sign, (0..matrix.nrows()).map(|k| lu.U()[(k, k)].to_f64()).collect())
}

fn inverse<T: Real>(a: &Matrices) -> Result<Tensor> {
    let mut elements = Vec::with_capacity(a.host.elements());
    a.each::<T, _>(|i, matrix| {
        let lu = regular(a, i, matrix)?;
        append(&mut elements, lu.solve(Mat::<T>::identity(a.n, a.n)).as_ref());
        Ok(())
    })?;
    a.tensor(elements, &[a.n, a.n])
}

/// The solutions of as many right sides; one matrix may be for all.
fn solutions<T: Real>(a: &Matrices, b: &Matrices) -> Result<Tensor> {
    let decompositions = a.each::<T, _>(|i, matrix| regular(a, i, matrix))?;
    let mut elements = Vec::with_capacity(b.host.elements());
    b.each::<T, _>(|i, right| {
        let lu = &decompositions[if decompositions.len() == 1 { 0 } else { i }];
        append(&mut elements, lu.solve(right).as_ref());
        Ok(())
    })?;
    b.tensor(elements, &[a.n, b.n])
}

fn determinants<T: Real>(a: &Matrices) -> Result<Tensor> {
    let elements = a.each::<T, _>(|_, matrix| {
        let (sign, pivots) = pivots(matrix);
        Ok(T::from_f64(pivots.iter().fold(sign, |product, pivot| product * pivot)))
    })?;
    a.tensor(elements, &[])
}

fn signs_and_logs<T: Real>(a: &Matrices) -> Result<(Tensor, Tensor)> {
    let (mut signs, mut logs) = (Vec::with_capacity(a.count()), Vec::with_capacity(a.count()));
    a.each::<T, _>(|_, matrix| {
        let (sign, pivots) = pivots(matrix);
        let singular = pivots.contains(&0.0);
        signs.push(T::from_f64(if singular {
            0.0
        } else {
            pivots.iter().fold(sign, |sign, pivot| sign * pivot.signum())
        }));
        logs.push(T::from_f64(pivots.iter().map(|pivot| pivot.abs().ln()).sum()));
        Ok(())
    })?;
    Ok((a.tensor(signs, &[])?, a.tensor(logs, &[])?))
}

impl Tensor {
    /// The inverses of matrices (…, n, n) of f32 or f64. Feature `linalg`; computed on the host.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let a = Tensor::from_slice(&[2.0f64, 0.0, 1.0, 4.0], [2, 2], &Device::cpu())?;
    /// assert_eq!(a.inv()?.to_vec::<f64>()?, [0.5, 0.0, -0.125, 0.25]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Matrices that are not square, are singular, or hold NaN or infinite numbers; another dtype.
    pub fn inv(&self) -> Result<Tensor> {
        let a = Matrices::square("inv", self)?;
        of_dtype!(self.dtype(), inverse(&a))
    }

    /// x with A·x = b, for matrices A (…, n, n) of f32 or f64 and right sides b (…, n, k), or (n,); axes before the last two broadcast.
    /// More exact, and quicker, than the product with the inverse. Feature `linalg`; computed on the host.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let a = Tensor::from_slice(&[2.0f64, 1.0, 1.0, 3.0], [2, 2], &Device::cpu())?;
    /// let b = Tensor::from_slice(&[5.0f64, 10.0], [2], &Device::cpu())?;
    /// assert_eq!(a.solve(&b)?.to_vec::<f64>()?, [1.0, 3.0]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Matrices that are not square, are singular, or hold NaN or infinite numbers; sizes that do not fit; another dtype; dtypes or
    /// devices that differ.
    pub fn solve(&self, b: &Tensor) -> Result<Tensor> {
        check_pair("solve", self, b)?;
        if b.rank() == 1 {
            return self.solve(&b.unsqueeze(1)?)?.squeeze(-1);
        }
        let a = Matrices::square("solve", self)?;
        let [rows, columns] = match b.dims().last_chunk::<2>() {
            Some(&last) if last[0] == a.n => last,
            _ => {
                let message = format!(
                    "{} and {} are no system: right sides (…, {}, k) or ({},) are expected",
                    self.shape(),
                    b.shape(),
                    a.n,
                    a.n
                );
                return Err(Error::shape("solve", message));
            }
        };
        let batch = broadcast_shapes("solve", &Shape::new(a.batch())?, &Shape::new(&b.dims()[..b.rank() - 2])?)?;
        let b = Matrices::new("solve", &b.broadcast_to([&batch[..], &[rows, columns]].concat())?)?;
        let a = if a.count() == 1 {
            a
        } else {
            Matrices::square("solve", &a.host.broadcast_to([&batch[..], &[rows, rows]].concat())?)?
        };
        of_dtype!(self.dtype(), solutions(&a, &b))?.to_device(self.device())
    }

    /// The determinants of matrices (…, n, n) of f32 or f64: (…). Feature `linalg`; computed on the host. Where it may leave the range
    /// of its type, take [`Tensor::slogdet`].
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let a = Tensor::from_slice(&[2.0f64, 1.0, 1.0, 3.0], [2, 2], &Device::cpu())?;
    /// assert_eq!(a.det()?.item()?, 5.0);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Matrices that are not square, or hold NaN or infinite numbers; another dtype.
    pub fn det(&self) -> Result<Tensor> {
        let a = Matrices::square("det", self)?;
        of_dtype!(self.dtype(), determinants(&a))
    }

    /// The sign of the determinants of matrices (…, n, n) of f32 or f64, and ln of their sizes, each (…): 0 and −∞ of a singular matrix.
    /// Feature `linalg`; computed on the host.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let a = Tensor::eye(400, kiln_tensor::DType::F32, &Device::cpu())?.mul_scalar(-10.0)?;
    /// let (sign, log) = a.slogdet()?;
    /// assert_eq!(sign.item()?, 1.0);
    /// assert!((log.item()? - 400.0 * 10f64.ln()).abs() < 1e-3);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::det`].
    pub fn slogdet(&self) -> Result<(Tensor, Tensor)> {
        let a = Matrices::square("slogdet", self)?;
        of_dtype!(self.dtype(), signs_and_logs(&a))
    }
}
