//! Convolutions: from windows to the kernels' forms.

use super::CpuBackend;
use super::calls::OnCpu;
use super::rows::{rows, write_rows};
use crate::{
    ConvCall, ConvGradInputCall, ConvGradWeightCall, Convolution, DType, Epilogue, Ran, Result, Shape, Window,
    unsupported_dtype,
};
use half::{bf16, f16};
use kiln_cpu::conv::{self, Conv};
use kiln_cpu::elementwise;
use kiln_cpu::gemm::{self, Bias, GemmActivation};
use kiln_cpu::operand::Stored;
use kiln_math::UnaryOp;

/// The kernels' form of a convolution of x by weight to y.
pub(crate) fn form(conv: &Convolution, x: &Shape, weight: &Shape, y: &Shape) -> Conv {
    let Window { kernel, stride, dilation, padding } = conv.window;
    Conv {
        batch: x[0],
        groups: conv.groups,
        inputs: weight[1],
        outputs: weight[0] / conv.groups,
        size: Window::sizes(x),
        out: Window::sizes(y),
        kernel,
        stride,
        dilation,
        before: padding.map(|(before, _)| before),
    }
}

impl OnCpu for ConvCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let isa = cpu.isa;
        let form = form(&self.conv, self.x.layout.shape(), self.weight.layout.shape(), self.out.shape);
        let Epilogue { bias, activation, .. } = &self.epilogue;
        // SAFETY: operands and output are of the dtype dispatched on; the output is apart from them: the caller's promise.
        floats!(self.out.dtype, "conv", T => unsafe {
            let bias = bias.as_ref().map(|bias| rows::<T>(cpu, bias)).transpose()?;
            let activate = activation.map(|call| {
                move |x: &mut [<T as Stored>::Compute]| elementwise::unary_in_place(isa, call.op, call.params, x)
            });
            let epilogue = gemm::GemmEpilogue {
                accumulate: false,
                bias: bias.as_ref().map_or(Bias::None, |bias| Bias::Row(bias)),
                activation: match (activation, &activate) {
                    (Some(call), _) if call.op == UnaryOp::Relu => GemmActivation::Relu,
                    (_, Some(activate)) => GemmActivation::Map(activate),
                    _ => GemmActivation::None,
                },
            };
            let (x, weight) = (rows::<T>(cpu, &self.x)?, rows::<T>(cpu, &self.weight)?);
            write_rows::<T>(cpu, &self.out, |y| conv::forward(isa, &form, &x, &weight, y, &epilogue))?;
        });
        Ok(Ran::Done)
    }
}

impl OnCpu for ConvGradInputCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let isa = cpu.isa;
        let form = form(&self.conv, self.out.shape, self.weight.layout.shape(), self.dy.layout.shape());
        // SAFETY: operands and output are of the dtype dispatched on; the output is apart from them: the caller's promise.
        floats!(self.out.dtype, "conv_grad_input", T => unsafe {
            let (dy, weight) = (rows::<T>(cpu, &self.dy)?, rows::<T>(cpu, &self.weight)?);
            write_rows::<T>(cpu, &self.out, |dx| conv::grad_input(isa, &form, &dy, &weight, dx))?;
        });
        Ok(Ran::Done)
    }
}

impl OnCpu for ConvGradWeightCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let isa = cpu.isa;
        let form = form(&self.conv, self.x.layout.shape(), self.out.shape, self.dy.layout.shape());
        // SAFETY: operands and output are of the dtype dispatched on; the output is apart from them: the caller's promise.
        floats!(self.out.dtype, "conv_grad_weight", T => unsafe {
            let (x, dy) = (rows::<T>(cpu, &self.x)?, rows::<T>(cpu, &self.dy)?);
            write_rows::<T>(cpu, &self.out, |dw| conv::grad_weight(isa, &form, &x, &dy, dw))?;
        });
        Ok(Ran::Done)
    }
}
