//! Gathering and its adjoint, and random numbers.

use super::Gpu;
use super::operand::computed_in;
use crate::machine::Machine;
use gpu_kernels::gather::{
    gather_u8, gather_u16, gather_u32, gather_u64, scatter_add_f32, scatter_add_f64, scatter_add_i64,
};
use gpu_kernels::geometry::by_element;
use gpu_kernels::random::{normal_f32, normal_f64, uniform_f32, uniform_f64};
use kiln_tensor::{DType, Distribution, Out, Result, View, unsupported_dtype};

/// The size of an axis, and of an index of it.
fn along(shape: &[usize], axis: usize) -> (u64, u64) {
    (shape[axis] as u64, shape[axis + 1..].iter().product::<usize>() as u64)
}

impl<M: Machine> Gpu<M> {
    pub(super) fn gather_along(&self, out: &Out<'_>, x: &View<'_>, index: &View<'_>, axis: usize) -> Result<()> {
        self.sound()?;
        let (size, inner) = along(x.layout.shape(), axis);
        let (x, index) = (self.rows(x)?, self.rows(index)?);
        let (to, index) = (self.target(out), index.slice());
        let geometry = by_element(out.elements());
        self.launched(match out.dtype.size() {
            1 => gather_u8::launch(self, geometry, to.slice_mut(), x.slice(), index, size, inner),
            2 => gather_u16::launch(self, geometry, to.slice_mut(), x.slice(), index, size, inner),
            4 => gather_u32::launch(self, geometry, to.slice_mut(), x.slice(), index, size, inner),
            _ => gather_u64::launch(self, geometry, to.slice_mut(), x.slice(), index, size, inner),
        })
    }

    pub(super) fn scatter_along(&self, out: &Out<'_>, y: &View<'_>, index: &View<'_>, axis: usize) -> Result<()> {
        self.sound()?;
        if index.layout.shape().elements() == 0 {
            return Ok(());
        }
        let (size, inner) = along(out.shape, axis);
        let dtype = computed_in(out.dtype);
        let (y, index) = (self.numbers(y)?, self.rows(index)?);
        let geometry = by_element(out.elements());
        self.computing(out, |to| {
            if dtype != out.dtype {
                self.convert(to, dtype, &self.target(out), out.dtype)?;
            }
            let index = index.slice();
            self.launched(match dtype {
                DType::F32 => scatter_add_f32::launch(self, geometry, to.slice_mut(), y.slice(), index, size, inner),
                DType::F64 => scatter_add_f64::launch(self, geometry, to.slice_mut(), y.slice(), index, size, inner),
                DType::I64 => scatter_add_i64::launch(self, geometry, to.slice_mut(), y.slice(), index, size, inner),
                other => return Err(unsupported_dtype("scatter_add", other, "f32, f64, f16, bf16 or i64")),
            })
        })
    }

    pub(super) fn draw(&self, distribution: Distribution, out: &Out<'_>, stream: &View<'_>) -> Result<()> {
        self.sound()?;
        let (to, stream) = (self.target(out), self.rows(stream)?);
        let (geometry, stream) = (by_element(out.elements()), stream.slice());
        self.launched(match (out.dtype, distribution) {
            (DType::F32, Distribution::Uniform { low, high }) => {
                uniform_f32::launch(self, geometry, to.slice_mut(), stream, low, high)
            }
            (DType::F64, Distribution::Uniform { low, high }) => {
                uniform_f64::launch(self, geometry, to.slice_mut(), stream, low, high)
            }
            (DType::F32, Distribution::Normal { mean, std }) => {
                normal_f32::launch(self, geometry, to.slice_mut(), stream, mean, std)
            }
            (DType::F64, Distribution::Normal { mean, std }) => {
                normal_f64::launch(self, geometry, to.slice_mut(), stream, mean, std)
            }
            (other, _) => return Err(unsupported_dtype("random", other, "f32 or f64")),
        })
    }
}
