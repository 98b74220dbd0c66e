//! Composed forms compute with Vars, so that they can be differentiated. So do derived operations, which are methods here.

use crate::Var;
use kiln_math::BinaryOp;
use kiln_tensor::{Arithmetic, Cut, DType, Result, ScanOp, ScatterOp, Shape, Taps, Tensor, UnaryCall};
use std::ops::Range;
use std::sync::Arc;

impl Arithmetic for Var {
    fn constant(tensor: Tensor) -> Self {
        Var::constant(tensor)
    }
    fn value(&self) -> &Tensor {
        self.tensor()
    }
    fn unary(&self, call: UnaryCall) -> Result<Self> {
        Var::unary(self, call)
    }
    fn binary(&self, op: BinaryOp, other: &Self) -> Result<Self> {
        Var::binary(self, op, other)
    }
    fn sum_keepdim(&self, axes: &[usize]) -> Result<Self> {
        Var::sum_keepdim(self, axes)
    }
    fn mean_keepdim(&self, axes: &[usize]) -> Result<Self> {
        Var::mean_keepdim(self, axes)
    }
    fn max_keepdim(&self, axes: &[usize]) -> Result<Self> {
        Var::max_keepdim(self, axes)
    }
    fn min_keepdim(&self, axes: &[usize]) -> Result<Self> {
        Var::min_keepdim(self, axes)
    }
    fn squares_keepdim(&self, axes: &[usize], centered: bool) -> Result<Self> {
        Var::squares(self, axes, centered)
    }
    fn scan(&self, op: ScanOp, axis: usize) -> Result<Self> {
        Var::scanned(self, op, axis)
    }
    fn linear_scan(&self, terms: &Self, axis: usize) -> Result<Self> {
        Var::scanned_linear(self, terms, axis)
    }
    fn blend(&self, axis: usize, taps: &Arc<Taps>) -> Result<Self> {
        Var::blended(self, axis, taps)
    }
    fn normalized_channels(&self, epsilon: f64) -> Result<Self> {
        Ok(Var::batch_norm(self, None, None, epsilon, None)?.0)
    }
    fn chosen(&self, axis: usize, values: Tensor, positions: &Tensor) -> Result<Self> {
        Ok(Var::chosen_from(self, axis, values, positions))
    }
    fn is_recorded(&self) -> bool {
        self.requires_grad()
    }
    fn matmul(&self, other: &Self) -> Result<Self> {
        Var::matmul(self, other)
    }
    fn select(condition: &Tensor, a: &Self, b: &Self) -> Result<Self> {
        Var::select(condition, a, b)
    }
    fn reshape(&self, shape: Shape) -> Result<Self> {
        Var::reshape(self, shape)
    }
    fn transpose(&self, a: usize, b: usize) -> Result<Self> {
        Var::transpose(self, a, b)
    }
    fn permute(&self, order: &[usize]) -> Result<Self> {
        Var::permute(self, order)
    }
    fn broadcast_to(&self, shape: Shape) -> Result<Self> {
        Var::broadcast_to(self, shape)
    }
    fn slice_by(&self, axis: usize, range: Range<usize>, step: isize) -> Result<Self> {
        Var::slice_by(self, axis, range, step)
    }
    fn embed_by(&self, axis: usize, range: Range<usize>, step: isize, shape: Shape) -> Result<Self> {
        Var::embed_by(self, axis, range, step, shape)
    }
    fn put_part(self, cuts: &[Cut], value: &Self) -> Result<Self> {
        self.with_part(cuts, value)
    }
    fn windows(&self, axis: usize, size: usize, step: usize, dilation: usize) -> Result<Self> {
        self.windowed(axis, size, step, dilation)
    }
    fn pad(&self, sides: &[(usize, usize)], value: f64) -> Result<Self> {
        Var::pad(self, sides, value)
    }
    fn crop(&self, sides: &[(usize, usize)]) -> Result<Self> {
        Var::crop(self, sides)
    }
    fn concat(parts: &[&Self], axis: usize) -> Result<Self> {
        Var::concat(parts, axis)
    }
    fn stack(parts: &[&Self], axis: usize) -> Result<Self> {
        Var::stack(parts, axis)
    }
    fn index_select(&self, axis: usize, index: &Tensor) -> Result<Self> {
        Var::index_select(self, axis, index)
    }
    fn put_rows(self, op: ScatterOp, axis: usize, index: &Tensor, source: &Self) -> Result<Self> {
        self.scattered_to(true, op, axis, index, source)
    }
    fn gather(&self, axis: usize, index: &Tensor) -> Result<Self> {
        Var::gather(self, axis, index)
    }
    fn put_elements(self, op: ScatterOp, axis: usize, index: &Tensor, source: &Self) -> Result<Self> {
        self.scattered_to(false, op, axis, index, source)
    }
    fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Var::to_dtype(self, dtype)
    }
}

macro_rules! derived_of_var {
    ($($family:tt)+) => { kiln_tensor::derived_methods! { Var $($family)+ } };
}
kiln_tensor::for_each_derived!(derived_of_var);

macro_rules! derived_functions_of_var {
    ($($family:tt)+) => { kiln_tensor::derived_functions! { Var $($family)+ } };
}
kiln_tensor::for_each_derived_function!(derived_functions_of_var);
