//! Gathering and its adjoint.

use super::Gpu;
use super::dispatch::{by_float, by_size};
use super::operand::computed_in;
use crate::machine::Machine;
use gpu_kernels::gather::{gather, scatter_add};
use gpu_kernels::geometry::by_element;
use kiln_tensor::{DType, Out, Result, View, unsupported_dtype};

/// The size of an axis, and of an index of it.
fn along(shape: &[usize], axis: usize) -> (u64, u64) {
    (shape[axis] as u64, shape[axis + 1..].iter().product::<usize>() as u64)
}

impl<M: Machine> Gpu<M> {
    pub(super) fn gather_along(&self, out: &Out<'_>, x: &View<'_>, index: &View<'_>, axis: usize) -> Result<()> {
        self.sound()?;
        let (axis, inner) = along(x.layout.shape(), axis);
        let (to, x, index) = (self.target(out), self.rows(x)?, self.rows(index)?);
        let (index, geometry) = (index.read(), by_element(out.elements()));
        by_size!(out.dtype, T => self.run(gather::<T> { y: to.write(), x: x.read(), index, axis, inner }, geometry))
    }

    pub(super) fn scatter_along(&self, out: &Out<'_>, x: &View<'_>, index: &View<'_>, axis: usize) -> Result<()> {
        self.sound()?;
        if index.layout.shape().elements() == 0 {
            return Ok(());
        }
        let (axis, inner) = along(out.shape, axis);
        let dtype = computed_in(out.dtype);
        let (x, index) = (self.numbers(x)?, self.rows(index)?);
        let geometry = by_element(out.elements());
        self.computing(out, |to| {
            if dtype != out.dtype {
                self.convert(to, dtype, &self.target(out), out.dtype)?;
            }
            let index = index.read();
            match dtype {
                DType::I64 => self.run(scatter_add::<i64> { y: to.write(), x: x.read(), index, axis, inner }, geometry),
                DType::F32 | DType::F64 => by_float!(dtype, T => {
                    self.run(scatter_add::<T> { y: to.write(), x: x.read(), index, axis, inner }, geometry)
                }),
                other => Err(unsupported_dtype("scatter_add", other, "f32, f64, f16, bf16 or i64")),
            }
        })
    }
}
