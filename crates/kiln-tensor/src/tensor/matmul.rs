//! Matrix products.

use super::{Tensor, check_pair};
use crate::{Epilogue, Error, MAX_RANK, Result, Shape, UnaryCall, broadcast_shapes, unsupported_dtype};

/// What is done with a product's elements before they are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct MatmulOptions<'a> {
    /// (n,), added to each row.
    pub bias: Option<&'a Tensor>,
    /// Applied last.
    pub activation: Option<UnaryCall>,
}

#[cold]
fn do_not_multiply(a: &Tensor, b: &Tensor) -> Error {
    Error::shape(
        "matmul",
        format!(
            "{} and {} cannot be multiplied: the last axis of the first must be as long as the second-last of the second",
            a.shape(),
            b.shape()
        ),
    )
}

#[cold]
fn batches_differ(a: &Tensor, b: &Tensor) -> Error {
    Error::shape(
        "matmul",
        format!(
            "{} and {} cannot be multiplied: the axes before the last two must be equal or 1, as in broadcasting",
            a.shape(),
            b.shape()
        ),
    )
}

impl Tensor {
    /// The matrix product by NumPy's rule: the last two axes are multiplied, those before are broadcast; a vector is a row
    /// on the left and a column on the right. Transposed and broadcast operands are read where they lie.
    ///
    /// # Errors
    /// Inner sizes that differ, batch axes that do not broadcast, dtypes or devices that differ, a dtype that is not a float type.
    #[inline]
    pub fn matmul(&self, other: &Tensor) -> Result<Tensor> {
        if self.rank() == 1 && self.shape() == other.shape() {
            check_pair("matmul", self, other)?;
            if self.dtype.is_float() {
                return self.dot(other);
            }
        }
        self.matmul_with(other, MatmulOptions::default())
    }

    /// activation(self · other + bias), in one pass.
    ///
    /// # Errors
    /// As [`Tensor::matmul`], and a bias that is not of shape (n,).
    pub fn matmul_with(&self, other: &Tensor, options: MatmulOptions<'_>) -> Result<Tensor> {
        check_pair("matmul", self, other)?;
        match (self.rank(), other.rank()) {
            (0, _) | (_, 0) => return Err(do_not_multiply(self, other)),
            (1, 1) => return self.unsqueeze(0)?.matmul_with(&other.unsqueeze(1)?, options)?.reshape(()),
            (1, n) => return self.unsqueeze(0)?.matmul_with(other, options)?.squeeze(n - 2),
            (n, 1) => return self.matmul_with(&other.unsqueeze(1)?, options)?.squeeze(n - 1),
            _ => {}
        }
        if !self.dtype.is_float() {
            return Err(unsupported_dtype("matmul", self.dtype, "f32, f64, f16 or bf16"));
        }
        let (a_batch, a) = self.dims().split_at(self.rank() - 2);
        let (b_batch, b) = other.dims().split_at(other.rank() - 2);
        let (m, k, n) = (a[0], a[1], b[1]);
        if k != b[0] {
            return Err(do_not_multiply(self, other));
        }
        if let Some(bias) = options.bias {
            check_pair("matmul", self, bias)?;
            if bias.dims() != [n] {
                return Err(Error::shape(
                    "matmul",
                    format!("a bias for {n} columns has shape ({n},), got {}", bias.shape()),
                ));
            }
        }
        let epilogue =
            Epilogue { bias: options.bias.map(Tensor::view), activation: options.activation, accumulate: false };
        if a_batch.is_empty() && b_batch.is_empty() {
            let out = Tensor::output(&Shape::new(&[m, n])?, self.dtype, self.device())?;
            self.device().matmul(out.out(), self.view(), other.view(), epilogue)?;
            return Ok(out);
        }
        let batch = broadcast_shapes("matmul", &Shape::new(a_batch)?, &Shape::new(b_batch)?)
            .map_err(|_| batches_differ(self, other))?;
        let with_batch = |rows: usize, columns: usize| {
            let mut dims = [0; MAX_RANK];
            dims[..batch.rank()].copy_from_slice(&batch);
            (dims[batch.rank()], dims[batch.rank() + 1]) = (rows, columns);
            Shape::new(&dims[..batch.rank() + 2])
        };
        let (a, b) = (self.broadcast_to(with_batch(m, k)?)?, other.broadcast_to(with_batch(k, n)?)?);
        let out = Tensor::output(&with_batch(m, n)?, self.dtype, self.device())?;
        self.device().matmul(out.out(), a.view(), b.view(), epilogue)?;
        Ok(out)
    }

    /// self += a · b, the blocks of each element's sum added in order. The batch axes of a and b broadcast to those of self.
    ///
    /// # Errors
    /// As [`Tensor::matmul`], and a self of another shape than the product's.
    pub fn add_matmul(&mut self, a: &Tensor, b: &Tensor) -> Result<()> {
        check_pair("add_matmul", self, a)?;
        check_pair("add_matmul", a, b)?;
        let no_product = || {
            Error::shape(
                "add_matmul",
                format!("{} does not take the product of {} and {}", self.shape(), a.shape(), b.shape()),
            )
        };
        let (Some((batch, to)), Some((_, from)), Some((_, by))) =
            (self.dims().split_last_chunk::<2>(), a.dims().split_last_chunk::<2>(), b.dims().split_last_chunk::<2>())
        else {
            return Err(no_product());
        };
        if from[1] != by[0] || *to != [from[0], by[1]] {
            return Err(no_product());
        }
        if !self.dtype.is_float() {
            return Err(unsupported_dtype("add_matmul", self.dtype, "f32, f64, f16 or bf16"));
        }
        let over = |x: &Tensor, matrix: &[usize; 2]| x.broadcast_to([batch, matrix].concat()).map_err(|_| no_product());
        let (a, b) = (over(a, from)?, over(b, by)?);
        self.own()?;
        let epilogue = Epilogue { accumulate: true, ..Epilogue::default() };
        self.device().matmul(self.out(), a.view(), b.view(), epilogue)
    }
}
