//! The scalar definitions run on whole tensors, or Vars: how a formula written once for numbers becomes a composed form, and its
//! derivative a graph.
//!
//! A [`Traced`] number is an expression on a [`Tape`]. Constants stay numbers and fold; of the rest only what
//! [`Tape::evaluate`] is asked for is computed, once, by fine operations.

use crate::{Arithmetic, CompareOp, DType, Device, Result, Shape, Tensor, UnaryCall};
use kiln_math::{BinaryOp, Real, UnaryOp};
use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Expressions over tensors or Vars, in the order in which they were written down.
///
/// ```
/// use kiln_math::Real;
/// use kiln_tensor::{DType, Device, Tape, Tensor, Value};
/// fn formula<R: Real>(x: R) -> R {
///     R::constant(2.0) * x.tanh()
/// }
/// let tape = Tape::default();
/// let x = tape.given(Tensor::ones([3], DType::F32, &Device::cpu())?);
/// let Value::Tensors(y) = tape.evaluate(formula(x))? else { panic!("x is not a constant") };
/// assert_eq!(y.to_vec::<f32>()?, [2.0 * 1f32.tanh(); 3]);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
pub struct Tape<T>(RefCell<Vec<Entry<T>>>);

impl<T> Default for Tape<T> {
    fn default() -> Self {
        Tape(RefCell::default())
    }
}

struct Entry<T> {
    expression: Expression,
    value: Option<T>,
}

#[derive(Clone, Copy)]
enum Expression {
    Given,
    Unary(UnaryCall, usize),
    Binary(BinaryOp, Operand, Operand),
    /// a < b ? then : otherwise
    IfLess([Operand; 4]),
}

#[derive(Clone, Copy)]
enum Operand {
    Constant(f64),
    Entry(usize),
}

/// A number of which the scalar definitions can be computed: a constant, or an entry of a tape.
pub struct Traced<'t, T> {
    tape: Option<&'t Tape<T>>,
    operand: Operand,
}

impl<T> Clone for Traced<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Traced<'_, T> {}

/// What an expression came to.
pub enum Value<T> {
    /// The same number everywhere.
    Constant(f64),
    /// A tensor or a Var.
    Tensors(T),
}

impl<T: Arithmetic> Value<T> {
    /// This value times a gradient.
    ///
    /// # Errors
    /// Those of the operation.
    pub fn times(self, dy: &T) -> Result<T> {
        match self {
            Value::Constant(1.0) => Ok(dy.clone()),
            Value::Constant(c) => dy.affine(c, 0.0),
            Value::Tensors(v) => dy.mul(&v),
        }
    }

    /// This value, a constant as a scalar of the dtype of `like`.
    ///
    /// # Errors
    /// Allocation failure.
    pub fn into_tensors(self, like: &T) -> Result<T> {
        let value = like.value();
        match self {
            Value::Constant(c) => Ok(T::constant(Tensor::full(Shape::SCALAR, c, value.dtype(), value.device())?)),
            Value::Tensors(v) => Ok(v),
        }
    }
}

impl<T: Arithmetic> Tape<T> {
    /// A tensor or Var as a number.
    pub fn given(&self, value: T) -> Traced<'_, T> {
        let traced = self.write(Expression::Given);
        if let (Operand::Entry(at), Some(entry)) = (traced.operand, self.0.borrow_mut().last_mut()) {
            debug_assert!(at < usize::MAX);
            entry.value = Some(value);
        }
        traced
    }

    fn write(&self, expression: Expression) -> Traced<'_, T> {
        let mut entries = self.0.borrow_mut();
        entries.push(Entry { expression, value: None });
        Traced { tape: Some(self), operand: Operand::Entry(entries.len() - 1) }
    }

    /// Computes a number that was written down on this tape.
    ///
    /// # Errors
    /// Those of the operations.
    pub fn evaluate(&self, traced: Traced<'_, T>) -> Result<Value<T>> {
        self.value(traced.operand)
    }

    fn value(&self, operand: Operand) -> Result<Value<T>> {
        let at = match operand {
            Operand::Constant(c) => return Ok(Value::Constant(c)),
            Operand::Entry(at) => at,
        };
        // The borrow ends before anything is computed: evaluation comes back here for the operands.
        let (expression, known) = {
            let entries = self.0.borrow();
            (entries[at].expression, entries[at].value.clone())
        };
        if let Some(var) = known {
            return Ok(Value::Tensors(var));
        }
        let var = match expression {
            Expression::Given => return Ok(Value::Constant(f64::NAN)), // given entries always have their value
            Expression::Unary(call, x) => match self.value(Operand::Entry(x))? {
                Value::Tensors(x) => x.unary(call)?,
                constant => return Ok(constant), // entries are never constants
            },
            Expression::Binary(op, a, b) => self.binary(op, self.value(a)?, self.value(b)?)?,
            Expression::IfLess(operands) => {
                let [a, b, then, otherwise] = operands;
                let values = [self.value(a)?, self.value(b)?, self.value(then)?, self.value(otherwise)?];
                let like = values.iter().find_map(|v| if let Value::Tensors(v) = v { Some(v.clone()) } else { None });
                let [a, b, then, otherwise] = values;
                match like {
                    Some(like) => {
                        let (a, b) = (a.into_tensors(&like)?, b.into_tensors(&like)?);
                        let condition = a.value().compare(CompareOp::Lt, b.value())?;
                        T::select(&condition, &then.into_tensors(&like)?, &otherwise.into_tensors(&like)?)?
                    }
                    None => return Ok(then), // four constants were folded when written
                }
            }
        };
        self.0.borrow_mut()[at].value = Some(var.clone());
        Ok(Value::Tensors(var))
    }

    /// Constants become scale and shift where they can, which spares a broadcast.
    fn binary(&self, op: BinaryOp, a: Value<T>, b: Value<T>) -> Result<T> {
        match (op, a, b) {
            (BinaryOp::Add, Value::Tensors(v), Value::Constant(c))
            | (BinaryOp::Add, Value::Constant(c), Value::Tensors(v)) => v.affine(1.0, c),
            (BinaryOp::Mul, Value::Tensors(v), Value::Constant(c))
            | (BinaryOp::Mul, Value::Constant(c), Value::Tensors(v)) => v.affine(c, 0.0),
            (BinaryOp::Sub, Value::Tensors(v), Value::Constant(c)) => v.affine(1.0, -c),
            (BinaryOp::Sub, Value::Constant(c), Value::Tensors(v)) => v.affine(-1.0, c),
            (_, Value::Tensors(a), Value::Tensors(b)) => a.binary(op, &b),
            (_, Value::Tensors(a), b) => a.binary(op, &b.into_tensors(&a)?),
            (_, a, Value::Tensors(b)) => a.into_tensors(&b)?.binary(op, &b),
            (_, Value::Constant(a), Value::Constant(_)) => {
                // Two constants were folded when written down.
                Ok(T::constant(Tensor::full(Shape::SCALAR, a, DType::F64, &Device::cpu())?))
            }
        }
    }
}

impl<T: Arithmetic> Traced<'_, T> {
    fn apply(self, call: UnaryCall, fold: impl FnOnce(f64) -> f64) -> Self {
        match (self.tape, self.operand) {
            (Some(tape), Operand::Entry(at)) => tape.write(Expression::Unary(call, at)),
            (_, Operand::Constant(c)) => Real::constant(fold(c)),
            (None, Operand::Entry(_)) => self, // an entry always has its tape
        }
    }

    fn join(self, op: BinaryOp, other: Self, fold: impl FnOnce(f64, f64) -> f64) -> Self {
        match (self.operand, other.operand) {
            (Operand::Constant(a), Operand::Constant(b)) => Real::constant(fold(a, b)),
            (a, b) => match self.tape.or(other.tape) {
                Some(tape) => tape.write(Expression::Binary(op, a, b)),
                None => self, // an entry always has its tape
            },
        }
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $op:ident),+) => {$(
        impl<T: Arithmetic> $trait for Traced<'_, T> {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                self.join(BinaryOp::$op, other, f64::$method)
            }
        }
    )+};
}
operators!(Add add Add, Sub sub Sub, Mul mul Mul, Div div Div);

impl<T: Arithmetic> Neg for Traced<'_, T> {
    type Output = Self;
    fn neg(self) -> Self {
        self.apply(UnaryOp::Neg.into(), f64::neg)
    }
}

macro_rules! functions {
    ($($method:ident $op:ident),+) => {$(
        fn $method(self) -> Self {
            self.apply(UnaryOp::$op.into(), <f64 as Real>::$method)
        }
    )+};
}

macro_rules! joins {
    ($($method:ident $op:ident),+) => {$(
        fn $method(self, other: Self) -> Self {
            self.join(BinaryOp::$op, other, <f64 as Real>::$method)
        }
    )+};
}

impl<T: Arithmetic> Real for Traced<'_, T> {
    fn constant(value: f64) -> Self {
        Traced { tape: None, operand: Operand::Constant(value) }
    }
    fn mul_add(self, a: Self, b: Self) -> Self {
        self * a + b
    }
    functions!(
        abs Abs, sqrt Sqrt, exp Exp, ln Ln, log2 Log2, log10 Log10, sin Sin, cos Cos, asin Asin, acos Acos, atan Atan, tanh Tanh,
        erf Erf, erfinv Erfinv, lgamma Lgamma, digamma Digamma, sigmoid Sigmoid, expm1 Expm1, ln_1p Ln1p, floor Floor, ceil Ceil,
        round_even Round
    );
    joins!(
        maximum Maximum, minimum Minimum, powf Pow, atan2 Atan2, hypot Hypot, fmod Fmod, copysign CopySign
    );
    fn polygamma(self, order: Self) -> Self {
        match order.operand {
            Operand::Constant(n) => {
                self.apply(UnaryCall { op: UnaryOp::Polygamma, params: [n, 0.0] }, |x| Real::polygamma(x, n))
            }
            Operand::Entry(_) => Real::constant(f64::NAN), // an order is a constant
        }
    }
    fn if_less(self, other: Self, then: Self, otherwise: Self) -> Self {
        let all = [self, other, then, otherwise];
        match (all.iter().find_map(|t| t.tape), all.map(|t| t.operand)) {
            (Some(tape), operands) => tape.write(Expression::IfLess(operands)),
            (None, [Operand::Constant(a), Operand::Constant(b), ..]) => {
                if a < b {
                    then
                } else {
                    otherwise
                }
            }
            _ => self, // an entry always has its tape
        }
    }
}
