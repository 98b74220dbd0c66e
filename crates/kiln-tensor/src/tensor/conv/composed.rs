//! Convolutions as batched matrix products, one for each block of taps of the kernel, or for each tap.
//!
//! The convolution and its gradients are linear in each operand and each other's derivatives, so these forms are never
//! differentiated and are written over tensors alone.

use super::{MatmulOptions, Tensor};
use crate::{Convolution, MAX_SPATIAL, Result, Shape, Window};
use kiln_math::taps_in_block;

type Sizes = [usize; MAX_SPATIAL];

/// The spatial axes of a tensor (N, C, D…): where each is in the tensor and among three.
fn axes(x: &Tensor) -> impl Iterator<Item = (usize, usize)> + use<> {
    let spatial = x.rank() - 2;
    (0..spatial).map(move |axis| (2 + axis, MAX_SPATIAL - spatial + axis))
}

/// What a tap meets of x, whose padding is already there: (N, C, P…).
fn at_tap(x: &Tensor, window: &Window, tap: Sizes, sizes: Sizes) -> Result<Tensor> {
    axes(x).try_fold(x.clone(), |cut, (axis, of)| {
        let (start, stride) = (tap[of] * window.dilation[of], window.stride[of]);
        let reach = sizes[of].checked_sub(1).map_or(0, |last| last * stride + 1);
        cut.slice_by(axis, start..start + reach, stride as isize)
    })
}

/// x between its zeros.
fn padded(x: &Tensor, window: &Window) -> Result<Tensor> {
    x.pad(&window.padding[MAX_SPATIAL + 2 - x.rank()..], 0.0)
}

/// The weights of one tap, (groups, O/groups, C/groups), of a weight (O, C/groups, K…).
fn tap_of(weight: &Tensor, groups: usize, tap: usize) -> Result<Tensor> {
    let [outputs, inputs] = [weight.dims()[0], weight.dims()[1]];
    let taps: usize = weight.dims()[2..].iter().product();
    weight.reshape([groups, outputs / groups, inputs, taps])?.index(3, tap)
}

/// (N, groups·M, P…) = Σ over taps of `weight(tap)` (groups, M, K) times what the tap meets of x (N, groups·K, D…). So many
/// taps are one product as are a block of the sum: see [`taps_in_block`].
fn sum_of_taps(
    (window, groups): (&Window, usize),
    shape: &Shape,
    x: &Tensor,
    weight: impl Fn(usize) -> Result<Tensor>,
) -> Result<Tensor> {
    let sizes = Window::sizes(shape);
    let (n, inner, positions) = (shape[0], x.dims()[1] / groups, sizes.iter().product::<usize>());
    let taps: Vec<_> = window.each_tap().enumerate().collect();
    let mut sum: Option<Tensor> = None;
    for taps in taps.chunks(taps_in_block(inner).min(window.taps())) {
        let (mut met, mut weights) = (Vec::new(), Vec::new());
        for &(number, tap) in taps {
            met.push(at_tap(x, window, tap, sizes)?.reshape([n, groups, inner, positions])?);
            weights.push(weight(number)?);
        }
        let met = Tensor::concat(&met.iter().collect::<Vec<_>>(), 2)?;
        let weights = Tensor::concat(&weights.iter().collect::<Vec<_>>(), 2)?;
        match &mut sum {
            None => sum = Some(weights.matmul(&met)?),
            Some(sum) => sum.add_matmul(&weights, &met)?,
        }
    }
    sum.map_or_else(|| Tensor::zeros(shape, x.dtype, x.device()), |sum| sum.reshape(shape))
}

/// See [`crate::ConvCall`].
///
/// # Errors
/// Those of the operations.
pub fn conv(x: &Tensor, weight: &Tensor, conv: &Convolution, after: MatmulOptions<'_>) -> Result<Tensor> {
    let shape = conv.output_shape(x.shape(), weight.shape())?;
    if shape.elements() == 0 {
        return Tensor::zeros(shape, x.dtype, x.device());
    }
    let wide = |of: &Tensor| of.to_dtype(x.dtype.computed_in());
    let weight = wide(weight)?;
    let x_padded = padded(&wide(x)?, &conv.window)?;
    let mut y = sum_of_taps((&conv.window, conv.groups), &shape, &x_padded, |tap| tap_of(&weight, conv.groups, tap))?;
    if let Some(bias) = after.bias {
        y = y.add(&wide(bias)?.reshape(Window::shape(&[shape[1]], [1; MAX_SPATIAL], shape.rank() - 2)?)?)?;
    }
    if let Some(activation) = after.activation {
        y = y.into_unary(activation)?;
    }
    y.to_dtype(x.dtype)
}

/// dy with its elements `stride` apart along `axis`, the first at `start`, in `length` zeros; those outside are cut off.
fn spread(dy: &Tensor, axis: usize, stride: usize, start: isize, length: usize) -> Result<Tensor> {
    let given = dy.dims()[axis];
    let before = |end: isize| ((end - start).max(0) as usize).div_ceil(stride).min(given);
    let (first, end) = (before(0), before(length as isize));
    let mut sides = vec![(0, 0); dy.rank() - axis];
    if first >= end {
        sides[0] = (length, 0);
        return dy.slice(axis, 0..0)?.pad(&sides, 0.0);
    }
    let count = end - first;
    let kept = dy.slice(axis, first..end)?.unsqueeze(axis + 1)?;
    let mut gaps = sides.clone();
    gaps[0] = (0, stride - 1);
    let apart = kept.pad(&gaps, 0.0)?.reshape(dy.shape().with_size(axis, count * stride)?)?;
    let reach = (count - 1) * stride + 1;
    let lead = ((first * stride) as isize + start) as usize;
    sides[0] = (lead, length - lead - reach);
    apart.slice(axis, 0..reach)?.pad(&sides, 0.0)
}

/// See [`crate::ConvGradInputCall`]: dy, spread to the distances of the stride, under the reversed kernel.
///
/// # Errors
/// A dy that is not of the output's shape; those of the operations.
pub fn conv_grad_input(dy: &Tensor, weight: &Tensor, conv: &Convolution, shape: &Shape) -> Result<Tensor> {
    dy.expect_output_of(conv, shape, weight)?;
    if shape.elements() == 0 {
        return Tensor::zeros(shape, dy.dtype, dy.device());
    }
    let (window, sizes, dtype) = (&conv.window, Window::sizes(shape), dy.dtype.computed_in());
    let weight = weight.to_dtype(dtype)?;
    let wide = axes(dy).try_fold(dy.to_dtype(dtype)?, |dy, (axis, of)| {
        let lead = window.extent(of) - 1;
        spread(&dy, axis, window.stride[of], lead as isize - window.padding[of].0 as isize, sizes[of] + lead)
    })?;
    let unit = Window { stride: [1; MAX_SPATIAL], padding: [(0, 0); MAX_SPATIAL], ..*window };
    let last = window.taps() - 1;
    let sum = sum_of_taps((&unit, conv.groups), shape, &wide, |tap| {
        tap_of(&weight, conv.groups, last - tap)?.transpose(1, 2)
    })?;
    sum.to_dtype(dy.dtype)
}

/// See [`crate::ConvGradWeightCall`]: for each tap, dy times what it meets, summed over positions and samples.
///
/// # Errors
/// Those of the operations.
pub fn conv_grad_weight(x: &Tensor, dy: &Tensor, conv: &Convolution) -> Result<Tensor> {
    let shape = conv.weight_shape(x.shape(), dy.shape())?;
    let (groups, dtype, sizes) = (conv.groups, x.dtype.computed_in(), Window::sizes(dy.shape()));
    let (rows, inner) = (shape[0] / groups, shape[1]);
    let sums = dy.dims()[0] * sizes.iter().product::<usize>();
    if sums == 0 || shape.elements() == 0 {
        return Tensor::zeros(shape, x.dtype, x.device());
    }
    // Samples last: (channels, positions, samples).
    let order: Vec<usize> = (1..x.rank()).chain([0]).collect();
    let x_padded = padded(&x.to_dtype(dtype)?, &conv.window)?;
    let by = dy.to_dtype(dtype)?.permute(&order)?.reshape([groups, rows, sums])?;
    let mut taps = Vec::new();
    for tap in conv.window.each_tap() {
        let met = at_tap(&x_padded, &conv.window, tap, sizes)?.permute(&order)?.reshape([groups, inner, sums])?;
        taps.push(by.matmul(&met.transpose(1, 2)?)?);
    }
    Tensor::stack(&taps.iter().collect::<Vec<_>>(), 3)?.reshape(shape)?.to_dtype(x.dtype)
}
