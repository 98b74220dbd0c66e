//! Convolutions and their gradients: all groups in one launch.

use super::OnGpu;
use super::dispatch::by_float;
use super::operand::{Operand, axes, flag_of, float, sizes, window};
use super::reduce::Rows;
use crate::counts::{are_counted, is_counted};
use crate::gpu::Gpu;
use crate::machine::Machine;
use crate::tile::{OF_WINDOW, tile};
use cuda_std::Kernel;
use gpu_kernels::conv::{Call, conv, conv_grad_input, conv_grad_weight, geometry, part};
use gpu_kernels::matmul::BIAS;
use gpu_kernels::reduce::Fold;
use kiln_tensor::{
    ConvCall, ConvGradInputCall, ConvGradWeightCall, Convolution, Epilogue, Out, Ran, Result, Shape, View, Window,
};

/// What a convolution and its input's gradient differ in, for each group: rows of the product, channels that are summed over, and how
/// far the weights of neighbors among each are.
struct Weights {
    rows: usize,
    inner: usize,
    row_step: usize,
    inner_step: usize,
    adjoint: bool,
}

/// Positions of all samples of a shape.
fn positions(shape: &Shape) -> usize {
    shape[0] * Window::sizes(shape).iter().product::<usize>()
}

/// Whether kernels can count the positions and the weights of a convolution.
fn fits(form: &Convolution, weight: &Shape, maps: [&Shape; 2]) -> bool {
    is_counted(&form.window, &maps) && are_counted(maps.map(positions)) && are_counted([weight.elements()])
}

impl<M: Machine> Gpu<M> {
    fn convolved(
        &self,
        form: &Convolution,
        out: &Out<'_>,
        [x, weight]: [&View<'_>; 2],
        epilogue: &Epilogue<'_>,
        &Weights { rows, inner, row_step, inner_step, adjoint }: &Weights,
    ) -> Result<Ran> {
        let dtype = float("conv", out.dtype)?;
        if out.elements() == 0 {
            return Ok(Ran::Done);
        }
        if !fits(form, weight.layout.shape(), [out.shape, x.layout.shape()]) {
            return Ok(Ran::NotHere);
        }
        let (written, read, window) = (axes(out.shape), axes(x.layout.shape()), window(&form.window));
        let product = [rows, positions(out.shape), form.groups];
        let (x, weight) = (self.numbers(x)?, self.numbers(weight)?);
        let (bias, shifted) = self.optional(epilogue.bias.as_ref(), BIAS)?;
        let (relu, after) = flag_of(epilogue.activation);
        let ([samples, groups], flags) = (sizes([out.shape[0], form.groups]), relu | shifted);
        let [rows, inner, row_step, inner_step] = sizes([rows, inner, row_step, inner_step]);
        self.computing(out, |to| {
            by_float!(dtype, T => {
                let (y, x, weight, bias) = (to.write(), x.read(), weight.read(), bias.read());
                let call = Call::<T> {
                    y, x, weight, bias, flags, samples, groups, rows, inner, row_step, inner_step, written, read, window,
                };
                match adjoint {
                    false => self.by_tile(product, dtype.size(), conv { call }),
                    true => self.by_tile(product, dtype.size(), conv_grad_input { call }),
                }
            })?;
            after.map_or(Ok(()), |call| self.unary_rows(call, [to, to], dtype))
        })?;
        Ok(Ran::Done)
    }

    /// Launches a convolution for products of so many rows and columns, each of the grid's third axis.
    fn by_tile<K: Kernel>(&self, product: [usize; 3], element_bytes: usize, call: K) -> Result<()> {
        let each = tile::<K>(product, OF_WINDOW, self.machine().properties());
        self.run_with(each, call, geometry(each, product, element_bytes))
    }
}

impl OnGpu for ConvCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        let ConvCall { conv: form, out, x, weight, epilogue } = self;
        let (rows, inner, inner_step) = (out.shape[1] / form.groups, weight.layout.shape()[1], form.window.taps());
        let weights = Weights { rows, inner, row_step: inner * inner_step, inner_step, adjoint: false };
        gpu.convolved(form, out, [x, weight], epilogue, &weights)
    }
}

impl OnGpu for ConvGradInputCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        let ConvGradInputCall { conv: form, out, dy, weight } = self;
        let (rows, inner) = (weight.layout.shape()[1], weight.layout.shape()[0] / form.groups);
        let row_step = form.window.taps();
        let weights = Weights { rows, inner, row_step, inner_step: rows * row_step, adjoint: true };
        gpu.convolved(form, out, [dy, weight], &Epilogue::default(), &weights)
    }
}

impl OnGpu for ConvGradWeightCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        let ConvGradWeightCall { conv: form, out, x, dy } = self;
        let dtype = float("conv_grad_weight", out.dtype)?;
        let (dy_shape, sums) = (dy.layout.shape(), positions(dy.layout.shape()));
        if sums == 0 || out.elements() == 0 {
            gpu.fill_elements(out, 0.0)?;
            return Ok(Ran::Done);
        }
        if !fits(form, out.shape, [dy_shape, x.layout.shape()]) {
            return Ok(Ran::NotHere);
        }
        let (outputs, inputs, window) = (axes(dy_shape), axes(x.layout.shape()), window(&form.window));
        let (rows, inner) = (out.shape[0] / form.groups, out.shape[1]);
        let columns = inner * form.window.taps();
        let part = part([rows, columns, form.groups], sums);
        let splits = sums.div_ceil(part);
        let product = [rows, columns, form.groups * splits];
        let [samples, groups, rows, inner] = sizes([dy_shape[0], form.groups, rows, inner]);
        let (x, dy) = (gpu.numbers(x)?, gpu.numbers(dy)?);
        let run = |to: &Operand<'_, M>| {
            let [splits, part] = sizes([splits, part]);
            by_float!(dtype, T => {
                let (y, dy, x) = (to.write(), dy.read(), x.read());
                let call = conv_grad_weight::<T> {
                    y, dy, x, splits, part, samples, groups, rows, inner, outputs, inputs, window,
                };
                gpu.by_tile(product, dtype.size(), call)
            })
        };
        gpu.computing(out, |to| {
            if splits == 1 {
                return run(to);
            }
            let parts = gpu.temporary(out.elements() * splits, dtype)?;
            run(&parts)?;
            gpu.reduce_rows(Fold::Sum, None, to, Rows::of(parts, splits), dtype)
        })?;
        Ok(Ran::Done)
    }
}
