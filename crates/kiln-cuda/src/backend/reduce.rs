//! Reductions over axes: the reduced axes last, then rows.

use super::dispatch::{by_float, by_number};
use super::operand::{Operand, computed_in};
use crate::gpu::Gpu;
use crate::machine::Machine;
use gpu_kernels::arg_reduce::arg_reduce;
use gpu_kernels::geometry::{by_element, by_lanes};
use gpu_kernels::reduce::{self, Fold, chunks, reduce_i64};
use kiln_tensor::{ArgReduceOp, DType, Layout, MAX_RANK, Out, ReduceOp, Result, Shape, View};

/// Rows of elements at strides.
pub(super) struct Rows<'g, M: Machine> {
    elements: Operand<'g, M>,
    start: i64,
    row: i64,
    step: i64,
    count: usize,
}

impl<'g, M: Machine> Rows<'g, M> {
    /// One after the other, of `count` elements each.
    pub(super) fn of(elements: Operand<'g, M>, count: usize) -> Self {
        Rows { elements, start: 0, row: count as i64, step: 1, count }
    }
}

/// The layout with these axes last.
fn axes_last(layout: &Layout, axes: &[usize]) -> Result<Layout> {
    let rank = layout.shape().rank();
    let mut order = [0; MAX_RANK];
    let kept = (0..rank).filter(|axis| !axes.contains(axis));
    order.iter_mut().zip(kept.chain(axes.iter().copied())).for_each(|(to, axis)| *to = axis);
    layout.permute(&order[..rank])
}

impl<M: Machine> Gpu<M> {
    /// x with its `axes` last, row-major, in the type that is computed in.
    fn reduced_last(&self, x: &View<'_>, axes: &[usize], dtype: DType) -> Result<Operand<'_, M>> {
        self.rows_as(&View { layout: &axes_last(x.layout, axes)?, ..*x }, dtype)
    }

    /// The rows that are reduced over `axes`: where they lie if that is at two strides, or laid out.
    fn rows_over(&self, x: &View<'_>, axes: &[usize], count: usize, dtype: DType) -> Result<Rows<'_, M>> {
        if x.dtype == dtype {
            let rows = x.layout.shape().elements() / count.max(1);
            let layout = axes_last(x.layout, axes)?.reshape(Shape::new(&[rows, count])?);
            if let Some((&[row, step], start)) = layout.as_ref().map(|layout| (layout.strides(), layout.offset())) {
                let (start, row, step) = (start as i64, row as i64, step as i64);
                return Ok(Rows { elements: self.whole(x.buffer, dtype), start, row, step, count });
            }
        }
        Ok(Rows::of(self.reduced_last(x, axes, dtype)?, count))
    }

    pub(super) fn reduce_axes(&self, op: ReduceOp, out: &Out<'_>, x: &View<'_>, axes: &[usize]) -> Result<()> {
        if out.elements() == 0 {
            return Ok(());
        }
        let count: usize = axes.iter().map(|&axis| x.layout.shape()[axis]).product();
        let fold = match op {
            ReduceOp::Sum | ReduceOp::Mean => Fold::Sum,
            ReduceOp::Max => Fold::Max,
            ReduceOp::Min => Fold::Min,
            ReduceOp::Prod => Fold::Prod,
        };
        if !x.dtype.is_float() {
            return self.reduce_integers(fold, out, &self.reduced_last(x, axes, DType::I64)?, count);
        }
        let dtype = computed_in(x.dtype);
        let x = self.rows_over(x, axes, count, dtype)?;
        let divisor = (op == ReduceOp::Mean).then_some(count as f64);
        self.computing(out, |to| self.reduce_rows(fold, divisor, to, x, dtype))
    }

    /// Rows of i64 to one integer each, of the output's dtype.
    fn reduce_integers(&self, fold: Fold, out: &Out<'_>, x: &Operand<'_, M>, count: usize) -> Result<()> {
        let (count, fold, geometry) = (count as u64, fold as u32, by_element(out.elements()));
        let run = |to: &Operand<'_, M>| self.run(reduce_i64 { y: to.write(), x: x.read(), count, fold }, geometry);
        if out.dtype == DType::I64 {
            return run(&self.target(out));
        }
        let wide = self.temporary(out.elements(), DType::I64)?;
        run(&wide)?;
        self.convert(&self.target(out), out.dtype, &wide, DType::I64)
    }

    /// Rows to one number each: chunk by chunk, until one is left.
    pub(super) fn reduce_rows<'g>(
        &'g self,
        fold: Fold,
        divisor: Option<f64>,
        to: &Operand<'_, M>,
        mut x: Rows<'g, M>,
        dtype: DType,
    ) -> Result<()> {
        let rows = to.elements();
        loop {
            let results = chunks(x.count);
            let partial = (results > 1).then(|| self.temporary(rows * results, dtype)).transpose()?;
            let target = partial.as_ref().unwrap_or(to);
            let (divide, divisor) = divisor.filter(|_| results == 1).map_or((0, 1.0), |divisor| (1, divisor));
            let (count, fold, &Rows { start, row, step, .. }) = (x.count as u64, fold as u32, &x);
            by_float!(dtype, T => {
                let x = reduce::Rows::<T> { elements: x.elements.read(), start, row, step, count };
                let reduction = reduce::reduce { y: target.write(), x, fold, divide, divisor: divisor as T };
                self.run(reduction, by_lanes(rows * results))
            })?;
            let Some(partial) = partial else { return Ok(()) };
            x = Rows::of(partial, results);
        }
    }

    pub(super) fn extremum_positions(&self, op: ArgReduceOp, out: &Out<'_>, x: &View<'_>, axis: usize) -> Result<()> {
        let dtype = computed_in(x.dtype);
        let count = x.layout.shape()[axis] as u64;
        let x = self.reduced_last(x, &[axis], dtype)?;
        let (to, smallest) = (self.target(out), u32::from(op == ArgReduceOp::Argmin));
        by_number!(dtype, T => {
            let positions = arg_reduce::<T> { y: to.write(), x: x.read(), count, smallest };
            self.run(positions, by_element(out.elements()))
        })
    }
}
