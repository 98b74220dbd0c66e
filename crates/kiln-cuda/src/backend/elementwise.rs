//! Fills, copies, maps, comparisons, selection.

use super::dispatch::{by_float, by_integer, by_number, by_size};
use super::operand::{Operand, computed_in, float, sizes};
use crate::counts::countable;
use crate::gpu::Gpu;
use crate::machine::Machine;
use gpu_kernels::compare::compare;
use gpu_kernels::copy::{Places, fill, select, strided};
use gpu_kernels::elementwise::{binary, integers, unary};
use gpu_kernels::geometry::by_element;
use half::{bf16, f16};
use kiln_math::{BinaryOp, IntegerOp, round_to_odd};
use kiln_tensor::{CompareOp, DType, Layout, MAX_RANK, Out, Result, UnaryCall, View};

/// A value as the bits of an element.
fn bits(value: f64, dtype: DType) -> u64 {
    match dtype {
        DType::F32 => (value as f32).to_bits().into(),
        DType::F64 => value.to_bits(),
        DType::F16 => f16::from_f32(round_to_odd(value)).to_bits().into(),
        DType::BF16 => bf16::from_f32(round_to_odd(value)).to_bits().into(),
        DType::I64 => value as i64 as u64,
        DType::I32 => u64::from(value as i32 as u32),
        DType::I8 => u64::from(value as i8 as u8),
        DType::U8 => (value as u8).into(),
        DType::Bool => (value != 0.0).into(),
    }
}

/// A layout's shape and places over six axes, those in front of size 1.
fn six_axes(layout: &Layout) -> ([u32; MAX_RANK], Places) {
    let lead = MAX_RANK - layout.shape().rank();
    let (mut shape, mut strides) = ([1; MAX_RANK], [0; MAX_RANK]);
    shape[lead..].copy_from_slice(layout.shape().dims());
    strides[lead..].iter_mut().zip(layout.strides()).for_each(|(to, &step)| *to = step as i64);
    (sizes(shape), Places { start: layout.offset() as i64, strides })
}

impl<M: Machine> Gpu<M> {
    pub(super) fn fill_elements(&self, out: &Out<'_>, value: f64) -> Result<()> {
        let (to, value) = (self.target(out), bits(value, out.dtype));
        by_size!(out.dtype, T => self.run(fill { y: to.write(), value: value as T }, by_element(out.elements())))
    }

    /// Elements of one type from a layout to another; `to`'s layout counts from its first element.
    pub(super) fn copy_strided(&self, to: &Operand<'_, M>, layout: &Layout, x: &View<'_>) -> Result<()> {
        let elements = layout.shape().elements();
        if elements == 0 {
            return Ok(());
        }
        countable("copy", [layout.shape()])?;
        let ((sizes, to_places), (_, from_places)) = (six_axes(layout), six_axes(x.layout));
        let from = self.whole(x.buffer, x.dtype);
        by_size!(x.dtype, T => {
            let (y, x, count) = (to.write(), from.read(), elements as u64);
            let copy = strided::<T> { y, to: to_places, x, from: from_places, count, sizes };
            self.run(copy, by_element(elements))
        })
    }

    pub(super) fn copy_elements(&self, out: &View<'_>, x: &View<'_>) -> Result<()> {
        let to = self.whole(out.buffer, out.dtype);
        if out.dtype == x.dtype {
            return self.copy_strided(&to, out.layout, x);
        }
        let shape = out.layout.shape();
        if out.layout.is_contiguous() {
            let to = self.part(out.buffer, out.layout.offset(), shape.elements(), out.dtype);
            return self.convert(&to, out.dtype, &self.rows(x)?, x.dtype);
        }
        let (converted, layout) = (self.rows_as(x, out.dtype)?, &Layout::contiguous(*shape));
        self.copy_strided(&to, out.layout, &View { buffer: converted.buffer(out.dtype), dtype: out.dtype, layout })
    }

    pub(super) fn unary_elements(&self, call: UnaryCall, out: &Out<'_>, x: &View<'_>) -> Result<()> {
        let x = self.numbers(x)?;
        self.computing(out, |to| self.unary_rows(call, [to, &x], computed_in(out.dtype)))
    }

    /// f of row-major numbers.
    pub(super) fn unary_rows(&self, call: UnaryCall, [to, x]: [&Operand<'_, M>; 2], dtype: DType) -> Result<()> {
        by_float!(float("unary", dtype)?, T => {
            let constants = call.params.map(|p| p as T);
            self.launched(unary::value::<T>(self, call.op, constants, to.write(), x.read()))
        })
    }

    pub(super) fn unary_gradients(&self, call: UnaryCall, out: &Out<'_>, [x, y, dy]: [&View<'_>; 3]) -> Result<()> {
        let dtype = float("unary_grad", out.dtype)?;
        let (x, y, dy) = (self.numbers(x)?, self.numbers(y)?, self.numbers(dy)?);
        self.computing(out, |to| {
            by_float!(dtype, T => {
                let (constants, operands) = (call.params.map(|p| p as T), [x.read(), y.read(), dy.read()]);
                self.launched(unary::gradient::<T>(self, call.op, constants, to.write(), operands))
            })
        })
    }

    pub(super) fn binary_elements(&self, op: BinaryOp, out: &Out<'_>, a: &View<'_>, b: &View<'_>) -> Result<()> {
        let (a, b) = (self.numbers(a)?, self.numbers(b)?);
        self.computing(out, |to| {
            by_float!(float(op.name(), out.dtype)?, T => {
                self.launched(binary::value::<T>(self, op, to.write(), a.read(), b.read()))
            })
        })
    }

    pub(super) fn integer_elements(&self, op: IntegerOp, out: &Out<'_>, a: &View<'_>, b: &View<'_>) -> Result<()> {
        let (to, a, b) = (self.target(out), self.rows(a)?, self.rows(b)?);
        by_integer!(out.dtype, T => self.launched(integers::value::<T>(self, op, to.write(), a.read(), b.read())))
    }

    pub(super) fn compare_elements(&self, op: CompareOp, out: &Out<'_>, a: &View<'_>, b: &View<'_>) -> Result<()> {
        let dtype = computed_in(a.dtype);
        let (to, a, b) = (self.target(out), self.numbers(a)?, self.numbers(b)?);
        let op = match op {
            CompareOp::Eq => 0,
            CompareOp::Ne => 1,
            CompareOp::Lt => 2,
            CompareOp::Le => 3,
            CompareOp::Gt => 4,
            CompareOp::Ge => 5,
        };
        by_number!(dtype, T => {
            self.run(compare::<T> { y: to.write(), a: a.read(), b: b.read(), op }, by_element(out.elements()))
        })
    }

    pub(super) fn select_elements(&self, out: &Out<'_>, condition: &View<'_>, [a, b]: [&View<'_>; 2]) -> Result<()> {
        let (to, condition, a, b) = (self.target(out), self.rows(condition)?, self.rows(a)?, self.rows(b)?);
        by_size!(out.dtype, T => {
            let (y, condition, a, b) = (to.write(), condition.read(), a.read(), b.read());
            self.run(select::<T> { y, condition, a, b }, by_element(out.elements()))
        })
    }
}
