//! Maxima of windows, and their gradient.

use super::Gpu;
use super::conv::launch_windowed;
use super::operand::{float, sizes};
use crate::machine::Machine;
use cuda_std::Geometry;
use gpu_kernels::geometry::by_element;
use gpu_kernels::pool::{PLANE_THREADS, max_pool_f32, max_pool_f64, max_pool_grad_f32, max_pool_grad_f64};
use kiln_tensor::{DType, MAX_SPATIAL, Out, Result, View, Window};

impl<M: Machine> Gpu<M> {
    pub(super) fn maxima(&self, window: &Window, out: &Out<'_>, index: &Out<'_>, x: &View<'_>) -> Result<()> {
        self.sound()?;
        let dtype = float("max_pool", out.dtype)?;
        let [p0, p1, p2] = sizes::<MAX_SPATIAL>(Window::sizes(out.shape));
        let [d0, d1, d2] = sizes::<MAX_SPATIAL>(Window::sizes(x.layout.shape()));
        let (x, index, geometry) = (self.numbers(x)?, self.target(index), by_element(out.elements()));
        self.computing(out, |to| {
            macro_rules! launch {
                ($kernel:ident) => {
                    launch_windowed!(
                        self,
                        $kernel,
                        geometry,
                        window,
                        to.slice_mut(),
                        index.slice_mut(),
                        x.slice(),
                        p0,
                        p1,
                        p2,
                        d0,
                        d1,
                        d2
                    )
                };
            }
            self.launched(if dtype == DType::F64 { launch!(max_pool_f64) } else { launch!(max_pool_f32) })
        })
    }

    pub(super) fn maxima_gradients(&self, out: &Out<'_>, dy: &View<'_>, index: &View<'_>) -> Result<()> {
        self.sound()?;
        let dtype = float("max_pool_grad", out.dtype)?;
        if out.elements() == 0 {
            return Ok(());
        }
        let planes = out.shape[0] * out.shape[1];
        let plane = (out.elements() / planes) as u64;
        let (dy, index) = (self.numbers(dy)?, self.rows(index)?);
        let positions = (dy.elements() / planes) as u64;
        let geometry = Geometry::linear(u32::try_from(planes).unwrap_or(u32::MAX), PLANE_THREADS);
        self.computing(out, |to| {
            macro_rules! launch {
                ($kernel:ident) => {
                    $kernel::launch(self, geometry, to.slice_mut(), dy.slice(), index.slice(), plane, positions)
                };
            }
            self.launched(if dtype == DType::F64 { launch!(max_pool_grad_f64) } else { launch!(max_pool_grad_f32) })
        })
    }
}
