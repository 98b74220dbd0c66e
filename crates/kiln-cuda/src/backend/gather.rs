//! Gathering and its adjoint.

use super::dispatch::{by_number, by_size};
use super::operand::Operand;
use crate::gpu::Gpu;
use crate::machine::Machine;
use gpu_kernels::gather::{gather, gather_elements, places};
use gpu_kernels::geometry::by_element;
use gpu_kernels::scatter::{ADD, CHUNK, MAX, MIN, MUL, by_chunk, merge_runs, scatter, scatter_last, sort_chunks};
use kiln_tensor::{DType, Out, Result, ScatterOp, View, unsupported_dtype};

/// The size of an axis, and of an index of it.
fn along(shape: &[usize], axis: usize) -> (u64, u64) {
    (shape[axis] as u64, shape[axis + 1..].iter().product::<usize>() as u64)
}

/// Whether an index means whole rows: it repeats along all axes but one.
fn is_rows(index: &View<'_>, axis: usize) -> bool {
    let (sizes, strides) = (index.layout.shape(), index.layout.strides());
    (0..sizes.rank()).all(|other| other == axis || sizes[other] == 1 || strides[other] == 0)
}

impl<M: Machine> Gpu<M> {
    /// The index of rows, one axis of it.
    fn row_index(&self, index: &View<'_>, axis: usize) -> Result<Operand<'_, M>> {
        let mut layout = *index.layout;
        for other in (0..layout.shape().rank()).filter(|&other| other != axis) {
            layout = layout.slice(other, 0, 1, 1)?;
        }
        self.rows(&View { layout: &layout, ..*index })
    }

    pub(super) fn gather_along(&self, out: &Out<'_>, x: &View<'_>, index: &View<'_>, axis: usize) -> Result<()> {
        if out.elements() == 0 {
            return Ok(());
        }
        let (indices, (size, inner)) = (out.shape[axis] as u64, along(x.layout.shape(), axis));
        let (to, x, geometry) = (self.target(out), self.rows(x)?, by_element(out.elements()));
        if is_rows(index, axis) {
            let index = self.row_index(index, axis)?;
            let index = index.read();
            return by_size!(out.dtype, T => {
                self.run(gather::<T> { y: to.write(), x: x.read(), index, axis: size, inner }, geometry)
            });
        }
        let index = self.rows(index)?;
        let index = index.read();
        by_size!(out.dtype, T => {
            self.run(gather_elements::<T> { y: to.write(), x: x.read(), index, axis: size, indices, inner }, geometry)
        })
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

    pub(super) fn scatter_along(
        &self,
        op: ScatterOp,
        out: &Out<'_>,
        x: &View<'_>,
        index: &View<'_>,
        axis: usize,
    ) -> Result<()> {
        if x.layout.shape().elements() == 0 {
            return Ok(());
        }
        if op != ScatterOp::Set && matches!(out.dtype, DType::F16 | DType::BF16 | DType::Bool) {
            return Err(unsupported_dtype("scatter", out.dtype, "f32, f64 or integers"));
        }
        let (indices, (mut size, mut inner)) = (x.layout.shape()[axis] as u64, along(out.shape, axis));
        let (to, x) = (self.target(out), self.rows(x)?);
        let by_place = if is_rows(index, axis) {
            self.row_index(index, axis)?
        } else {
            // Each element has a place of its own: the output is one axis then.
            let index = self.rows(index)?;
            let each = self.temporary(index.elements(), DType::I64)?;
            let launch = places { y: each.write(), index: index.read(), axis: size, indices, inner };
            self.run(launch, by_element(index.elements()))?;
            (size, inner) = (out.elements() as u64, 1);
            each
        };
        let [places, positions] = self.sorted(&by_place, size)?;
        let (places, positions, geometry) = (places.read(), positions.read(), by_element(x.elements()));
        let (axis, op) = match op {
            ScatterOp::Set => {
                return by_size!(out.dtype, T => {
                    let (y, x) = (to.write(), x.read());
                    self.run(scatter_last::<T> { y, x, places, positions, axis: size, inner }, geometry)
                });
            }
            ScatterOp::Add => (size, ADD),
            ScatterOp::Mul => (size, MUL),
            ScatterOp::Max => (size, MAX),
            ScatterOp::Min => (size, MIN),
        };
        by_number!(out.dtype, T => {
            self.run(scatter::<T> { y: to.write(), x: x.read(), places, positions, axis, inner, op }, geometry)
        })
    }
}
