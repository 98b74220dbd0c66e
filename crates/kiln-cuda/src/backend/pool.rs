//! Maxima of windows, and their gradient.

use super::dispatch::by_float;
use super::operand::{axes, float, window};
use crate::gpu::Gpu;
use crate::machine::Machine;
use gpu_kernels::geometry::by_element;
use gpu_kernels::pool::{max_pool, max_pool_grad};
use kiln_tensor::{MaxPoolCall, MaxPoolGradCall, Result};

impl<M: Machine> Gpu<M> {
    pub(super) fn maxima(&self, call: &MaxPoolCall<'_>) -> Result<()> {
        let MaxPoolCall { window: form, out, taps, x } = call;
        let dtype = float("max_pool", out.dtype)?;
        let (outputs, inputs, window) = (axes(out.shape), axes(x.layout.shape()), window(form));
        let (x, geometry) = (self.numbers(x)?, by_element(out.elements()));
        let taps = self.target_of(taps.as_ref()).write();
        self.computing(out, |to| {
            by_float!(dtype, T => {
                self.run(max_pool::<T> { y: to.write(), taps, x: x.read(), outputs, inputs, window }, geometry)
            })
        })
    }

    pub(super) fn maxima_gradients(&self, call: &MaxPoolGradCall<'_>) -> Result<()> {
        let MaxPoolGradCall { window: form, out, dy, taps } = call;
        let dtype = float("max_pool_grad", out.dtype)?;
        let (outputs, inputs, window) = (axes(dy.layout.shape()), axes(out.shape), window(form));
        let (dy, taps, geometry) = (self.numbers(dy)?, self.rows(taps)?, by_element(out.elements()));
        self.computing(out, |to| {
            by_float!(dtype, T => {
                let (dx, dy, taps) = (to.write(), dy.read(), taps.read());
                self.run(max_pool_grad::<T> { dx, dy, taps, outputs, inputs, window }, geometry)
            })
        })
    }
}
