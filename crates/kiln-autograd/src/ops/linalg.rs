//! Inverses, solutions, determinants and Cholesky's decomposition (feature `linalg`).

use crate::{Backward, Function, Var};
use kiln_tensor::{Result, Shape, Tensor};

/// The last two axes exchanged.
fn transposed(x: &Var) -> Result<Var> {
    x.transpose(-2, -1)
}

/// Y = A⁻¹; dA = −Yᵀ·dY·Yᵀ.
struct Inv(Tensor);

impl Function for Inv {
    fn name(&self) -> &'static str {
        "inv"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let y = transposed(&pass.output(&self.0))?;
        pass.accumulate(0, y.matmul(&dy)?.matmul(&y)?.neg()?)
    }
}

/// X = A⁻¹·B; dB = A⁻ᵀ·dX, dA = −dB·Xᵀ, summed over broadcast batch axes.
struct Solve {
    a: Tensor,
    b: Shape,
    x: Tensor,
}

impl Function for Solve {
    fn name(&self) -> &'static str {
        "solve"
    }
    fn backward(&self, dx: Var, pass: &mut Backward<'_>) -> Result<()> {
        let db = transposed(&pass.input(0, &self.a))?.solve(&dx)?;
        if pass.needs(0) {
            let da = db.matmul(&transposed(&pass.output(&self.x))?)?.neg()?;
            pass.accumulate(0, da.sum_to(self.a.shape())?)?;
        }
        pass.accumulate(1, db.sum_to(&self.b)?)
    }
}

/// y = det A; dA = dy·y·A⁻ᵀ.
struct Det {
    a: Tensor,
    y: Tensor,
}

impl Function for Det {
    fn name(&self) -> &'static str {
        "det"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let scale = dy.mul(&pass.output(&self.y))?.unsqueeze(-1)?.unsqueeze(-1)?;
        let da = transposed(&pass.input(0, &self.a).inv()?)?.mul(&scale)?;
        pass.accumulate(0, da)
    }
}

/// y = ln |det A|; dA = dy·A⁻ᵀ.
struct LogDet(Tensor);

impl Function for LogDet {
    fn name(&self) -> &'static str {
        "slogdet"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let inverse = transposed(&pass.input(0, &self.0).inv()?)?;
        pass.accumulate(0, inverse.mul(&dy.unsqueeze(-1)?.unsqueeze(-1)?)?)
    }
}

/// L·Lᵀ = A. With S = L⁻ᵀ·Φ(Lᵀ·dL)·L⁻¹, where Φ keeps the lower triangle and halves the diagonal, dA = (S + Sᵀ)/2 (I. Murray,
/// Differentiation of the Cholesky decomposition).
struct Cholesky(Tensor);

impl Function for Cholesky {
    fn name(&self) -> &'static str {
        "cholesky"
    }
    fn backward(&self, dl: Var, pass: &mut Backward<'_>) -> Result<()> {
        let l = pass.output(&self.0);
        let lt = transposed(&l)?;
        let n = self.0.dims()[self.0.rank() - 1];
        let kept: Vec<f64> = (0..n * n)
            .map(|place| match (place / n).cmp(&(place % n)) {
                std::cmp::Ordering::Less => 0.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Greater => 1.0,
            })
            .collect();
        let kept = Tensor::from_slice(&kept, [n, n], self.0.device())?.to_dtype(self.0.dtype())?;
        let half = lt.matmul(&dl)?.mul(&Var::constant(kept))?;
        // L⁻ᵀ·Φ, and that times L⁻¹: the transpose of L⁻ᵀ times its transpose.
        let s = lt.solve(&transposed(&lt.solve(&half)?)?)?;
        pass.accumulate(0, s.add(&transposed(&s)?)?.mul_scalar(0.5)?)
    }
}

impl Var {
    /// The inverses of matrices (…, n, n): Y = A⁻¹. As [`Tensor::inv`]; dA = −Yᵀ·dY·Yᵀ.
    ///
    /// # Errors
    /// As [`Tensor::inv`].
    pub fn inv(&self) -> Result<Var> {
        let y = self.tensor().inv()?;
        Ok(Var::record(&[self], y, |y| Inv(y.clone())))
    }

    /// x with A·x = b, for matrices A (…, n, n) and right sides b (…, n, k), or (n,). As [`Tensor::solve`]; db = A⁻ᵀ·dx, dA = −db·xᵀ.
    ///
    /// ```
    /// # use kiln_autograd::Var;
    /// # use kiln_tensor::{Device, Tensor};
    /// let a = Var::variable(Tensor::from_slice(&[2.0f64, 0.0, 0.0, 4.0], [2, 2], &Device::cpu())?);
    /// let b = Var::constant(Tensor::from_slice(&[2.0f64, 4.0], [2], &Device::cpu())?);
    /// let gradients = a.solve(&b)?.sum_all()?.backward()?;
    /// assert_eq!(gradients.of(&a).unwrap().to_vec::<f64>()?, [-0.5, -0.5, -0.25, -0.25]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::solve`].
    pub fn solve(&self, b: &Var) -> Result<Var> {
        if b.shape().rank() == 1 {
            return self.solve(&b.unsqueeze(1)?)?.squeeze(-1);
        }
        let x = self.tensor().solve(b.tensor())?;
        let function = |x: &Tensor| Solve { a: self.tensor().clone(), b: *b.shape(), x: x.clone() };
        Ok(Var::record(&[self, b], x, function))
    }

    /// The determinants of matrices (…, n, n): y (…). As [`Tensor::det`]; dA = dy·y·A⁻ᵀ, which a singular matrix does not have.
    ///
    /// # Errors
    /// As [`Tensor::det`]; the gradient of a singular matrix.
    pub fn det(&self) -> Result<Var> {
        let y = self.tensor().det()?;
        Ok(Var::record(&[self], y, |y| Det { a: self.tensor().clone(), y: y.clone() }))
    }

    /// The sign of the determinants of matrices (…, n, n), which has no slope, and y = ln of their sizes (…). As [`Tensor::slogdet`];
    /// dA = dy·A⁻ᵀ.
    ///
    /// # Errors
    /// As [`Tensor::slogdet`]; the gradient of a singular matrix.
    pub fn slogdet(&self) -> Result<(Var, Var)> {
        let (sign, y) = self.tensor().slogdet()?;
        Ok((Var::constant(sign), Var::record(&[self], y, |_| LogDet(self.tensor().clone()))))
    }

    /// The lower triangle L with L·Lᵀ = A, of symmetric positive definite matrices (…, n, n). As [`Tensor::cholesky`]; the gradient is
    /// that of symmetric changes of A, a symmetric matrix itself.
    ///
    /// # Errors
    /// As [`Tensor::cholesky`].
    pub fn cholesky(&self) -> Result<Var> {
        let y = self.tensor().cholesky()?;
        Ok(Var::record(&[self], y, |l| Cholesky(l.clone())))
    }
}
