//! Convolutions and their gradients.

use super::Gpu;
use super::operand::{Operand, flag_of, float, sizes};
use super::reduce::Rows;
use crate::machine::Machine;
use gpu_kernels::conv::{
    Size, conv_64_f32, conv_f32, conv_f64, conv_grad_input_64_f32, conv_grad_input_f32, conv_grad_input_f64,
    conv_grad_weight_64_f32, conv_grad_weight_f32, conv_grad_weight_f64, part,
};
use gpu_kernels::matmul::BIAS;
use gpu_kernels::reduce::Fold;
use kiln_tensor::{Convolution, DType, Epilogue, MAX_SPATIAL, Out, Result, View, Window};

/// Launches `$kernel` with arguments that end with a window's.
macro_rules! launch_windowed {
    ($self:ident, $kernel:ident, $geometry:expr, $window:expr, $($argument:expr),+) => {{
        let window: &kiln_tensor::Window = $window;
        let ([k0, k1, k2], [s0, s1, s2]) = (sizes(window.kernel), sizes(window.stride));
        let ([e0, e1, e2], [b0, b1, b2]) = (sizes(window.dilation), sizes(window.padding.map(|(before, _)| before)));
        $kernel::launch($self, $geometry, $($argument,)+ k0, k1, k2, s0, s1, s2, e0, e1, e2, b0, b1, b2)
    }};
}
pub(super) use launch_windowed;

/// What a convolution and its input's gradient differ in, for each group: rows of the product, channels that are summed over, and how
/// far the weights of neighbours among each are.
struct Weights {
    rows: usize,
    inner: usize,
    row_step: usize,
    inner_step: usize,
}

impl<M: Machine> Gpu<M> {
    pub(super) fn convolution(
        &self,
        conv: &Convolution,
        out: &Out<'_>,
        x: &View<'_>,
        weight: &View<'_>,
        epilogue: &Epilogue<'_>,
    ) -> Result<()> {
        let (inner, taps) = (weight.layout.shape()[1], conv.window.taps());
        let weights = Weights { rows: out.shape[1] / conv.groups, inner, row_step: inner * taps, inner_step: taps };
        self.convolved(conv, out, x, weight, epilogue, &weights, false)
    }

    pub(super) fn input_gradients(
        &self,
        conv: &Convolution,
        out: &Out<'_>,
        dy: &View<'_>,
        weight: &View<'_>,
    ) -> Result<()> {
        let (rows, taps) = (weight.layout.shape()[1], conv.window.taps());
        let inner = weight.layout.shape()[0] / conv.groups;
        let weights = Weights { rows, inner, row_step: taps, inner_step: rows * taps };
        self.convolved(conv, out, dy, weight, &Epilogue::default(), &weights, true)
    }

    #[allow(clippy::too_many_arguments)] // the parts of one convolution
    fn convolved(
        &self,
        conv: &Convolution,
        out: &Out<'_>,
        x: &View<'_>,
        weight: &View<'_>,
        epilogue: &Epilogue<'_>,
        weights: &Weights,
        adjoint: bool,
    ) -> Result<()> {
        self.sound()?;
        let dtype = float("conv", out.dtype)?;
        if out.elements() == 0 {
            return Ok(());
        }
        let (written, read) = (Window::sizes(out.shape), Window::sizes(x.layout.shape()));
        let columns = out.shape[0] * written.iter().product::<usize>();
        let (x, weight) = (self.numbers(x)?, self.numbers(weight)?);
        let (bias, shifted) = self.optional(epilogue.bias.as_ref(), BIAS)?;
        let (relu, after) = flag_of(epilogue.activation);
        let flags = relu | shifted;
        let size = if dtype == DType::F32 { Size::of(weights.rows, columns) } else { Size::Small };
        let geometry = size.geometry(weights.rows, columns, conv.groups, dtype.size());
        let Weights { rows, inner, row_step, inner_step } = *weights;
        let [samples, groups, rows, inner] = sizes([out.shape[0], conv.groups, rows, inner]);
        let [row_step, inner_step] = sizes([row_step, inner_step]);
        let ([w0, w1, w2], [r0, r1, r2]) = (sizes::<MAX_SPATIAL>(written), sizes::<MAX_SPATIAL>(read));
        self.computing(out, |to| {
            macro_rules! launch {
                ($kernel:ident) => {
                    launch_windowed!(
                        self,
                        $kernel,
                        geometry,
                        &conv.window,
                        to.slice_mut(),
                        x.slice(),
                        weight.slice(),
                        bias.slice(),
                        flags,
                        samples,
                        groups,
                        rows,
                        inner,
                        row_step,
                        inner_step,
                        w0,
                        w1,
                        w2,
                        r0,
                        r1,
                        r2
                    )
                };
            }
            self.launched(match (dtype, size, adjoint) {
                (DType::F64, _, false) => launch!(conv_f64),
                (DType::F64, _, true) => launch!(conv_grad_input_f64),
                (_, Size::Small, false) => launch!(conv_f32),
                (_, Size::Small, true) => launch!(conv_grad_input_f32),
                (_, Size::Medium, false) => launch!(conv_64_f32),
                (_, Size::Medium, true) => launch!(conv_grad_input_64_f32),
            })?;
            after.map_or(Ok(()), |call| self.unary_rows(call, to, to, dtype))
        })
    }

    pub(super) fn weight_gradients(
        &self,
        conv: &Convolution,
        out: &Out<'_>,
        x: &View<'_>,
        dy: &View<'_>,
    ) -> Result<()> {
        self.sound()?;
        let dtype = float("conv_grad_weight", out.dtype)?;
        let (given, met) = (Window::sizes(dy.layout.shape()), Window::sizes(x.layout.shape()));
        let (samples, sums) = (dy.layout.shape()[0], dy.layout.shape()[0] * given.iter().product::<usize>());
        if sums == 0 || out.elements() == 0 {
            return self.fill_elements(out, 0.0);
        }
        let (x, dy) = (self.numbers(x)?, self.numbers(dy)?);
        let (rows, inner) = (out.shape[0] / conv.groups, out.shape[1]);
        let columns = inner * conv.window.taps();
        let size = if dtype == DType::F32 { Size::of(rows, columns) } else { Size::Small };
        let part = part(size.tiles(rows, columns).saturating_mul(conv.groups), sums);
        let splits = sums.div_ceil(part);
        let geometry = size.geometry(rows, columns, conv.groups * splits, dtype.size());
        let [samples, groups, rows, inner] = sizes([samples, conv.groups, rows, inner]);
        let [splits_32, part] = sizes([splits, part]);
        let ([p0, p1, p2], [d0, d1, d2]) = (sizes::<MAX_SPATIAL>(given), sizes::<MAX_SPATIAL>(met));
        let run = |to: &Operand<'_, M>| {
            macro_rules! launch {
                ($kernel:ident) => {
                    launch_windowed!(
                        self,
                        $kernel,
                        geometry,
                        &conv.window,
                        to.slice_mut(),
                        dy.slice(),
                        x.slice(),
                        splits_32,
                        part,
                        samples,
                        groups,
                        rows,
                        inner,
                        p0,
                        p1,
                        p2,
                        d0,
                        d1,
                        d2
                    )
                };
            }
            self.launched(match (dtype, size) {
                (DType::F64, _) => launch!(conv_grad_weight_f64),
                (_, Size::Small) => launch!(conv_grad_weight_f32),
                (_, Size::Medium) => launch!(conv_grad_weight_64_f32),
            })
        };
        self.computing(out, |to| {
            if splits == 1 {
                return run(to);
            }
            let parts = self.temporary(out.elements() * splits, dtype)?;
            run(&parts)?;
            self.reduce_rows(Fold::Sum, None, to, Rows::of(parts, splits), dtype)
        })
    }
}
