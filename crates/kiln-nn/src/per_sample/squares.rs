//! Σg² of each sample's gradient of one parameter.

use super::recorder::{Recorded, Use};
use kiln_tensor::{Convolution, DType, MatmulOptions, Result, Shape, Tensor};

/// The gradients of samples, before they are computed where that can be spared. All is in the type that is computed in.
pub(super) enum Samples {
    /// Σ_t b[t]ᵀ·a[t], of a (N·groups, T, in) and b (N·groups, T, out).
    Product { a: Tensor, b: Tensor, groups: usize },
    /// Row b[n, t] is added up at index[n, t], of so many; index (N, T), b (N, T, size).
    Rows { index: Tensor, b: Tensor, rows: usize },
    /// The gradients themselves, (N, …).
    Known(Tensor),
}

impl Samples {
    /// Those of a use of a parameter, its weight's or else its bias's, where this is the gradient of the output.
    pub(super) fn new(recorded: &Recorded, gradient: &Tensor, of_weight: bool) -> Result<Self> {
        let computed = gradient.dtype().computed_in();
        let g = gradient.to_dtype(computed)?;
        let wide = |x: &Tensor| x.to_dtype(computed);
        let scaled = |x: &Tensor| if of_weight { g.mul(&wide(x)?) } else { Ok(g.clone()) };
        Ok(match &recorded.how {
            Use::Product(x) if of_weight => Samples::Product { a: rows(&wide(x)?, 1)?, b: rows(&g, 1)?, groups: 1 },
            Use::Product(_) => Samples::Known(rows(&g, 1)?.sum(1)?),
            Use::Convolution(x, conv, weight) if of_weight => convolution(&wide(x)?, &g, conv, weight)?,
            Use::Convolution(..) => Samples::Known(over_positions(&g)?),
            Use::Rows(index, vectors) => {
                let index = index.reshape([g.dims()[0], index.elements() / g.dims()[0].max(1)])?;
                Samples::Rows { index, b: rows(&g, 1)?, rows: *vectors }
            }
            Use::LastAxes(x, axes) => Samples::Known(rows(&scaled(x)?, *axes)?.sum(1)?),
            Use::Channels(x) => Samples::Known(over_positions(&scaled(x)?)?),
        })
    }

    /// Σg² of each sample, (N,), by products between its steps where these need less memory than its gradient.
    pub(super) fn squares(&self) -> Result<Tensor> {
        match self {
            Samples::Product { a, b, groups } if products_are_smaller(a, b) => {
                let each = match a.dims()[1] {
                    1 => of_each(a)?.mul(&of_each(b)?)?,
                    _ => not_negative(&between_steps(a)?.mul(&between_steps(b)?)?.sum([1, 2])?)?,
                };
                each.reshape([each.elements() / groups, *groups])?.sum(1)
            }
            Samples::Rows { index, b, rows } if index.dims()[1].pow(2) <= rows * b.dims()[2] => {
                let same = index.unsqueeze(2)?.eq(&index.unsqueeze(1)?)?;
                not_negative(&between_steps(b)?.mul(&same.to_dtype(b.dtype())?)?.sum([1, 2])?)
            }
            _ => of_each(&self.gradients()?),
        }
    }

    /// The gradients, (N, the parameter's elements).
    pub(super) fn gradients(&self) -> Result<Tensor> {
        let (all, samples) = match self {
            Samples::Product { a, b, groups } => (b.transpose(1, 2)?.matmul(a)?, a.dims()[0] / groups),
            Samples::Rows { index, b, rows } => {
                let [samples, steps] = [index.dims()[0], index.dims()[1]];
                let first = Tensor::arange(samples, index.device())?.mul_scalar(*rows as f64)?;
                let places = index.to_dtype(DType::I64)?.add(&first.unsqueeze(1)?)?.reshape([samples * steps])?;
                let size = b.dims()[2];
                let zeros = Tensor::zeros([samples * rows, size], b.dtype(), b.device())?;
                (zeros.index_add(0, &places, &b.reshape([samples * steps, size])?)?, samples)
            }
            Samples::Known(gradients) => (gradients.clone(), gradients.dims()[0]),
        };
        all.reshape([samples, all.elements() / samples.max(1)])
    }
}

/// Whether T² products of each of the two need less memory than the gradient.
fn products_are_smaller(a: &Tensor, b: &Tensor) -> bool {
    let (steps, inputs, outputs) = (a.dims()[1], a.dims()[2], b.dims()[2]);
    steps == 1 || 2 * steps * steps <= inputs * outputs
}

/// Squares whose terms may cancel: what rounding leaves below 0 is 0. NaN stays.
fn not_negative(squares: &Tensor) -> Result<Tensor> {
    squares.relu()
}

/// x·xᵀ of each sample of (N, T, size): (N, T, T).
fn between_steps(x: &Tensor) -> Result<Tensor> {
    x.matmul(&x.transpose(1, 2)?)
}

/// Σx² of each sample, (N,).
pub(super) fn of_each(x: &Tensor) -> Result<Tensor> {
    let samples = x.dims()[0];
    let x = x.reshape([samples, x.elements() / samples.max(1)])?;
    x.mul(&x)?.sum(1)
}

/// (N, T, size), where size counts the elements of the last axes.
fn rows(x: &Tensor, last: usize) -> Result<Tensor> {
    let (samples, size) = (x.dims()[0], x.dims()[x.rank() - last.min(x.rank() - 1)..].iter().product::<usize>());
    x.reshape([samples, x.elements() / (samples * size).max(1), size])
}

/// The sum over all axes but those of samples and channels.
fn over_positions(x: &Tensor) -> Result<Tensor> {
    let (samples, channels) = (x.dims()[0], x.dims()[1]);
    x.reshape([samples, channels, x.elements() / (samples * channels).max(1)])?.sum(2)
}

/// Of a convolution of x (N, C, D…) by a weight of this shape, where the gradient of the output is g (N, O, P…).
fn convolution(x: &Tensor, g: &Tensor, conv: &Convolution, weight: &Shape) -> Result<Samples> {
    let (samples, groups) = (x.dims()[0], conv.groups);
    let (inputs, outputs) = (weight[1..].iter().product::<usize>(), weight[0] / groups);
    let positions = g.dims()[2..].iter().product::<usize>();
    if 2 * positions * positions <= inputs * outputs {
        let by_position = |x: &Tensor, size| x.reshape([samples * groups, size, positions])?.transpose(1, 2);
        let a = by_position(&patches(x, conv, weight)?, inputs)?;
        return Ok(Samples::Product { a, b: by_position(g, outputs)?, groups });
    }
    // Samples as groups of one sample.
    let as_channels = |x: &Tensor| x.reshape(Shape::new(&[&[1, samples * x.dims()[1]], &x.dims()[2..]].concat())?);
    let conv = Convolution { groups: samples * groups, ..*conv };
    let all = as_channels(x)?.conv_grad_weight(&as_channels(g)?, &conv)?;
    all.reshape([samples, all.elements() / samples.max(1)]).map(Samples::Known)
}

/// What the kernel meets at each position: (N, C·K, P…).
fn patches(x: &Tensor, conv: &Convolution, weight: &Shape) -> Result<Tensor> {
    let (channels, taps) = (x.dims()[1], weight[2..].iter().product::<usize>());
    let one_tap_each = Tensor::eye(taps, x.dtype(), x.device())?.unsqueeze(0)?.broadcast_to([channels, taps, taps])?;
    let kernel = Shape::new(&[&[channels * taps, 1], &weight[2..]].concat())?;
    let conv = Convolution { groups: channels, ..*conv };
    x.conv_with(&one_tap_each.reshape(kernel)?, &conv, MatmulOptions::default())
}
