//! Fills, copies, conversions, maps, comparisons, selection.

use super::Gpu;
use super::operand::{Operand, computed_in};
use crate::machine::Machine;
use gpu_kernels::geometry::by_element;
use gpu_kernels::{compare, copy, elementwise};
use half::{bf16, f16};
use kiln_math::{BinaryOp, round_to_odd};
use kiln_tensor::{CompareOp, DType, Layout, MAX_RANK, Out, Result, UnaryCall, View, unsupported_dtype};

/// A value as the bits of an element.
fn bits(value: f64, dtype: DType) -> u64 {
    match dtype {
        DType::F32 => (value as f32).to_bits().into(),
        DType::F64 => value.to_bits(),
        DType::F16 => f16::from_f32(round_to_odd(value)).to_bits().into(),
        DType::BF16 => bf16::from_f32(round_to_odd(value)).to_bits().into(),
        DType::I64 => value as i64 as u64,
        DType::U8 => (value as u8).into(),
        DType::Bool => (value != 0.0).into(),
    }
}

/// A layout's shape and strides over six axes, those in front of size 1.
fn six_axes(layout: &Layout) -> ([u32; MAX_RANK], [i64; MAX_RANK]) {
    let lead = MAX_RANK - layout.shape().rank();
    let (mut sizes, mut steps) = ([1; MAX_RANK], [0; MAX_RANK]);
    for (axis, (&size, &step)) in layout.shape().iter().zip(layout.strides()).enumerate() {
        // An axis beyond 2³² would need more memory than a device has, unless it is repeated.
        sizes[lead + axis] = u32::try_from(size).unwrap_or(u32::MAX);
        steps[lead + axis] = step as i64;
    }
    (sizes, steps)
}

impl<M: Machine> Gpu<M> {
    pub(super) fn fill_elements(&self, out: &Out<'_>, value: f64) -> Result<()> {
        self.sound()?;
        let (to, value) = (self.target(out), bits(value, out.dtype));
        let geometry = by_element(out.elements());
        self.launched(match out.dtype.size() {
            1 => copy::fill_u8::launch(self, geometry, to.slice_mut(), value),
            2 => copy::fill_u16::launch(self, geometry, to.slice_mut(), value),
            4 => copy::fill_u32::launch(self, geometry, to.slice_mut(), value),
            _ => copy::fill_u64::launch(self, geometry, to.slice_mut(), value),
        })
    }

    /// Elements of one type from a layout to another; `to`'s layout counts from its first element.
    pub(super) fn copy_strided(&self, to: &Operand<'_, M>, layout: &Layout, x: &View<'_>) -> Result<()> {
        let elements = layout.shape().elements();
        if elements == 0 {
            return Ok(());
        }
        let (sizes, steps) = six_axes(layout);
        let (_, from_steps) = six_axes(x.layout);
        let from = self.whole(x.buffer, x.dtype);
        let (to_start, from_start) = (layout.offset() as i64, x.layout.offset() as i64);
        let [_, n1, n2, n3, n4, n5] = sizes;
        let [y0, y1, y2, y3, y4, y5] = steps;
        let [x0, x1, x2, x3, x4, x5] = from_steps;
        macro_rules! launch {
            ($kernel:ident) => {
                copy::$kernel::launch(
                    self,
                    by_element(elements),
                    to.slice_mut(),
                    to_start,
                    from.slice(),
                    from_start,
                    elements as u64,
                    n1,
                    n2,
                    n3,
                    n4,
                    n5,
                    y0,
                    y1,
                    y2,
                    y3,
                    y4,
                    y5,
                    x0,
                    x1,
                    x2,
                    x3,
                    x4,
                    x5,
                )
            };
        }
        self.launched(match x.dtype.size() {
            1 => launch!(strided_u8),
            2 => launch!(strided_u16),
            4 => launch!(strided_u32),
            _ => launch!(strided_u64),
        })
    }

    /// Row-major elements in another type.
    pub(super) fn converted<'g>(&'g self, x: Operand<'g, M>, from: DType, to: DType) -> Result<Operand<'g, M>> {
        let converted = self.temporary(x.elements(), to)?;
        self.convert(&converted, to, &x, from)?;
        Ok(converted)
    }

    /// Converts row-major elements.
    pub(super) fn convert(
        &self,
        to: &Operand<'_, M>,
        to_type: DType,
        x: &Operand<'_, M>,
        from_type: DType,
    ) -> Result<()> {
        use DType::{BF16, Bool, F16, F32, F64, I64, U8};
        let geometry = by_element(to.elements());
        macro_rules! launch {
            ($kernel:ident) => {
                self.launched(copy::$kernel::launch(self, geometry, to.slice_mut(), x.slice()))
            };
        }
        match (from_type, to_type) {
            (F32, F64) => launch!(f32_f64),
            (F32, I64) => launch!(f32_i64),
            (F32, U8) => launch!(f32_u8),
            (F32, F16) => launch!(f32_f16),
            (F32, BF16) => launch!(f32_bf16),
            (F32, Bool) => launch!(f32_bool),
            (F64, F32) => launch!(f64_f32),
            (F64, I64) => launch!(f64_i64),
            (F64, U8) => launch!(f64_u8),
            (F64, F16) => launch!(f64_f16),
            (F64, BF16) => launch!(f64_bf16),
            (F64, Bool) => launch!(f64_bool),
            (I64, F32) => launch!(i64_f32),
            (I64, F64) => launch!(i64_f64),
            (I64, U8) => launch!(i64_u8),
            (I64, F16) => launch!(i64_f16),
            (I64, BF16) => launch!(i64_bf16),
            (I64, Bool) => launch!(i64_bool),
            (U8 | Bool, F32) => launch!(u8_f32),
            (U8 | Bool, F64) => launch!(u8_f64),
            (U8 | Bool, I64) => launch!(u8_i64),
            (U8 | Bool, F16) => launch!(u8_f16),
            (U8 | Bool, BF16) => launch!(u8_bf16),
            // A truth value is a number already; where it is one, this changes nothing.
            (Bool, U8) | (U8 | Bool, Bool) => launch!(u8_bool),
            (F16, F32) => launch!(f16_f32),
            (BF16, F32) => launch!(bf16_f32),
            (F16 | BF16, other) => {
                let numbers = self.temporary(x.elements(), F32)?;
                self.convert(&numbers, F32, x, from_type)?;
                self.convert(to, other, &numbers, F32)
            }
            (F32, F32) | (F64, F64) | (I64, I64) | (U8, U8) => {
                Err(unsupported_dtype("convert", from_type, "another type"))
            }
        }
    }

    pub(super) fn copy_elements(&self, out: &View<'_>, x: &View<'_>) -> Result<()> {
        self.sound()?;
        let to = self.whole(out.buffer, out.dtype);
        if out.dtype == x.dtype {
            return self.copy_strided(&to, out.layout, x);
        }
        let shape = out.layout.shape();
        if out.layout.is_contiguous() {
            let to = self.part(out.buffer, out.layout.offset(), shape.elements(), out.dtype);
            return self.convert(&to, out.dtype, &self.rows(x)?, x.dtype);
        }
        let (converted, rows) = (self.rows_as(x, out.dtype)?, Layout::contiguous(*shape));
        self.copy_strided(&to, out.layout, &converted.view(out.dtype, &rows))
    }

    pub(super) fn unary_elements(&self, call: UnaryCall, out: &Out<'_>, x: &View<'_>) -> Result<()> {
        self.sound()?;
        let x = self.numbers(x)?;
        self.computing(out, |to| self.unary_rows(call, to, &x, computed_in(out.dtype)))
    }

    /// f of row-major numbers.
    pub(super) fn unary_rows(
        &self,
        call: UnaryCall,
        to: &Operand<'_, M>,
        x: &Operand<'_, M>,
        dtype: DType,
    ) -> Result<()> {
        let UnaryCall { op, params } = call;
        match dtype {
            DType::F32 => {
                let params = params.map(|p| p as f32);
                self.launched(elementwise::unary_f32::value(self, op, params, to.slice_mut(), x.slice()))
            }
            DType::F64 => self.launched(elementwise::unary_f64::value(self, op, params, to.slice_mut(), x.slice())),
            other => Err(unsupported_dtype("unary", other, "f32, f64, f16 or bf16")),
        }
    }

    pub(super) fn unary_gradients(&self, call: UnaryCall, out: &Out<'_>, [x, y, dy]: [&View<'_>; 3]) -> Result<()> {
        self.sound()?;
        let (x, y, dy) = (self.numbers(x)?, self.numbers(y)?, self.numbers(dy)?);
        let UnaryCall { op, params } = call;
        self.computing(out, |to| match computed_in(out.dtype) {
            DType::F32 => {
                let (params, operands) = (params.map(|p| p as f32), [x.slice(), y.slice(), dy.slice()]);
                self.launched(elementwise::unary_f32::gradient(self, op, params, to.slice_mut(), operands))
            }
            DType::F64 => {
                let operands = [x.slice(), y.slice(), dy.slice()];
                self.launched(elementwise::unary_f64::gradient(self, op, params, to.slice_mut(), operands))
            }
            other => Err(unsupported_dtype("unary_grad", other, "f32, f64, f16 or bf16")),
        })
    }

    pub(super) fn binary_elements(&self, op: BinaryOp, out: &Out<'_>, a: &View<'_>, b: &View<'_>) -> Result<()> {
        self.sound()?;
        let (a, b) = (self.numbers(a)?, self.numbers(b)?);
        self.computing(out, |to| match computed_in(out.dtype) {
            DType::F32 => self.launched(elementwise::binary_f32::value(self, op, to.slice_mut(), a.slice(), b.slice())),
            DType::F64 => self.launched(elementwise::binary_f64::value(self, op, to.slice_mut(), a.slice(), b.slice())),
            DType::I64 => match elementwise::binary_i64::value(self, op, to.slice_mut(), a.slice(), b.slice()) {
                Some(outcome) => self.launched(outcome),
                None => Err(unsupported_dtype(op.name(), DType::I64, "floats")),
            },
            other => Err(unsupported_dtype(op.name(), other, "f32, f64, f16, bf16 or i64")),
        })
    }

    pub(super) fn compare_elements(&self, op: CompareOp, out: &Out<'_>, a: &View<'_>, b: &View<'_>) -> Result<()> {
        self.sound()?;
        let dtype = computed_in(a.dtype);
        let (a, b) = (self.numbers(a)?, self.numbers(b)?);
        let op = match op {
            CompareOp::Eq => 0,
            CompareOp::Ne => 1,
            CompareOp::Lt => 2,
            CompareOp::Le => 3,
            CompareOp::Gt => 4,
            CompareOp::Ge => 5,
        };
        let (to, geometry) = (self.target(out), by_element(out.elements()));
        self.launched(match dtype {
            DType::F64 => compare::compare_f64::launch(self, geometry, to.slice_mut(), a.slice(), b.slice(), op),
            DType::I64 => compare::compare_i64::launch(self, geometry, to.slice_mut(), a.slice(), b.slice(), op),
            DType::U8 | DType::Bool => {
                compare::compare_u8::launch(self, geometry, to.slice_mut(), a.slice(), b.slice(), op)
            }
            _ => compare::compare_f32::launch(self, geometry, to.slice_mut(), a.slice(), b.slice(), op),
        })
    }

    pub(super) fn select_elements(
        &self,
        out: &Out<'_>,
        condition: &View<'_>,
        a: &View<'_>,
        b: &View<'_>,
    ) -> Result<()> {
        self.sound()?;
        let (condition, a, b) = (self.rows(condition)?, self.rows(a)?, self.rows(b)?);
        let (to, geometry, condition) = (self.target(out), by_element(out.elements()), condition.slice::<u8>());
        self.launched(match out.dtype.size() {
            1 => copy::select_u8::launch(self, geometry, to.slice_mut(), condition, a.slice(), b.slice()),
            2 => copy::select_u16::launch(self, geometry, to.slice_mut(), condition, a.slice(), b.slice()),
            4 => copy::select_u32::launch(self, geometry, to.slice_mut(), condition, a.slice(), b.slice()),
            _ => copy::select_u64::launch(self, geometry, to.slice_mut(), condition, a.slice(), b.slice()),
        })
    }
}
