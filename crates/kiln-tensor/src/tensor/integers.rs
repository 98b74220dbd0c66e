//! Integers and truth values: their arithmetic, bits and logic.
//!
//! Two tensors of one operation have one dtype, and the result has it too: what does not fit wraps. A number takes the dtype of the
//! tensor that it meets, which must hold it. ARCHITECTURE.md says why nothing is promoted.

use super::{Tensor, check_pair};
use crate::{DType, Device, Error, Out, Result, UnaryCall, View, broadcast_shapes, unsupported_dtype};
use kiln_math::{BinaryOp, Integer, IntegerOp, UnaryOp};

/// What a binary operation is for a dtype.
#[derive(Clone, Copy)]
pub(super) enum Arithmetic {
    Floats(BinaryOp),
    Integers(IntegerOp),
}

impl Arithmetic {
    /// The operation for this dtype.
    #[inline]
    pub(super) fn of(op: BinaryOp, dtype: DType) -> Result<Self> {
        if dtype.is_float() {
            return Ok(Arithmetic::Floats(op));
        }
        match IntegerOp::of(op).filter(|op| dtype != DType::Bool || op.of_bools()) {
            Some(op) => Ok(Arithmetic::Integers(op)),
            None => Err(no_arithmetic(op, dtype)),
        }
    }

    /// Runs it.
    #[inline]
    pub(super) fn run(self, device: &Device, out: Out<'_>, a: View<'_>, b: View<'_>) -> Result<()> {
        match self {
            Arithmetic::Floats(op) => device.binary(op, out, a, b),
            Arithmetic::Integers(op) => device.integers(op, out, a, b),
        }
    }

    /// Refuses elements of `b` for which there is no result, where the host can see them.
    #[inline]
    pub(super) fn check(self, b: &Tensor) -> Result<()> {
        match self {
            Arithmetic::Floats(_) => Ok(()),
            Arithmetic::Integers(op) => check_operand(op, b),
        }
    }
}

/// The sentence for a dtype that does not have an operation, with what to use instead.
#[cold]
fn no_arithmetic(op: BinaryOp, dtype: DType) -> Error {
    let instead = match op {
        BinaryOp::Div if dtype.is_integer() => "`floor_div`",
        BinaryOp::Add if dtype == DType::Bool => "`logical_or`",
        BinaryOp::Sub if dtype == DType::Bool => "`logical_xor`",
        BinaryOp::Mul if dtype == DType::Bool => "`logical_and`",
        _ => return unsupported_dtype(op.name(), dtype, if dtype == DType::Bool { "numbers" } else { "floats" }),
    };
    let message = format!("dtype {dtype} is not supported: use {instead}, or convert with `to_dtype`");
    Error::new(crate::ErrorKind::DType, op.name(), message)
}

/// See [`Arithmetic::check`].
fn check_operand(op: IntegerOp, b: &Tensor) -> Result<()> {
    fn first<I: Integer + crate::Element>(op: IntegerOp, b: &Tensor) -> Result<Option<(usize, I)>> {
        let b = b.contiguous()?;
        Ok(b.as_slice::<I>()?.iter().copied().enumerate().find(|&(_, b)| op.refuses(b)))
    }
    if !(op.refuses(0i64) || op.refuses(-1i64)) || !b.device().backend().is_host() {
        return Ok(());
    }
    let found = match b.dtype {
        DType::I64 => first::<i64>(op, b)?,
        DType::I32 => first::<i32>(op, b)?.map(|(at, b)| (at, b.into())),
        DType::I8 => first::<i8>(op, b)?.map(|(at, b)| (at, b.into())),
        DType::U8 => first::<u8>(op, b)?.map(|(at, b)| (at, b.into())),
        _ => None,
    };
    let Some((at, b)) = found else { return Ok(()) };
    Err(Error::value(
        op.name(),
        match op {
            IntegerOp::Pow => {
                format!("element {at} of the exponent is {b}: integers have no negative powers; use floats")
            }
            IntegerOp::ShiftLeft | IntegerOp::ShiftRight => {
                format!("element {at} of the shift is {b}, expected 0 or more")
            }
            _ => format!("element {at} of the divisor is 0: integers have no quotient by 0; use floats"),
        },
    ))
}

impl Tensor {
    /// A number as a scalar of this tensor's dtype, which must hold it as it is.
    fn number(&self, operation: &'static str, value: f64) -> Result<Tensor> {
        let (low, high) = self.dtype.range();
        // The largest i64 is not a f64: 2⁶³, the nearest, is one more.
        let holds = value.fract() == 0.0 && (low..=high).contains(&value) && value != i64::MAX as f64;
        if self.dtype == DType::Bool || !holds {
            return Err(Error::value(
                operation,
                format!("{value} is not a number that {} holds: convert the tensor with `to_dtype`", self.dtype),
            ));
        }
        Tensor::full((), value, self.dtype, self.device())
    }

    /// A binary operation with a number.
    fn with_number(&self, operation: &'static str, op: IntegerOp, value: f64) -> Result<Tensor> {
        self.integers(op, &self.number(operation, value)?)
    }

    /// The operation `op` of integers, with NumPy's broadcasting; the result has their dtype, and wraps. Of bool: the extrema and the
    /// operations on bits.
    ///
    /// # Errors
    /// Shapes that do not broadcast, dtypes or devices that differ, a dtype without such arithmetic. On a host: a divisor of 0, a
    /// negative exponent or shift; on another device these are a fault.
    pub fn integers(&self, op: IntegerOp, other: &Tensor) -> Result<Tensor> {
        check_pair(op.name(), self, other)?;
        if !(self.dtype.is_integer() || self.dtype == DType::Bool && op.of_bools()) {
            let takes = if op.of_bools() { "integers or bool" } else { "integers" };
            return Err(unsupported_dtype(op.name(), self.dtype, takes));
        }
        self.binary_as(op.name(), Arithmetic::Integers(op), other)
    }

    /// A unary operation of integers, made of binary ones: those whose result is an integer.
    pub(super) fn unary_of_integers(&self, call: UnaryCall) -> Result<Tensor> {
        let (name, [p, q]) = (call.op.name(), call.params);
        let signed = self.dtype.range().0 < 0.0;
        let negated = || Tensor::full((), 0.0, self.dtype, self.device())?.integers(IntegerOp::Sub, self);
        let with = |x: &Tensor, op, value| x.with_number(name, op, value);
        match call.op {
            _ if self.dtype == DType::Bool => Err(unsupported_dtype(name, self.dtype, "numbers")),
            UnaryOp::Neg => negated(),
            UnaryOp::Abs if signed => self.integers(IntegerOp::Maximum, &negated()?),
            UnaryOp::Sign if signed => with(&with(self, IntegerOp::Minimum, 1.0)?, IntegerOp::Maximum, -1.0),
            UnaryOp::Sign => with(self, IntegerOp::Minimum, 1.0),
            UnaryOp::Square => self.integers(IntegerOp::Mul, self),
            UnaryOp::Relu => with(self, IntegerOp::Maximum, 0.0),
            UnaryOp::Abs | UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round | UnaryOp::Trunc => Ok(self.clone()),
            UnaryOp::RoundTo if p >= 0.0 => Ok(self.clone()),
            UnaryOp::Powf => with(self, IntegerOp::Pow, p),
            UnaryOp::Affine => {
                let scaled = if p == 1.0 { self.clone() } else { with(self, IntegerOp::Mul, p)? };
                if q == 0.0 { Ok(scaled) } else { with(&scaled, IntegerOp::Add, q) }
            }
            UnaryOp::Clamp => {
                let raised = if p == f64::NEG_INFINITY { self.clone() } else { with(self, IntegerOp::Maximum, p)? };
                if q == f64::INFINITY { Ok(raised) } else { with(&raised, IntegerOp::Minimum, q) }
            }
            _ => Err(unsupported_dtype(name, self.dtype, "f32, f64, f16 or bf16")),
        }
    }

    /// The bits that are not set: −1 − x of signed integers, 255 − x of u8, ¬x of bool.
    ///
    /// # Errors
    /// A dtype that is neither an integer type nor bool.
    pub fn bitwise_not(&self) -> Result<Tensor> {
        if !(self.dtype.is_integer() || self.dtype == DType::Bool) {
            return Err(unsupported_dtype("bitwise_not", self.dtype, "integers or bool"));
        }
        let (low, high) = self.dtype.range();
        let ones = Tensor::full((), if low < 0.0 { -1.0 } else { high }, self.dtype, self.device())?;
        self.integers(IntegerOp::BitwiseXor, &ones)
    }

    /// Whether each element is not 0; NaN is not.
    fn truths(&self) -> Result<Tensor> {
        self.to_dtype(DType::Bool)
    }

    fn logical(&self, operation: &'static str, op: IntegerOp, other: &Tensor) -> Result<Tensor> {
        check_pair(operation, self, other)?;
        broadcast_shapes(operation, self.shape(), other.shape())?;
        self.truths()?.integers(op, &other.truths()?)
    }

    /// a ∧ b, bool: whether both are true, of numbers whether both are other than 0.
    ///
    /// # Errors
    /// Shapes that do not broadcast, dtypes or devices that differ.
    pub fn logical_and(&self, other: &Tensor) -> Result<Tensor> {
        self.logical("logical_and", IntegerOp::BitwiseAnd, other)
    }

    /// a ∨ b, bool: whether either is true, of numbers whether either is other than 0.
    ///
    /// # Errors
    /// Shapes that do not broadcast, dtypes or devices that differ.
    pub fn logical_or(&self, other: &Tensor) -> Result<Tensor> {
        self.logical("logical_or", IntegerOp::BitwiseOr, other)
    }

    /// Whether one of a and b is true and the other is not, bool; a number is true if it is not 0.
    ///
    /// # Errors
    /// Shapes that do not broadcast, dtypes or devices that differ.
    pub fn logical_xor(&self, other: &Tensor) -> Result<Tensor> {
        self.logical("logical_xor", IntegerOp::BitwiseXor, other)
    }

    /// ¬a, bool: whether it is false, of a number whether it is 0.
    ///
    /// # Errors
    /// Out of memory.
    pub fn logical_not(&self) -> Result<Tensor> {
        self.truths()?.bitwise_not()
    }
}

macro_rules! methods {
    ($($doc:literal $method:ident $op:ident),+) => {
        impl Tensor {$(
            #[doc = $doc]
            ///
            /// # Errors
            /// As [`Tensor::integers`].
            pub fn $method(&self, other: &Tensor) -> Result<Tensor> {
                self.integers(IntegerOp::$op, other)
            }
        )+}
    };
}
methods!(
    "The bits that both have, of integers; a ∧ b of bool." bitwise_and BitwiseAnd,
    "The bits that either has, of integers; a ∨ b of bool." bitwise_or BitwiseOr,
    "The bits that one of them has, of integers; a ≠ b of bool." bitwise_xor BitwiseXor,
    "a·2ᵇ of integers: the bits of a moved up by b, which is 0 or more." bitwise_left_shift ShiftLeft,
    "⌊a/2ᵇ⌋ of integers: the bits of a moved down by b, which is 0 or more." bitwise_right_shift ShiftRight
);
