//! Matrix products: one launch for each matrix of a batch.

use super::Gpu;
use super::operand::{Operand, computed_in, flag_of, sizes};
use crate::machine::Machine;
use gpu_kernels::matmul::{ACCUMULATE, BIAS, Size, matmul_64_f32, matmul_128_f32, matmul_f32, matmul_f64};
use kiln_tensor::{DType, Epilogue, Layout, Out, Result, View, unsupported_dtype};

/// One matrix: the memory it is in, its first element there, and its strides from row to row and from column to column.
pub(super) struct Matrix<'o, 'g, M: Machine> {
    pub(super) memory: &'o Operand<'g, M>,
    pub(super) start: i64,
    pub(super) row: i64,
    pub(super) column: i64,
}

impl<M: Machine> Clone for Matrix<'_, '_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: Machine> Copy for Matrix<'_, '_, M> {}

impl<'o, 'g, M: Machine> Matrix<'o, 'g, M> {
    /// Columns that are neighbours, rows that are so far apart.
    pub(super) fn rows(memory: &'o Operand<'g, M>, start: usize, row: usize) -> Self {
        Matrix { memory, start: start as i64, row: row as i64, column: 1 }
    }
}

/// A factor: its elements, and where those of each matrix of the batch are.
struct Factor<'g, M: Machine> {
    memory: Operand<'g, M>,
    layout: Layout,
}

impl<'g, M: Machine> Factor<'g, M> {
    /// Where matrix `index` of the batch begins.
    fn start(&self, index: usize) -> i64 {
        let rank = self.layout.shape().rank();
        let (mut rest, mut start) = (index, self.layout.offset() as i64);
        for axis in (0..rank - 2).rev() {
            let size = self.layout.shape()[axis];
            start += (rest % size) as i64 * self.layout.strides()[axis] as i64;
            rest /= size;
        }
        start
    }

    /// Matrix `index` of the batch.
    fn matrix(&self, index: usize) -> Matrix<'_, 'g, M> {
        let strides = self.layout.strides();
        let [row, column] = [2, 1].map(|from_end| strides[strides.len() - from_end] as i64);
        Matrix { memory: &self.memory, start: self.start(index), row, column }
    }
}

impl<M: Machine> Gpu<M> {
    /// An operand that kernels read by strides: where it lies, or of a half type as rows of f32.
    fn factor(&self, x: &View<'_>) -> Result<Factor<'_, M>> {
        if computed_in(x.dtype) == x.dtype {
            return Ok(Factor { memory: self.whole(x.buffer, x.dtype), layout: *x.layout });
        }
        Ok(Factor { memory: self.numbers(x)?, layout: Layout::contiguous(*x.layout.shape()) })
    }

    pub(super) fn product(&self, out: &Out<'_>, a: &View<'_>, b: &View<'_>, epilogue: &Epilogue<'_>) -> Result<()> {
        self.sound()?;
        let dtype = computed_in(out.dtype);
        if !matches!(dtype, DType::F32 | DType::F64) {
            return Err(unsupported_dtype("matmul", out.dtype, "f32, f64, f16 or bf16"));
        }
        let &[.., m, n] = &out.shape[..] else { return Ok(()) };
        let k = a.layout.shape()[a.layout.shape().rank() - 1];
        if out.elements() == 0 {
            return Ok(());
        }
        let (a, b) = (self.factor(a)?, self.factor(b)?);
        let bias = epilogue.bias.as_ref().map(|bias| self.factor(bias)).transpose()?;
        let (relu, after) = flag_of(epilogue.activation);
        let flags = relu | if epilogue.accumulate { ACCUMULATE } else { 0 } | if bias.is_some() { BIAS } else { 0 };
        let absent = self.absent();
        let bias = bias.as_ref().map_or(Matrix::rows(&absent, 0, 0), |bias| Matrix {
            memory: &bias.memory,
            start: bias.layout.offset() as i64,
            row: 0,
            column: bias.layout.strides().last().map_or(0, |&step| step as i64),
        });
        let run = |to: &Operand<'_, M>| {
            if epilogue.accumulate && dtype != out.dtype {
                self.convert(to, dtype, &self.target(out), out.dtype)?;
            }
            for index in 0..out.elements() / (m * n) {
                let y = Matrix::rows(to, index * m * n, n);
                self.one_product(dtype, [m, n, k], y, [a.matrix(index), b.matrix(index)], bias, flags)?;
            }
            after.map_or(Ok(()), |call| self.unary_rows(call, to, to, dtype))
        };
        self.computing(out, run)
    }

    /// y (m, n) = epilogue(a (m, k) · b (k, n)) in the type that is computed in; columns of y are neighbours.
    pub(super) fn one_product(
        &self,
        dtype: DType,
        [m, n, k]: [usize; 3],
        y: Matrix<'_, '_, M>,
        [a, b]: [Matrix<'_, '_, M>; 2],
        bias: Matrix<'_, '_, M>,
        flags: u32,
    ) -> Result<()> {
        let tiles = if dtype == DType::F32 { Size::of(m, n) } else { Size::Small };
        let shape = tiles.geometry(m, n, dtype.size());
        let ([m, n, k], [y_row]) = (sizes([m, n, k]), sizes([y.row as usize]));
        macro_rules! launch {
            ($kernel:ident) => {
                $kernel::launch(
                    self,
                    shape,
                    y.memory.slice_mut(),
                    y.start as u64,
                    y_row,
                    a.memory.slice(),
                    a.start,
                    a.row,
                    a.column,
                    b.memory.slice(),
                    b.start,
                    b.row,
                    b.column,
                    bias.memory.slice(),
                    bias.start,
                    bias.column,
                    m,
                    n,
                    k,
                    flags,
                )
            };
        }
        self.launched(match (dtype, tiles) {
            (DType::F64, _) => launch!(matmul_f64),
            (_, Size::Small) => launch!(matmul_f32),
            (_, Size::Medium) => launch!(matmul_64_f32),
            (_, Size::Large) => launch!(matmul_128_f32),
        })
    }
}
