//! Matrix products: one launch for each matrix of a batch.

use super::Gpu;
use super::operand::{Operand, computed_in, flag_of};
use crate::machine::Machine;
use gpu_kernels::matmul::{ACCUMULATE, BIAS, Size, matmul_64_f32, matmul_128_f32, matmul_f32, matmul_f64};
use kiln_tensor::{DType, Epilogue, Layout, Out, Result, View, unsupported_dtype};

/// A factor: its elements, and where those of each matrix of the batch are.
struct Factor<'g, M: Machine> {
    memory: Operand<'g, M>,
    layout: Layout,
}

impl<M: Machine> Factor<'_, M> {
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

    /// Strides from row to row and from column to column.
    fn steps(&self) -> (i64, i64) {
        let strides = self.layout.strides();
        (strides[strides.len() - 2] as i64, strides[strides.len() - 1] as i64)
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
        let (bias_start, bias_step) = bias.as_ref().map_or((0, 0), |bias| {
            (bias.layout.offset() as i64, bias.layout.strides().last().map_or(0, |&step| step as i64))
        });
        let bias = bias.map_or_else(|| self.part(out.buffer, 0, 0, dtype), |bias| bias.memory);
        let ((a_row, a_col), (b_row, b_col)) = (a.steps(), b.steps());
        let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (m_32, n_32, k_32) = (size(m), size(n), size(k));
        let tiles = if dtype == DType::F32 { Size::of(m, n) } else { Size::Small };
        let shape = tiles.geometry(m, n, dtype.size());
        let run = |to: &Operand<'_, M>| {
            if epilogue.accumulate && dtype != out.dtype {
                self.convert(to, dtype, &self.target(out), out.dtype)?;
            }
            for index in 0..out.elements() / (m * n) {
                let (y_start, a_start, b_start) = ((index * m * n) as u64, a.start(index), b.start(index));
                macro_rules! launch {
                    ($kernel:ident) => {
                        $kernel::launch(
                            self,
                            shape,
                            to.slice_mut(),
                            y_start,
                            a.memory.slice(),
                            a_start,
                            a_row,
                            a_col,
                            b.memory.slice(),
                            b_start,
                            b_row,
                            b_col,
                            bias.slice(),
                            bias_start,
                            bias_step,
                            m_32,
                            n_32,
                            k_32,
                            flags,
                        )
                    };
                }
                self.launched(match (dtype, tiles) {
                    (DType::F64, _) => launch!(matmul_f64),
                    (_, Size::Small) => launch!(matmul_f32),
                    (_, Size::Medium) => launch!(matmul_64_f32),
                    (_, Size::Large) => launch!(matmul_128_f32),
                })?;
            }
            after.map_or(Ok(()), |call| self.unary_rows(call, to, to, dtype))
        };
        self.computing(out, run)
    }
}
