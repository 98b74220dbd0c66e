//! Gathering and its adjoint.

use super::dispatch::{by_number, by_size};
use super::operand::{Operand, computed_in};
use crate::gpu::Gpu;
use crate::machine::Machine;
use gpu_kernels::gather::gather;
use gpu_kernels::geometry::by_element;
use gpu_kernels::scatter::{CHUNK, by_chunk, merge_runs, scatter_add, sort_chunks};
use kiln_tensor::{DType, Out, Result, View, unsupported_dtype};

/// The size of an axis, and of an index of it.
fn along(shape: &[usize], axis: usize) -> (u64, u64) {
    (shape[axis] as u64, shape[axis + 1..].iter().product::<usize>() as u64)
}

impl<M: Machine> Gpu<M> {
    pub(super) fn gather_along(&self, out: &Out<'_>, x: &View<'_>, index: &View<'_>, axis: usize) -> Result<()> {
        let (axis, inner) = along(x.layout.shape(), axis);
        let (to, x, index) = (self.target(out), self.rows(x)?, self.rows(index)?);
        let (index, geometry) = (index.read(), by_element(out.elements()));
        by_size!(out.dtype, T => self.run(gather::<T> { y: to.write(), x: x.read(), index, axis, inner }, geometry))
    }

    /// The elements of an index in order, and where they were.
    fn sorted(&self, index: &Operand<'_, M>, axis: u64) -> Result<[Operand<'_, M>; 2]> {
        let count = index.elements();
        let pair = || -> Result<_> { Ok([self.temporary(count, DType::I64)?, self.temporary(count, DType::I64)?]) };
        let mut sorted = pair()?;
        let [places, positions] = [sorted[0].write(), sorted[1].write()];
        self.run(sort_chunks { places, positions, index: index.read(), axis }, by_chunk(count))?;
        let mut width = CHUNK;
        while width < count {
            let merged = pair()?;
            let ([places, positions], width_64) = ([merged[0].write(), merged[1].write()], width as u64);
            let [from_places, from_positions] = [sorted[0].read(), sorted[1].read()];
            let merge = merge_runs { places, positions, from_places, from_positions, width: width_64 };
            self.run(merge, by_element(count))?;
            (sorted, width) = (merged, 2 * width);
        }
        Ok(sorted)
    }

    pub(super) fn scatter_along(&self, out: &Out<'_>, x: &View<'_>, index: &View<'_>, axis: usize) -> Result<()> {
        if index.layout.shape().elements() == 0 {
            return Ok(());
        }
        let ((axis, inner), dtype) = (along(out.shape, axis), computed_in(out.dtype));
        if dtype == DType::Bool {
            return Err(unsupported_dtype("scatter_add", dtype, "numbers"));
        }
        let x = self.numbers(x)?;
        let [places, positions] = self.sorted(&self.rows(index)?, axis)?;
        self.computing(out, |to| {
            if dtype != out.dtype {
                self.convert(to, dtype, &self.target(out), out.dtype)?;
            }
            by_number!(dtype, T => {
                let (y, x, places, positions) = (to.write(), x.read(), places.read(), positions.read());
                self.run(scatter_add::<T> { y, x, places, positions, axis, inner }, by_element(x.len()))
            })
        })
    }
}
