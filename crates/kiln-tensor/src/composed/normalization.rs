//! Normalisation by the moments of channels, from reductions and elementwise operations.

use super::Scratch;
use crate::{Backend, CompareOp, DType, Layout, Normalization, Out, ReduceOp, Result, Shape, UnaryCall, View};
use kiln_math::{BinaryOp, UnaryOp};

/// The axes that a channel's elements lie along, of (N, C, S).
const OVER: [usize; 2] = [0, 2];

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
    let shape = *x.layout.shape();
    let vector = Shape::new(&[shape[1]])?;
    let pair = Layout::contiguous(*out.shape).moved(out.offset);
    let both = View { buffer: out.buffer, dtype: out.dtype, layout: &pair };
    let part = |number: usize| Out { shape: &vector, offset: out.offset + number * shape[1], ..out };
    let shifted = Scratch::new(backend, shape, out.dtype)?;
    backend.copy(shifted.view(), x)?;
    if shape[0] * shape[2] == 0 {
        return backend.fill(out, f64::NAN);
    }
    // Less a first element, what is added up is small, and what is constant gives exactly 0.
    let first = finite_firsts(backend, &shifted)?;
    let over = first.over(&shape)?;
    backend.binary(BinaryOp::Sub, shifted.out(), shifted.view(), first.repeated(&over))?;
    backend.reduce(ReduceOp::Mean, part(0), shifted.view(), &OVER)?;
    let mean = row(&both, 0, &shape)?;
    backend.binary(BinaryOp::Sub, shifted.out(), shifted.view(), View { layout: &mean, ..both })?;
    backend.binary(BinaryOp::Mul, shifted.out(), shifted.view(), shifted.view())?;
    backend.reduce(ReduceOp::Mean, part(1), shifted.view(), &OVER)?;
    let (mean, first_element) = (pair.slice(0, 0, 1, 1)?, Layout::contiguous(Shape::new(&[1, shape[1]])?));
    let (mean, first) = (View { layout: &mean, ..both }, View { layout: &first_element, ..first.view() });
    let row = Shape::new(&[1, shape[1]])?;
    backend.binary(BinaryOp::Add, Out { shape: &row, ..out }, mean, first)
}

/// The first element of each channel (1, C, 1), or 0 where that is not finite.
fn finite_firsts<'b, B: Backend + ?Sized>(backend: &'b B, x: &Scratch<'b, B>) -> Result<Scratch<'b, B>> {
    let (x, column) = (x.view(), Shape::new(&[1, x.shape[1], 1])?);
    let here = x.layout.slice(0, 0, 1, 1)?.slice(2, 0, 1, 1)?;
    let [first, zero, itself] = [(); 3].map(|()| Scratch::new(backend, column, x.dtype));
    let (first, zero, itself) = (first?, zero?, itself?);
    backend.copy(first.view(), View { layout: &here, ..x })?;
    backend.fill(zero.out(), 0.0)?;
    // Infinity less itself is no number.
    backend.binary(BinaryOp::Sub, itself.out(), first.view(), first.view())?;
    let finite = Scratch::new(backend, column, DType::Bool)?;
    backend.compare(CompareOp::Eq, finite.out(), itself.view(), zero.view())?;
    backend.select(itself.out(), finite.view(), first.view(), zero.view())?;
    Ok(itself)
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
    let vector = Shape::new(&[shape[1]])?;
    let variance = Layout::contiguous(vector).moved(moments.layout.offset() + shape[1]);
    let scale = Scratch::new(backend, vector, dtype)?;
    let shift = UnaryCall { op: UnaryOp::Affine, params: [1.0, form.epsilon] };
    backend.unary(shift, scale.out(), View { layout: &variance, ..moments })?;
    backend.unary(UnaryOp::Sqrt.into(), scale.out(), scale.view())?;
    backend.unary(UnaryOp::Recip.into(), scale.out(), scale.view())?;
    let centred = Scratch::new(backend, shape, dtype)?;
    backend.copy(centred.view(), x)?;
    let mean = row(&moments, 0, &shape)?;
    backend.binary(BinaryOp::Sub, centred.out(), centred.view(), View { layout: &mean, ..moments })?;
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
    let (shape, dtype) = (*out.shape, out.dtype.computed_in());
    let y = normalized(backend, form, x, moments, dtype)?.x;
    for (op, operand) in [BinaryOp::Mul, BinaryOp::Add].into_iter().zip(affine) {
        if let Some(operand) = operand {
            let over = channels(&operand, &shape)?;
            backend.binary(op, y.out(), y.view(), View { layout: &over, ..operand })?;
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
    let (shape, dtype) = (*dx.shape, dx.dtype.computed_in());
    let Normalized { scale, x: normal } = normalized(backend, form, x, moments, dtype)?;
    let dz = Scratch::new(backend, shape, dtype)?;
    backend.copy(dz.view(), dy)?;
    if let Some(activation) = form.activation {
        let output = Scratch::new(backend, shape, dtype)?;
        backend.copy(output.view(), y)?;
        backend.unary_grad(activation, dz.out(), output.view(), output.view(), dz.view())?;
    }
    let sums = Scratch::new(backend, *affine.shape, affine.dtype)?;
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
        let over = channels(&weight, &shape)?;
        backend.binary(BinaryOp::Mul, dz.out(), dz.view(), View { layout: &over, ..weight })?;
    }
    let to = Layout::contiguous(shape).moved(dx.offset);
    backend.copy(View { buffer: dx.buffer, dtype: dx.dtype, layout: &to }, dz.view())
}
