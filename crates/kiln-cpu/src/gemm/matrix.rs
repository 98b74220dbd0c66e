//! Products of matrices in slices: the checked surface.

use super::{GemmEpilogue, MatrixElement, Product, Segment, gemm};
use crate::gemm::Bias;
use crate::isa::Isa;
use std::fmt;

/// A matrix to be read: elements of a slice at a row and a column stride.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    shape: (usize, usize),
    strides: (isize, isize),
    start: usize,
}

/// A matrix to be written: distinct elements of a slice at a row and a column stride.
#[derive(Debug)]
pub struct MatrixMut<'a, T> {
    data: &'a mut [T],
    shape: (usize, usize),
    strides: (isize, isize),
    start: usize,
}

/// Sizes and strides that do not fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError(String);

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ShapeError {}

impl<'a, T> Matrix<'a, T> {
    /// A `rows` × `cols` matrix stored row by row.
    pub fn row_major(data: &'a [T], rows: usize, cols: usize) -> Result<Self, ShapeError> {
        Self::strided(data, 0, (rows, cols), (cols as isize, 1))
    }

    /// The matrix whose element (i, j) is `data[start + i·strides.0 + j·strides.1]`.
    pub fn strided(
        data: &'a [T],
        start: usize,
        shape: (usize, usize),
        strides: (isize, isize),
    ) -> Result<Self, ShapeError> {
        check(data.len(), start, shape, strides)?;
        Ok(Matrix { data, shape, strides, start })
    }

    /// The transposed matrix: the same elements, nothing moved.
    pub fn t(self) -> Self {
        let ((rows, cols), (row, col)) = (self.shape, self.strides);
        Matrix { shape: (cols, rows), strides: (col, row), ..self }
    }
}

impl<'a, T> MatrixMut<'a, T> {
    /// A `rows` × `cols` matrix stored row by row.
    pub fn row_major(data: &'a mut [T], rows: usize, cols: usize) -> Result<Self, ShapeError> {
        Self::strided(data, 0, (rows, cols), (cols as isize, 1))
    }

    /// The matrix whose element (i, j) is `data[start + i·strides.0 + j·strides.1]`. No two may be the same one.
    pub fn strided(
        data: &'a mut [T],
        start: usize,
        shape: (usize, usize),
        strides: (isize, isize),
    ) -> Result<Self, ShapeError> {
        check(data.len(), start, shape, strides)?;
        let ((rows, cols), (row, col)) = (shape, (strides.0.unsigned_abs(), strides.1.unsigned_abs()));
        // One dimension's steps reach over the whole of the other's, or there are no steps.
        let steps = |n: usize, stride: usize| n.saturating_sub(1).saturating_mul(stride);
        let distinct = (rows <= 1 || row > steps(cols, col)) && (cols <= 1 || col > 0)
            || (cols <= 1 || col > steps(rows, row)) && (rows <= 1 || row > 0);
        if !distinct {
            return Err(ShapeError(format!("a {rows}×{cols} output with strides {strides:?} would overlap itself")));
        }
        Ok(MatrixMut { data, shape, strides, start })
    }
}

/// Whether every element of the matrix lies within the slice.
fn check(len: usize, start: usize, shape: (usize, usize), strides: (isize, isize)) -> Result<(), ShapeError> {
    if shape.0 == 0 || shape.1 == 0 {
        return Ok(());
    }
    let reach = |n: usize, stride: isize| (n as i128 - 1) * stride as i128;
    let (r, c) = (reach(shape.0, strides.0), reach(shape.1, strides.1));
    let (low, high) = (start as i128 + r.min(0) + c.min(0), start as i128 + r.max(0) + c.max(0));
    if low < 0 || high >= len as i128 {
        return Err(ShapeError(format!(
            "a {}×{} matrix at {start} with strides {strides:?} reaches from {low} to {high}, its slice has {len} elements",
            shape.0, shape.1
        )));
    }
    Ok(())
}

/// `C = activation([C +] A·B + bias)` over slices.
///
/// Errors where the sizes of A, B, C and the bias do not fit together; C is then unchanged.
pub fn matmul<T: MatrixElement, U: MatrixElement<Accumulator = T::Accumulator>>(
    isa: Isa,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    c: MatrixMut<'_, U>,
    epilogue: GemmEpilogue<'_, T::Accumulator>,
) -> Result<(), ShapeError> {
    let ((m, k), n) = (a.shape, b.shape.1);
    if b.shape.0 != k || c.shape != (m, n) {
        return Err(ShapeError(format!("{m}×{k} times {}×{n} does not give {}×{}", b.shape.0, c.shape.0, c.shape.1)));
    }
    let bias = match epilogue.bias {
        Bias::None => None,
        Bias::Row(bias) => Some((bias.len(), n)),
        Bias::Column(bias) => Some((bias.len(), m)),
    };
    if let Some((has, needs)) = bias.filter(|(has, needs)| has != needs) {
        return Err(ShapeError(format!("a {m}×{n} product's bias needs {needs} numbers, not {has}")));
    }
    let (a_at, b_at) = (a.data.as_ptr().wrapping_add(a.start), b.data.as_ptr().wrapping_add(b.start));
    let product = Product {
        rows: m,
        cols: n,
        segments: &[Segment { a: a_at, b: b_at, k }],
        a_strides: a.strides,
        b_strides: b.strides,
        c: c.data.as_mut_ptr().wrapping_add(c.start),
        c_strides: c.strides,
        epilogue,
    };
    // SAFETY: `check` proved that all elements lie within their slices; C's are distinct, and its slice is exclusive.
    unsafe { gemm(isa, &product) };
    Ok(())
}
