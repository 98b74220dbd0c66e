//! What the composed forms of coarse operations are written over: [`Tensor`], or kiln-autograd's `Var`, which can be
//! differentiated.

use crate::{Cut, DType, Normalization, Result, ScanOp, ScatterOp, Shape, Tensor, UnaryCall};
use kiln_cpu::blend::Taps;
use kiln_math::{BinaryOp, UnaryOp};
use std::ops::Range;
use std::sync::Arc;

/// Fine operations on a value. The methods do what those of [`Tensor`] of the same name do, with the same errors.
///
/// A composed form that is generic over this trait serves three purposes: it runs where a device has no kernel for the
/// operation, kernels are tested against it, and its derivative is the operation's gradient wherever no kernel gives one.
#[allow(missing_docs, clippy::missing_errors_doc)] // Tensor's methods document them
pub trait Arithmetic: Clone {
    /// A value that no gradient is wanted of.
    fn constant(tensor: Tensor) -> Self;
    /// The numbers.
    fn value(&self) -> &Tensor;
    /// The shape.
    fn shape(&self) -> &Shape {
        self.value().shape()
    }

    fn unary(&self, call: UnaryCall) -> Result<Self>;
    fn binary(&self, op: BinaryOp, other: &Self) -> Result<Self>;
    /// Σ over `axes`, which stay at size 1.
    fn sum_keepdim(&self, axes: &[usize]) -> Result<Self>;
    /// The mean over `axes`, which stay at size 1.
    fn mean_keepdim(&self, axes: &[usize]) -> Result<Self>;
    /// The largest over `axes`, which stay at size 1.
    fn max_keepdim(&self, axes: &[usize]) -> Result<Self>;
    /// The smallest over `axes`, which stay at size 1.
    fn min_keepdim(&self, axes: &[usize]) -> Result<Self>;
    /// Σ x² over `axes`, which stay at size 1; of centered ones, Σ (x − mean)².
    fn squares_keepdim(&self, axes: &[usize], centered: bool) -> Result<Self>;
    /// x\[0\] ∘ … ∘ x\[i\] along `axis`.
    fn scan(&self, op: ScanOp, axis: usize) -> Result<Self>;
    /// y\[i\] = x\[i\]·y\[i − 1\] + terms\[i\] along `axis`.
    fn linear_scan(&self, terms: &Self, axis: usize) -> Result<Self>;
    /// Each index of `axis` as a weighted sum of indices; f32 or f64.
    fn blend(&self, axis: usize, taps: &Arc<Taps>) -> Result<Self>;
    /// (x − mean) / sqrt(variance + ε) of x (N, C, S) with each channel's own moments; f32 or f64.
    fn normalized_channels(&self, epsilon: f64) -> Result<Self>;
    /// The elements at `positions` along `axis`, which are `values`.
    fn chosen(&self, axis: usize, values: Tensor, positions: &Tensor) -> Result<Self>;
    /// Whether a gradient is wanted.
    fn is_recorded(&self) -> bool;
    fn matmul(&self, other: &Self) -> Result<Self>;
    fn select(condition: &Tensor, a: &Self, b: &Self) -> Result<Self>;
    fn reshape(&self, shape: Shape) -> Result<Self>;
    fn transpose(&self, a: usize, b: usize) -> Result<Self>;
    fn permute(&self, order: &[usize]) -> Result<Self>;
    fn broadcast_to(&self, shape: Shape) -> Result<Self>;
    fn slice(&self, axis: usize, range: Range<usize>) -> Result<Self> {
        self.slice_by(axis, range, 1)
    }
    fn slice_by(&self, axis: usize, range: Range<usize>, step: isize) -> Result<Self>;
    /// Zeros of `shape` with this at a range of an axis: the adjoint of `slice_by`.
    fn embed_by(&self, axis: usize, range: Range<usize>, step: isize, shape: Shape) -> Result<Self>;
    /// This, in which the part that `cuts` make is `value`, which has the part's shape.
    fn put_part(self, cuts: &[Cut], value: &Self) -> Result<Self>;
    /// y\[…, i, …, j\] = x\[…, i·step + j·dilation, …\]: windows of `size` elements of an axis, along a new last axis.
    fn windows(&self, axis: usize, size: usize, step: usize, dilation: usize) -> Result<Self>;
    fn pad(&self, sides: &[(usize, usize)], value: f64) -> Result<Self>;
    fn crop(&self, sides: &[(usize, usize)]) -> Result<Self>;
    fn concat(parts: &[&Self], axis: usize) -> Result<Self>;
    fn stack(parts: &[&Self], axis: usize) -> Result<Self>;
    fn index_select(&self, axis: usize, index: &Tensor) -> Result<Self>;
    /// This, in which `source` was put by `op` at `index` (i64, one axis) of an axis: the adjoint of `index_select` for a sum.
    fn put_rows(self, op: ScatterOp, axis: usize, index: &Tensor, source: &Self) -> Result<Self>;
    fn gather(&self, axis: usize, index: &Tensor) -> Result<Self>;
    /// This after [`Tensor::scatter_assign`]: the adjoint of `gather` for a sum.
    fn put_elements(self, op: ScatterOp, axis: usize, index: &Tensor, source: &Self) -> Result<Self>;
    fn to_dtype(&self, dtype: DType) -> Result<Self>;

    fn add(&self, other: &Self) -> Result<Self> {
        self.binary(BinaryOp::Add, other)
    }
    fn sub(&self, other: &Self) -> Result<Self> {
        self.binary(BinaryOp::Sub, other)
    }
    fn mul(&self, other: &Self) -> Result<Self> {
        self.binary(BinaryOp::Mul, other)
    }
    fn div(&self, other: &Self) -> Result<Self> {
        self.binary(BinaryOp::Div, other)
    }
    /// The operation `op`, which has no constants.
    fn map(&self, op: UnaryOp) -> Result<Self> {
        self.unary(op.into())
    }
    /// x · scale + shift
    fn affine(&self, scale: f64, shift: f64) -> Result<Self> {
        self.unary(UnaryCall { op: UnaryOp::Affine, params: [scale, shift] })
    }

    /// `run` of this, computed in f32 and rounded once where this is of a half type.
    fn in_wide(&self, run: impl FnOnce(&Self) -> Result<Self>) -> Result<Self> {
        let dtype = self.value().dtype();
        if dtype.computed_in() == dtype {
            return run(self);
        }
        run(&self.to_dtype(dtype.computed_in())?)?.to_dtype(dtype)
    }
}

impl Arithmetic for Tensor {
    fn constant(tensor: Tensor) -> Self {
        tensor
    }
    fn value(&self) -> &Tensor {
        self
    }
    fn unary(&self, call: UnaryCall) -> Result<Self> {
        Tensor::unary(self, call)
    }
    fn binary(&self, op: BinaryOp, other: &Self) -> Result<Self> {
        Tensor::binary(self, op, other)
    }
    fn sum_keepdim(&self, axes: &[usize]) -> Result<Self> {
        Tensor::sum_keepdim(self, axes)
    }
    fn mean_keepdim(&self, axes: &[usize]) -> Result<Self> {
        Tensor::mean_keepdim(self, axes)
    }
    fn max_keepdim(&self, axes: &[usize]) -> Result<Self> {
        Tensor::max_keepdim(self, axes)
    }
    fn min_keepdim(&self, axes: &[usize]) -> Result<Self> {
        Tensor::min_keepdim(self, axes)
    }
    fn squares_keepdim(&self, axes: &[usize], centered: bool) -> Result<Self> {
        Tensor::squares(self, axes, centered)
    }
    fn scan(&self, op: ScanOp, axis: usize) -> Result<Self> {
        Tensor::scanned(self, op, axis)
    }
    fn linear_scan(&self, terms: &Self, axis: usize) -> Result<Self> {
        Tensor::scanned_linear(self, terms, axis)
    }
    fn blend(&self, axis: usize, taps: &Arc<Taps>) -> Result<Self> {
        Tensor::blend(self, axis, taps)
    }
    fn normalized_channels(&self, epsilon: f64) -> Result<Self> {
        let form = Normalization { epsilon, own_moments: true, activation: None };
        self.normalize(&form, &self.moments()?, None, None)
    }
    fn chosen(&self, _axis: usize, values: Tensor, _positions: &Tensor) -> Result<Self> {
        Ok(values)
    }
    fn is_recorded(&self) -> bool {
        false
    }
    fn matmul(&self, other: &Self) -> Result<Self> {
        Tensor::matmul(self, other)
    }
    fn select(condition: &Tensor, a: &Self, b: &Self) -> Result<Self> {
        Tensor::select(condition, a, b)
    }
    fn reshape(&self, shape: Shape) -> Result<Self> {
        Tensor::reshape(self, shape)
    }
    fn transpose(&self, a: usize, b: usize) -> Result<Self> {
        Tensor::transpose(self, a, b)
    }
    fn permute(&self, order: &[usize]) -> Result<Self> {
        Tensor::permute(self, order)
    }
    fn broadcast_to(&self, shape: Shape) -> Result<Self> {
        Tensor::broadcast_to(self, shape)
    }
    fn slice_by(&self, axis: usize, range: Range<usize>, step: isize) -> Result<Self> {
        Tensor::slice_by(self, axis, range, step)
    }
    fn embed_by(&self, axis: usize, range: Range<usize>, step: isize, shape: Shape) -> Result<Self> {
        let mut zeros = Tensor::zeros(shape, self.dtype(), self.device())?;
        zeros.slice_assign_by("embed", axis, range, step, self)?;
        Ok(zeros)
    }
    fn put_part(mut self, cuts: &[Cut], value: &Self) -> Result<Self> {
        self.assign_part("put", cuts, value)?;
        Ok(self)
    }
    fn windows(&self, axis: usize, size: usize, step: usize, dilation: usize) -> Result<Self> {
        Tensor::windows(self, axis, size, step, dilation)
    }
    fn pad(&self, sides: &[(usize, usize)], value: f64) -> Result<Self> {
        Tensor::pad(self, sides, value)
    }
    fn crop(&self, sides: &[(usize, usize)]) -> Result<Self> {
        Tensor::crop(self, sides)
    }
    fn concat(parts: &[&Self], axis: usize) -> Result<Self> {
        Tensor::concat(parts, axis)
    }
    fn stack(parts: &[&Self], axis: usize) -> Result<Self> {
        Tensor::stack(parts, axis)
    }
    fn index_select(&self, axis: usize, index: &Tensor) -> Result<Self> {
        Tensor::index_select(self, axis, index)
    }
    fn put_rows(mut self, op: ScatterOp, axis: usize, index: &Tensor, source: &Self) -> Result<Self> {
        self.index_put_rows("index_put", op, axis, index, source)?;
        Ok(self)
    }
    fn gather(&self, axis: usize, index: &Tensor) -> Result<Self> {
        Tensor::gather(self, axis, index)
    }
    fn put_elements(mut self, op: ScatterOp, axis: usize, index: &Tensor, source: &Self) -> Result<Self> {
        self.scatter_assign(op, axis, index, source)?;
        Ok(self)
    }
    fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Tensor::to_dtype(self, dtype)
    }
}
