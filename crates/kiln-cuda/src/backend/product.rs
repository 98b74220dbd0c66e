//! Matrix products: one launch for all matrices of a batch.

use super::dispatch::by_float;
use super::operand::{Operand, computed_in, flag_of, float, sizes};
use crate::counts::countable;
use crate::gpu::Gpu;
use crate::machine::Machine;
use crate::tile::{OF_MATRIX, tile};
use cuda_std::DeviceCopy;
use gpu_kernels::matmul::{self, ACCUMULATE, BATCH_AXES, BIAS};
use kiln_tensor::{DType, Epilogue, Layout, Out, Result, View};

/// Matrices that one launch multiplies at most: the blocks that a grid may have along its third axis.
const MOST: usize = 65_535;

/// One matrix, or those of a batch: the memory they are in, the first element there, and the strides from row to row, from column to
/// column, and along the axes of the batch.
pub(super) struct Matrix<'o, 'g, M: Machine> {
    pub(super) memory: &'o Operand<'g, M>,
    pub(super) start: i64,
    pub(super) row: i64,
    pub(super) column: i64,
    pub(super) batch: [i64; BATCH_AXES],
}

impl<'o, 'g, M: Machine> Matrix<'o, 'g, M> {
    /// Columns that are neighbors, rows that are so far apart.
    pub(super) fn rows(memory: &'o Operand<'g, M>, start: usize, row: usize) -> Self {
        Matrix { memory, start: start as i64, row: row as i64, column: 1, batch: [0; BATCH_AXES] }
    }

    /// The last two axes of a layout, and what is before them.
    fn of(memory: &'o Operand<'g, M>, layout: &Layout) -> Self {
        let [lead @ .., row, column] = layout.strides() else { return Matrix::rows(memory, 0, 0) };
        let mut batch = [0; BATCH_AXES];
        for (axis, &stride) in lead.iter().enumerate().filter(|&(axis, _)| layout.shape()[axis] > 1) {
            batch[BATCH_AXES - lead.len() + axis] = stride as i64;
        }
        Matrix { memory, start: layout.offset() as i64, row: *row as i64, column: *column as i64, batch }
    }

    fn read<T: DeviceCopy>(&self) -> matmul::Matrix<T> {
        let &Matrix { memory, start, row, column, batch } = self;
        matmul::Matrix { elements: memory.read(), start, row, column, batch }
    }
}

/// Products y (m, n) = epilogue(a (m, k) · b (k, n)); columns of y are neighbors, and its matrices lie one after the other.
pub(super) struct Products<'o, 'g, M: Machine> {
    pub(super) sizes: [usize; 3],
    /// The axes by which the matrices are counted.
    pub(super) batch: [usize; BATCH_AXES],
    pub(super) y: Matrix<'o, 'g, M>,
    pub(super) factors: [Matrix<'o, 'g, M>; 2],
    /// A number for each column, at the stride of its columns.
    pub(super) bias: Matrix<'o, 'g, M>,
    pub(super) flags: u32,
}

impl<M: Machine> Gpu<M> {
    /// An operand that kernels read by strides: where it lies, or of a half type as rows of f32.
    fn factor(&self, x: &View<'_>) -> Result<(Operand<'_, M>, Layout)> {
        if computed_in(x.dtype) == x.dtype {
            return Ok((self.whole(x.buffer, x.dtype), *x.layout));
        }
        Ok((self.numbers(x)?, Layout::contiguous(*x.layout.shape())))
    }

    pub(super) fn product(&self, out: &Out<'_>, a: &View<'_>, b: &View<'_>, epilogue: &Epilogue<'_>) -> Result<()> {
        let dtype = float("matmul", out.dtype)?;
        let &[ref lead @ .., m, n] = &out.shape[..] else { return Ok(()) };
        let k = a.layout.shape()[a.layout.shape().rank() - 1];
        if out.elements() == 0 {
            return Ok(());
        }
        countable("matmul", [out.shape, a.layout.shape()])?;
        let mut batch = [1; BATCH_AXES];
        batch[BATCH_AXES - lead.len()..].copy_from_slice(lead);
        let ((a, a_layout), (b, b_layout)) = (self.factor(a)?, self.factor(b)?);
        let bias = epilogue.bias.as_ref().map(|bias| self.factor(bias)).transpose()?;
        let (relu, after) = flag_of(epilogue.activation);
        let flags = relu | if epilogue.accumulate { ACCUMULATE } else { 0 } | if bias.is_some() { BIAS } else { 0 };
        let absent = self.absent();
        self.computing(out, |to| {
            if epilogue.accumulate && dtype != out.dtype {
                self.convert(to, dtype, &self.target(out), out.dtype)?;
            }
            let y = Matrix::rows(to, 0, n);
            let factors = [Matrix::of(&a, &a_layout), Matrix::of(&b, &b_layout)];
            let bias = bias.as_ref().map_or(Matrix::rows(&absent, 0, 0), |(memory, layout)| {
                let column = layout.strides().last().map_or(0, |&step| step as i64);
                Matrix { column, ..Matrix::rows(memory, layout.offset(), 0) }
            });
            self.products(dtype, &Products { sizes: [m, n, k], batch, y, factors, bias, flags })?;
            after.map_or(Ok(()), |call| self.unary_rows(call, [to, to], dtype))
        })
    }

    /// Products in the type that is computed in.
    pub(super) fn products(&self, dtype: DType, products: &Products<'_, '_, M>) -> Result<()> {
        let &Products { sizes: shape, batch, ref y, factors: [ref a, ref b], ref bias, flags } = products;
        let (matrices, batch, [m, n, k]) = (batch.iter().product(), sizes(batch), sizes(shape));
        by_float!(dtype, T => {
            let each = tile::<matmul::matmul<T>>([shape[0], shape[1], matrices], OF_MATRIX, self.machine().properties());
            let (elements, start, apart) = (y.memory.write(), y.start as u64, (shape[0] * shape[1]) as u64);
            let y = matmul::Product { elements, start, row: y.row as u64, batch: apart };
            let bias = matmul::Bias { elements: bias.memory.read(), start: bias.start, step: bias.column };
            let (a, b) = (a.read(), b.read());
            (0..matrices).step_by(MOST).try_for_each(|done| {
                let [first] = sizes([done]);
                let product = matmul::matmul::<T> { y, a, b, bias, batch, first, m, n, k, flags };
                let grid = [shape[0], shape[1], MOST.min(matrices - done)];
                self.run_with(each, product, matmul::geometry(each, grid, dtype.size()))
            })
        })
    }
}
