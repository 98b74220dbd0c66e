//! Reductions over axes: the reduced axes last, then rows.

use super::Gpu;
use super::operand::{Operand, computed_in};
use crate::machine::Machine;
use gpu_kernels::arg_reduce::{arg_reduce_f32, arg_reduce_f64, arg_reduce_i64, arg_reduce_u8};
use gpu_kernels::geometry::{by_element, by_lanes};
use gpu_kernels::reduce::{Fold, chunks, reduce_f32, reduce_f64, sum_i64};
use kiln_tensor::{ArgReduceOp, DType, MAX_RANK, Out, ReduceOp, Result, View};

impl<M: Machine> Gpu<M> {
    /// x with its `axes` last, row-major, in the type that is computed in.
    fn reduced_last(&self, x: &View<'_>, axes: &[usize], dtype: DType) -> Result<Operand<'_, M>> {
        let rank = x.layout.shape().rank();
        let mut order = [0; MAX_RANK];
        let kept = (0..rank).filter(|axis| !axes.contains(axis));
        order.iter_mut().zip(kept.chain(axes.iter().copied())).for_each(|(to, axis)| *to = axis);
        let layout = x.layout.permute(&order[..rank])?;
        self.rows_as(&View { layout: &layout, ..*x }, dtype)
    }

    pub(super) fn reduce_axes(&self, op: ReduceOp, out: &Out<'_>, x: &View<'_>, axes: &[usize]) -> Result<()> {
        self.sound()?;
        if out.elements() == 0 {
            return Ok(());
        }
        let count: usize = axes.iter().map(|&axis| x.layout.shape()[axis]).product();
        if matches!(x.dtype, DType::I64 | DType::Bool) {
            let x = self.reduced_last(x, axes, DType::I64)?;
            let geometry = by_element(out.elements());
            let to = self.target(out);
            return self.launched(sum_i64::launch(self, geometry, to.slice_mut(), x.slice(), count as u64));
        }
        let dtype = computed_in(x.dtype);
        let x = self.reduced_last(x, axes, dtype)?;
        let (fold, mean) = match op {
            ReduceOp::Sum => (Fold::Sum, false),
            ReduceOp::Mean => (Fold::Sum, true),
            ReduceOp::Max => (Fold::Max, false),
            ReduceOp::Min => (Fold::Min, false),
            ReduceOp::Prod => (Fold::Prod, false),
        };
        let divisor = mean.then_some(count as f64);
        self.computing(out, |to| self.reduce_rows(fold, divisor, to, out.elements(), x, count, dtype))
    }

    /// Rows of `count` to one number each: chunk by chunk, until one is left.
    #[allow(clippy::too_many_arguments)] // the parts of one reduction
    pub(super) fn reduce_rows<'g>(
        &'g self,
        fold: Fold,
        divisor: Option<f64>,
        to: &Operand<'_, M>,
        rows: usize,
        mut x: Operand<'g, M>,
        mut count: usize,
        dtype: DType,
    ) -> Result<()> {
        loop {
            let results = chunks(count);
            let last = results == 1;
            let partial = if last { None } else { Some(self.temporary(rows * results, dtype)?) };
            let target = partial.as_ref().unwrap_or(to);
            let geometry = by_lanes(rows * results);
            let (divide, by) = match divisor {
                Some(divisor) if last => (1, divisor),
                _ => (0, 1.0),
            };
            let (count_64, fold) = (count as u64, fold as u32);
            self.launched(match dtype {
                DType::F64 => {
                    reduce_f64::launch(self, geometry, target.slice_mut(), x.slice(), count_64, fold, divide, by)
                }
                _ => {
                    let by = by as f32;
                    reduce_f32::launch(self, geometry, target.slice_mut(), x.slice(), count_64, fold, divide, by)
                }
            })?;
            let Some(partial) = partial else { return Ok(()) };
            (x, count) = (partial, results);
        }
    }

    pub(super) fn extremum_positions(&self, op: ArgReduceOp, out: &Out<'_>, x: &View<'_>, axis: usize) -> Result<()> {
        self.sound()?;
        let dtype = computed_in(x.dtype);
        let count = x.layout.shape()[axis] as u64;
        let x = self.reduced_last(x, &[axis], dtype)?;
        let smallest = u32::from(op == ArgReduceOp::ArgMin);
        let (to, geometry) = (self.target(out), by_element(out.elements()));
        self.launched(match dtype {
            DType::F64 => arg_reduce_f64::launch(self, geometry, to.slice_mut(), x.slice(), count, smallest),
            DType::I64 => arg_reduce_i64::launch(self, geometry, to.slice_mut(), x.slice(), count, smallest),
            DType::U8 | DType::Bool => {
                arg_reduce_u8::launch(self, geometry, to.slice_mut(), x.slice(), count, smallest)
            }
            _ => arg_reduce_f32::launch(self, geometry, to.slice_mut(), x.slice(), count, smallest),
        })
    }
}
