//! Composed forms compute with Vars, so that they can be differentiated. So do derived operations, which are methods here.

use crate::Var;
use kiln_math::BinaryOp;
use kiln_tensor::{Arithmetic, DType, Result, ScanOp, Shape, Tensor, UnaryCall};
use std::ops::Range;

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
    fn slice(&self, axis: usize, range: Range<usize>) -> Result<Self> {
        Var::slice(self, axis, range)
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
    fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Var::to_dtype(self, dtype)
    }
}

macro_rules! derived_of_var {
    ($($family:tt)+) => { kiln_tensor::derived_methods! { Var $($family)+ } };
}
kiln_tensor::for_each_derived!(derived_of_var);
