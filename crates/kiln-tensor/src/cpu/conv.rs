//! Convolutions: from windows to the kernels' forms.

use super::rows::{rows, write_rows};
use crate::{Convolution, Epilogue, Out, Result, Shape, View, Window};
use kiln_cpu::conv::{self, Conv, Float};
use kiln_cpu::gemm::{self, Activation, Bias};
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

pub(super) fn forward<T: Stored<Compute: Float>>(
    isa: Isa,
    conv: &Convolution,
    out: &Out<'_>,
    x: &View<'_>,
    weight: &View<'_>,
    epilogue: &Epilogue<'_>,
) -> Result<()> {
    let form = form(conv, x.layout.shape(), weight.layout.shape(), out.shape);
    let bias = epilogue.bias.as_ref().map(rows::<T>).transpose()?;
    let activate = epilogue
        .activation
        .map(|call| move |x: &mut [T::Compute]| elementwise::unary_in_place(isa, call.op, call.params, x));
    let epilogue = gemm::Epilogue {
        accumulate: false,
        bias: bias.as_ref().map_or(Bias::None, |bias| Bias::Row(bias)),
        activation: match (&epilogue.activation, &activate) {
            (Some(call), _) if call.op == UnaryOp::Relu => Activation::Relu,
            (_, Some(activate)) => Activation::Map(activate),
            _ => Activation::None,
        },
    };
    let (x, weight) = (rows::<T>(x)?, rows::<T>(weight)?);
    write_rows::<T>(out, |y| conv::forward(isa, &form, &x, &weight, y, &epilogue))
}

pub(super) fn grad_input<T: Stored<Compute: Float>>(
    isa: Isa,
    conv: &Convolution,
    out: &Out<'_>,
    dy: &View<'_>,
    weight: &View<'_>,
) -> Result<()> {
    let form = form(conv, out.shape, weight.layout.shape(), dy.layout.shape());
    let (dy, weight) = (rows::<T>(dy)?, rows::<T>(weight)?);
    write_rows::<T>(out, |dx| conv::grad_input(isa, &form, &dy, &weight, dx))
}

pub(super) fn grad_weight<T: Stored<Compute: Float>>(
    isa: Isa,
    conv: &Convolution,
    out: &Out<'_>,
    x: &View<'_>,
    dy: &View<'_>,
) -> Result<()> {
    let form = form(conv, x.layout.shape(), out.shape, dy.layout.shape());
    let (x, dy) = (rows::<T>(x)?, rows::<T>(dy)?);
    write_rows::<T>(out, |dw| conv::grad_weight(isa, &form, &x, &dy, dw))
}
