//! Coarse primitives made of finer ones: the default bodies of [`Backend`], and the reference of the fused ones.

mod conv;
mod normalization;
mod part;
mod pool;
mod recurrent;

pub use conv::{conv, conv_grad_input, conv_grad_weight};
pub use normalization::{moments, normalize, normalize_grad};
pub use pool::{max_pool, max_pool_grad};
pub use recurrent::{recurrent, recurrent_grad};

use crate::{
    Backend, Buffer, CompareOp, DType, Distribution, Layout, Out, ReduceOp, Result, Shape, SoftmaxKind, UnaryCall, View,
};
use kiln_math::draws::kept_scale;
use kiln_math::{BinaryOp, UnaryOp};

/// A row-major tensor that lives as long as a composed primitive runs; freed on every way out.
pub(crate) struct Scratch<'b, B: Backend + ?Sized> {
    backend: &'b B,
    buffer: Buffer,
    dtype: DType,
    shape: Shape,
    layout: Layout,
}

impl<'b, B: Backend + ?Sized> Scratch<'b, B> {
    pub(crate) fn new(backend: &'b B, shape: Shape, dtype: DType) -> Result<Self> {
        let buffer = backend.alloc(shape.elements() * dtype.size())?;
        Ok(Scratch { backend, buffer, dtype, shape, layout: Layout::contiguous(shape) })
    }

    pub(crate) fn out(&self) -> Out<'_> {
        Out { buffer: self.buffer, dtype: self.dtype, shape: &self.shape, offset: 0 }
    }

    pub(crate) fn view(&self) -> View<'_> {
        View { buffer: self.buffer, dtype: self.dtype, layout: &self.layout }
    }

    /// The layout that repeats this over `shape`.
    fn over(&self, shape: &Shape) -> Result<Layout> {
        self.layout.broadcast_to(shape)
    }

    fn repeated<'a>(&self, layout: &'a Layout) -> View<'a> {
        View { buffer: self.buffer, dtype: self.dtype, layout }
    }
}

impl<B: Backend + ?Sized> Drop for Scratch<'_, B> {
    fn drop(&mut self) {
        self.backend.free(self.buffer);
    }
}

/// The shape with its last axis at size 1.
fn column(shape: &Shape) -> Result<Shape> {
    shape.with_size(shape.rank() - 1, 1)
}

/// An operand in the type that it is computed in.
fn widened<'b, B: Backend + ?Sized>(backend: &'b B, x: View<'_>) -> Result<Scratch<'b, B>> {
    let wide = Scratch::new(backend, *x.layout.shape(), x.dtype.computed_in())?;
    backend.copy(wide.view(), x)?;
    Ok(wide)
}

/// An output of a half type from what `run` gives in f32, rounded once.
fn narrowed<B: Backend + ?Sized>(backend: &B, out: Out<'_>, run: impl FnOnce(Out<'_>) -> Result<()>) -> Result<()> {
    let wide = Scratch::new(backend, *out.shape, out.dtype.computed_in())?;
    run(wide.out())?;
    let to = Layout::contiguous(*out.shape).moved(out.offset);
    backend.copy(View { buffer: out.buffer, dtype: out.dtype, layout: &to }, wide.view())
}

/// exp(x − max), or its logarithm's form; see [`SoftmaxKind`].
pub fn softmax<B: Backend + ?Sized>(backend: &B, kind: SoftmaxKind, out: Out<'_>, x: View<'_>) -> Result<()> {
    let shape = *out.shape;
    if shape.elements() == 0 {
        return Ok(());
    }
    if out.dtype != out.dtype.computed_in() {
        let x = widened(backend, x)?;
        return narrowed(backend, out, |out| softmax(backend, kind, out, x.view()));
    }
    let axis = shape.rank() - 1;
    let max = Scratch::new(backend, column(&shape)?, out.dtype)?;
    backend.reduce(ReduceOp::Max, max.out(), x, &[axis])?;
    let shifted = Scratch::new(backend, shape, out.dtype)?;
    let max_over = max.over(&shape)?;
    backend.binary(BinaryOp::Sub, shifted.out(), x, max.repeated(&max_over))?;
    let exp = Scratch::new(backend, shape, out.dtype)?;
    backend.unary(UnaryOp::Exp.into(), exp.out(), shifted.view())?;
    let sum = Scratch::new(backend, column(&shape)?, out.dtype)?;
    backend.reduce(ReduceOp::Sum, sum.out(), exp.view(), &[axis])?;
    let sum_over = sum.over(&shape)?;
    match kind {
        SoftmaxKind::Softmax => backend.binary(BinaryOp::Div, out, exp.view(), sum.repeated(&sum_over)),
        SoftmaxKind::LogSoftmax => {
            backend.unary(UnaryOp::Ln.into(), sum.out(), sum.view())?;
            backend.binary(BinaryOp::Sub, out, shifted.view(), sum.repeated(&sum_over))
        }
    }
}

/// y·(dy − Σ y·dy), or dy − exp(y)·Σ dy.
pub fn softmax_grad<B: Backend + ?Sized>(
    backend: &B,
    kind: SoftmaxKind,
    out: Out<'_>,
    y: View<'_>,
    dy: View<'_>,
) -> Result<()> {
    if out.dtype != out.dtype.computed_in() {
        let (y, dy) = (widened(backend, y)?, widened(backend, dy)?);
        return narrowed(backend, out, |out| softmax_grad(backend, kind, out, y.view(), dy.view()));
    }
    let shape = *out.shape;
    let axis = shape.rank() - 1;
    let product = Scratch::new(backend, shape, out.dtype)?;
    let sum = Scratch::new(backend, column(&shape)?, out.dtype)?;
    let over = sum.over(&shape)?;
    match kind {
        SoftmaxKind::Softmax => {
            backend.binary(BinaryOp::Mul, product.out(), y, dy)?;
            backend.reduce(ReduceOp::Sum, sum.out(), product.view(), &[axis])?;
            backend.binary(BinaryOp::Sub, product.out(), dy, sum.repeated(&over))?;
            backend.binary(BinaryOp::Mul, out, y, product.view())
        }
        SoftmaxKind::LogSoftmax => {
            backend.reduce(ReduceOp::Sum, sum.out(), dy, &[axis])?;
            backend.unary(UnaryOp::Exp.into(), product.out(), y)?;
            backend.binary(BinaryOp::Mul, product.out(), product.view(), sum.repeated(&over))?;
            backend.binary(BinaryOp::Sub, out, dy, product.view())
        }
    }
}

/// Labels as rows of 0 and 1 in the logits' dtype; weights as they are.
fn weights<'b, B: Backend + ?Sized>(
    backend: &'b B,
    target: View<'_>,
    shape: Shape,
    dtype: DType,
) -> Result<Option<Scratch<'b, B>>> {
    if target.dtype.is_float() {
        return Ok(None);
    }
    let classes = shape[1];
    let positions: Vec<u8> = (0..classes as i64).flat_map(i64::to_ne_bytes).collect();
    let counting = Scratch::new(backend, Shape::new(&[1, classes])?, DType::I64)?;
    backend.upload(counting.buffer, 0, &positions)?;
    let labels = Scratch::new(backend, Shape::new(&[shape[0], 1])?, DType::I64)?;
    let as_column = target.layout.reshape(labels.shape);
    let layout = as_column.unwrap_or(*target.layout);
    backend.copy(labels.view(), View { layout: &layout, ..target })?;
    let mask = Scratch::new(backend, shape, DType::Bool)?;
    let (a, b) = (labels.over(&shape)?, counting.over(&shape)?);
    backend.compare(CompareOp::Eq, mask.out(), labels.repeated(&a), counting.repeated(&b))?;
    let weights = Scratch::new(backend, shape, dtype)?;
    backend.copy(weights.view(), mask.view())?;
    Ok(Some(weights))
}

/// −Σ t · log_softmax(x) of each row.
pub fn cross_entropy<B: Backend + ?Sized>(backend: &B, out: Out<'_>, logits: View<'_>, target: View<'_>) -> Result<()> {
    let shape = *logits.layout.shape();
    let labels = weights(backend, target, shape, out.dtype)?;
    let t = labels.as_ref().map_or(target, Scratch::view);
    let log = Scratch::new(backend, shape, out.dtype)?;
    softmax(backend, SoftmaxKind::LogSoftmax, log.out(), logits)?;
    backend.binary(BinaryOp::Mul, log.out(), log.view(), t)?;
    // A class of weight 0 counts for nothing, also where its logarithm is −∞.
    let zero = Scratch::new(backend, Shape::SCALAR, out.dtype)?;
    backend.fill(zero.out(), 0.0)?;
    let over = zero.over(&shape)?;
    let none = Scratch::new(backend, shape, DType::Bool)?;
    backend.compare(CompareOp::Eq, none.out(), t, zero.repeated(&over))?;
    backend.select(log.out(), none.view(), zero.repeated(&over), log.view())?;
    let sum = Scratch::new(backend, *out.shape, out.dtype)?;
    backend.reduce(ReduceOp::Sum, sum.out(), log.view(), &[1])?;
    backend.unary(UnaryOp::Neg.into(), out, sum.view())
}

/// dy · (softmax(x) · Σ t − t) of each row.
pub fn cross_entropy_grad<B: Backend + ?Sized>(
    backend: &B,
    out: Out<'_>,
    logits: View<'_>,
    target: View<'_>,
    dy: View<'_>,
) -> Result<()> {
    let shape = *logits.layout.shape();
    let labels = weights(backend, target, shape, out.dtype)?;
    let t = labels.as_ref().map_or(target, Scratch::view);
    let mass = Scratch::new(backend, column(&shape)?, out.dtype)?;
    backend.reduce(ReduceOp::Sum, mass.out(), t, &[1])?;
    let slope = Scratch::new(backend, shape, out.dtype)?;
    softmax(backend, SoftmaxKind::Softmax, slope.out(), logits)?;
    let over = mass.over(&shape)?;
    backend.binary(BinaryOp::Mul, slope.out(), slope.view(), mass.repeated(&over))?;
    backend.binary(BinaryOp::Sub, slope.out(), slope.view(), t)?;
    let gradient = Scratch::new(backend, column(&shape)?, out.dtype)?;
    let flat = Shape::new(&[shape[0]])?;
    backend.copy(View { layout: &Layout::contiguous(flat), ..gradient.view() }, dy)?;
    let over = gradient.over(&shape)?;
    backend.binary(BinaryOp::Mul, out, slope.view(), gradient.repeated(&over))
}

/// x / (1 − rate) where a uniform draw is at least `rate`, else 0.
pub fn dropout<B: Backend + ?Sized>(backend: &B, rate: f64, out: Out<'_>, x: View<'_>, stream: View<'_>) -> Result<()> {
    let shape = *out.shape;
    let draw = Scratch::new(backend, shape, DType::F32)?;
    backend.random(Distribution::Uniform { low: 0.0, high: 1.0 }, draw.out(), stream)?;
    let threshold = Scratch::new(backend, Shape::SCALAR, DType::F32)?;
    backend.fill(threshold.out(), rate)?;
    let over = threshold.over(&shape)?;
    let keep = Scratch::new(backend, shape, DType::Bool)?;
    backend.compare(CompareOp::Ge, keep.out(), draw.view(), threshold.repeated(&over))?;
    let scaled = Scratch::new(backend, shape, out.dtype)?;
    let scale = UnaryCall { op: UnaryOp::Affine, params: [kept_scale(rate), 0.0] };
    backend.unary(scale, scaled.out(), x)?;
    let zero = Scratch::new(backend, Shape::SCALAR, out.dtype)?;
    backend.fill(zero.out(), 0.0)?;
    let over = zero.over(&shape)?;
    backend.select(out, keep.view(), scaled.view(), zero.repeated(&over))
}
