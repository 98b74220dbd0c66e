//! Maxima of windows, and their gradient.

use super::Gpu;
use super::conv::launch_windowed;
use super::operand::{float, sizes};
use crate::machine::Machine;
use gpu_kernels::geometry::by_element;
use gpu_kernels::pool::{max_pool_f32, max_pool_f64, max_pool_grad_f32, max_pool_grad_f64};
use kiln_tensor::{DType, MAX_SPATIAL, Out, Result, View, Window};

impl<M: Machine> Gpu<M> {
    pub(super) fn maxima(&self, window: &Window, out: &Out<'_>, taps: Option<&Out<'_>>, x: &View<'_>) -> Result<()> {
        self.sound()?;
        let dtype = float("max_pool", out.dtype)?;
        let [p0, p1, p2] = sizes::<MAX_SPATIAL>(Window::sizes(out.shape));
        let [d0, d1, d2] = sizes::<MAX_SPATIAL>(Window::sizes(x.layout.shape()));
        let (x, geometry) = (self.numbers(x)?, by_element(out.elements()));
        let taps = taps.map_or_else(|| self.absent(), |taps| self.target(taps));
        self.computing(out, |to| {
            macro_rules! launch {
                ($kernel:ident) => {
                    launch_windowed!(
                        self,
                        $kernel,
                        geometry,
                        window,
                        to.slice_mut(),
                        taps.slice_mut(),
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

    pub(super) fn maxima_gradients(
        &self,
        window: &Window,
        out: &Out<'_>,
        dy: &View<'_>,
        taps: &View<'_>,
    ) -> Result<()> {
        self.sound()?;
        let dtype = float("max_pool_grad", out.dtype)?;
        let [p0, p1, p2] = sizes::<MAX_SPATIAL>(Window::sizes(dy.layout.shape()));
        let [d0, d1, d2] = sizes::<MAX_SPATIAL>(Window::sizes(out.shape));
        let (dy, taps, geometry) = (self.numbers(dy)?, self.rows(taps)?, by_element(out.elements()));
        self.computing(out, |to| {
            macro_rules! launch {
                ($kernel:ident) => {
                    launch_windowed!(
                        self,
                        $kernel,
                        geometry,
                        window,
                        to.slice_mut(),
                        dy.slice(),
                        taps.slice(),
                        p0,
                        p1,
                        p2,
                        d0,
                        d1,
                        d2
                    )
                };
            }
            self.launched(if dtype == DType::F64 { launch!(max_pool_grad_f64) } else { launch!(max_pool_grad_f32) })
        })
    }
}
