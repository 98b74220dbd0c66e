//! Convolutions: from windows to the kernels' forms.

use super::rows::{rows, write_rows};
use crate::{
    ConvCall, ConvGradInputCall, ConvGradWeightCall, Convolution, DType, Epilogue, Result, Shape, Window,
    unsupported_dtype,
};
use half::{bf16, f16};
use kiln_cpu::conv::{self, Conv};
use kiln_cpu::gemm::{self, Bias, GemmActivation};
use kiln_cpu::operand::Stored;
use kiln_cpu::{Isa, elementwise};
use kiln_math::UnaryOp;

/// The kernels' form of a convolution of x by weight to y.
fn form(conv: &Convolution, x: &Shape, weight: &Shape, y: &Shape) -> Conv {
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

pub(super) fn forward(isa: Isa, call: &ConvCall<'_>) -> Result<()> {
    let form = form(&call.conv, call.x.layout.shape(), call.weight.layout.shape(), call.out.shape);
    let Epilogue { bias, activation, .. } = &call.epilogue;
    floats!(call.out.dtype, "conv", T => {
        let bias = bias.as_ref().map(rows::<T>).transpose()?;
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
        let (x, weight) = (rows::<T>(&call.x)?, rows::<T>(&call.weight)?);
        write_rows::<T>(&call.out, |y| conv::forward(isa, &form, &x, &weight, y, &epilogue))?;
    });
    Ok(())
}

pub(super) fn grad_input(isa: Isa, call: &ConvGradInputCall<'_>) -> Result<()> {
    let form = form(&call.conv, call.out.shape, call.weight.layout.shape(), call.dy.layout.shape());
    floats!(call.out.dtype, "conv_grad_input", T => {
        let (dy, weight) = (rows::<T>(&call.dy)?, rows::<T>(&call.weight)?);
        write_rows::<T>(&call.out, |dx| conv::grad_input(isa, &form, &dy, &weight, dx))?;
    });
    Ok(())
}

pub(super) fn grad_weight(isa: Isa, call: &ConvGradWeightCall<'_>) -> Result<()> {
    let form = form(&call.conv, call.x.layout.shape(), call.out.shape, call.dy.layout.shape());
    floats!(call.out.dtype, "conv_grad_weight", T => {
        let (x, dy) = (rows::<T>(&call.x)?, rows::<T>(&call.dy)?);
        write_rows::<T>(&call.out, |dw| conv::grad_weight(isa, &form, &x, &dy, dw))?;
    });
    Ok(())
}
