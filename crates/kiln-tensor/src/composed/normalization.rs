//! Normalisation by the moments of channels, from reductions and elementwise operations.

use super::Scratch;
use crate::{Backend, DType, Layout, Normalization, Out, ReduceOp, Result, Shape, UnaryCall, View};
use kiln_math::{BinaryOp, UnaryOp};

/// The axes that a channel's elements lie along, of (N, C, S).
const OVER: [usize; 2] = [0, 2];

fn computed_in(dtype: DType) -> DType {
    if dtype.is_float() && dtype.size() == 2 { DType::F32 } else { dtype }
}

/// Row `number` of a (2, C) operand, over (N, C, S).
fn row(pair: &View<'_>, number: usize, shape: &Shape) -> Result<Layout> {
    let column = Shape::new(&[1, shape[1], 1])?;
    let start = pair.layout.offset() + number * shape[1];
    Layout::contiguous(column).moved(start).broadcast_to(shape)
}

/// A (C,) operand over (N, C, S).
fn channels(vector: &View<'_>, shape: &Shape) -> Result<Layout> {
    let column = Shape::new(&[1, shape[1], 1])?;
    let layout = vector.layout.reshape(column).unwrap_or(Layout::contiguous(column));
    layout.broadcast_to(shape)
}

/// See [`Backend::moments`].
pub fn moments<B: Backend + ?Sized>(backend: &B, out: Out<'_>, x: View<'_>) -> Result<()> {
    let (shape, dtype) = (*x.layout.shape(), computed_in(out.dtype));
    let both = Scratch::new(backend, *out.shape, dtype)?;
    let vector = Shape::new(&[shape[1]])?;
    let part = |number: usize| Out { shape: &vector, offset: number * shape[1], ..both.out() };
    let centred = Scratch::new(backend, shape, dtype)?;
    backend.copy(centred.view(), x)?;
    backend.reduce(ReduceOp::Mean, part(0), centred.view(), &OVER)?;
    let mean = row(&both.view(), 0, &shape)?;
    backend.binary(BinaryOp::Sub, centred.out(), centred.view(), both.repeated(&mean))?;
    backend.binary(BinaryOp::Mul, centred.out(), centred.view(), centred.view())?;
    backend.reduce(ReduceOp::Mean, part(1), centred.view(), &OVER)?;
    let to = Layout::contiguous(*out.shape).moved(out.offset);
    backend.copy(View { buffer: out.buffer, dtype: out.dtype, layout: &to }, both.view())
}

/// What normalisation computes first: 1/sqrt(variance + ε) (C,) and (x − mean) times that (N, C, S).
struct Normalized<'b, B: Backend + ?Sized> {
    scale: Scratch<'b, B>,
    x: Scratch<'b, B>,
}

fn normalized<'b, B: Backend + ?Sized>(
    backend: &'b B,
    form: &Normalization,
    x: View<'_>,
    moments: View<'_>,
    dtype: DType,
) -> Result<Normalized<'b, B>> {
    let shape = *x.layout.shape();
    let both = Scratch::new(backend, *moments.layout.shape(), dtype)?;
    backend.copy(both.view(), moments)?;
    let vector = Shape::new(&[shape[1]])?;
    let variance = Layout::contiguous(vector).moved(shape[1]);
    let scale = Scratch::new(backend, vector, dtype)?;
    let shift = UnaryCall { op: UnaryOp::Affine, params: [1.0, form.epsilon] };
    backend.unary(shift, scale.out(), View { layout: &variance, ..both.view() })?;
    backend.unary(UnaryOp::Sqrt.into(), scale.out(), scale.view())?;
    backend.unary(UnaryOp::Recip.into(), scale.out(), scale.view())?;
    let centred = Scratch::new(backend, shape, dtype)?;
    backend.copy(centred.view(), x)?;
    let mean = row(&both.view(), 0, &shape)?;
    backend.binary(BinaryOp::Sub, centred.out(), centred.view(), both.repeated(&mean))?;
    let over = channels(&scale.view(), &shape)?;
    backend.binary(BinaryOp::Mul, centred.out(), centred.view(), scale.repeated(&over))?;
    Ok(Normalized { scale, x: centred })
}

/// See [`Backend::normalize`].
pub fn normalize<B: Backend + ?Sized>(
    backend: &B,
    form: &Normalization,
    out: Out<'_>,
    x: View<'_>,
    moments: View<'_>,
    affine: [Option<View<'_>>; 2],
) -> Result<()> {
    let (shape, dtype) = (*out.shape, computed_in(out.dtype));
    let y = normalized(backend, form, x, moments, dtype)?.x;
    for (op, operand) in [BinaryOp::Mul, BinaryOp::Add].into_iter().zip(affine) {
        if let Some(operand) = operand {
            let vector = Scratch::new(backend, *operand.layout.shape(), dtype)?;
            backend.copy(vector.view(), operand)?;
            backend.binary(op, y.out(), y.view(), vector.repeated(&channels(&vector.view(), &shape)?))?;
        }
    }
    if let Some(activation) = form.activation {
        backend.unary(activation, y.out(), y.view())?;
    }
    let to = Layout::contiguous(shape).moved(out.offset);
    backend.copy(View { buffer: out.buffer, dtype: out.dtype, layout: &to }, y.view())
}

/// See [`Backend::normalize_grad`]: with dz = dy · activation′(y), x̂ the normalised x and s = weight / sqrt(variance + ε), weight's
/// gradient is Σ dz·x̂, bias's Σ dz, and dx = s·(dz − mean(dz) − x̂ · mean(dz·x̂)), or s·dz where the moments are constants.
pub fn normalize_grad<B: Backend + ?Sized>(
    backend: &B,
    form: &Normalization,
    dx: Out<'_>,
    affine: Out<'_>,
    [x, y, dy]: [View<'_>; 3],
    moments: View<'_>,
    weight: Option<View<'_>>,
) -> Result<()> {
    let (shape, dtype) = (*dx.shape, computed_in(dx.dtype));
    let Normalized { scale, x: normal } = normalized(backend, form, x, moments, dtype)?;
    let dz = Scratch::new(backend, shape, dtype)?;
    backend.copy(dz.view(), dy)?;
    if let Some(activation) = form.activation {
        let output = Scratch::new(backend, shape, dtype)?;
        backend.copy(output.view(), y)?;
        backend.unary_grad(activation, dz.out(), output.view(), output.view(), dz.view())?;
    }
    let sums = Scratch::new(backend, *affine.shape, dtype)?;
    let vector = Shape::new(&[shape[1]])?;
    let part = |number: usize| Out { shape: &vector, offset: number * shape[1], ..sums.out() };
    let product = Scratch::new(backend, shape, dtype)?;
    backend.binary(BinaryOp::Mul, product.out(), dz.view(), normal.view())?;
    backend.reduce(ReduceOp::Sum, part(0), product.view(), &OVER)?;
    backend.reduce(ReduceOp::Sum, part(1), dz.view(), &OVER)?;
    let to = Layout::contiguous(*affine.shape).moved(affine.offset);
    backend.copy(View { buffer: affine.buffer, dtype: affine.dtype, layout: &to }, sums.view())?;
    if form.own_moments {
        let mean = UnaryCall { op: UnaryOp::Affine, params: [1.0 / (shape[0] * shape[2]).max(1) as f64, 0.0] };
        backend.unary(mean, sums.out(), sums.view())?;
        let over = row(&sums.view(), 0, &shape)?;
        backend.binary(BinaryOp::Mul, normal.out(), normal.view(), sums.repeated(&over))?;
        backend.binary(BinaryOp::Sub, dz.out(), dz.view(), normal.view())?;
        let over = row(&sums.view(), 1, &shape)?;
        backend.binary(BinaryOp::Sub, dz.out(), dz.view(), sums.repeated(&over))?;
    }
    backend.binary(BinaryOp::Mul, dz.out(), dz.view(), scale.repeated(&channels(&scale.view(), &shape)?))?;
    if let Some(weight) = weight {
        let vector = Scratch::new(backend, *weight.layout.shape(), dtype)?;
        backend.copy(vector.view(), weight)?;
        backend.binary(BinaryOp::Mul, dz.out(), dz.view(), vector.repeated(&channels(&vector.view(), &shape)?))?;
    }
    let to = Layout::contiguous(shape).moved(dx.offset);
    backend.copy(View { buffer: dx.buffer, dtype: dx.dtype, layout: &to }, dz.view())
}
