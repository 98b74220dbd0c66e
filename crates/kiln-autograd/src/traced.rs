//! The scalar definitions run on whole Vars: how a derivative written once for numbers becomes a graph of its own.
//!
//! A [`Traced`] number is an expression on a [`Tape`]. Constants stay numbers and fold; of the rest only what
//! [`Tape::evaluate`] is asked for is computed, once, by Var operations.

use crate::Var;
use kiln_math::{BinaryOp, Real, UnaryOp};
use kiln_tensor::{CompareOp, Result, Shape, Tensor, UnaryCall};
use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Expressions over Vars, in the order in which they were written down.
#[derive(Default)]
pub(crate) struct Tape(RefCell<Vec<Entry>>);

struct Entry {
    expression: Expression,
    value: Option<Var>,
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
#[derive(Clone, Copy)]
pub(crate) struct Traced<'t> {
    tape: Option<&'t Tape>,
    operand: Operand,
}

/// What an expression came to.
pub(crate) enum Value {
    /// The same number everywhere.
    Constant(f64),
    /// A Var.
    Var(Var),
}

impl Value {
    /// This value times a gradient.
    pub(crate) fn times(self, dy: &Var) -> Result<Var> {
        match self {
            Value::Constant(1.0) => Ok(dy.clone()),
            Value::Constant(c) => dy.mul_scalar(c),
            Value::Var(v) => dy.mul(&v),
        }
    }

    fn into_var(self, like: &Var) -> Result<Var> {
        match self {
            Value::Constant(c) => Ok(Var::constant(Tensor::full(Shape::SCALAR, c, like.dtype(), like.device())?)),
            Value::Var(v) => Ok(v),
        }
    }
}

impl Tape {
    /// A Var as a number.
    pub(crate) fn given(&self, var: Var) -> Traced<'_> {
        let traced = self.write(Expression::Given);
        if let (Operand::Entry(at), Some(entry)) = (traced.operand, self.0.borrow_mut().last_mut()) {
            debug_assert!(at < usize::MAX);
            entry.value = Some(var);
        }
        traced
    }

    fn write(&self, expression: Expression) -> Traced<'_> {
        let mut entries = self.0.borrow_mut();
        entries.push(Entry { expression, value: None });
        Traced { tape: Some(self), operand: Operand::Entry(entries.len() - 1) }
    }

    /// Computes a number that was written down on this tape.
    pub(crate) fn evaluate(&self, traced: Traced<'_>) -> Result<Value> {
        self.value(traced.operand)
    }

    fn value(&self, operand: Operand) -> Result<Value> {
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
            return Ok(Value::Var(var));
        }
        let var = match expression {
            Expression::Given => return Ok(Value::Constant(f64::NAN)), // given entries always have their value
            Expression::Unary(call, x) => match self.value(Operand::Entry(x))? {
                Value::Var(x) => x.unary(call)?,
                constant => return Ok(constant), // entries are never constants
            },
            Expression::Binary(op, a, b) => self.binary(op, self.value(a)?, self.value(b)?)?,
            Expression::IfLess(operands) => {
                let [a, b, then, otherwise] = operands;
                let values = [self.value(a)?, self.value(b)?, self.value(then)?, self.value(otherwise)?];
                let like = values.iter().find_map(|v| if let Value::Var(v) = v { Some(v.clone()) } else { None });
                let [a, b, then, otherwise] = values;
                match like {
                    Some(like) => {
                        let (a, b) = (a.into_var(&like)?, b.into_var(&like)?);
                        let condition = a.tensor().compare(CompareOp::Lt, b.tensor())?;
                        Var::select(&condition, &then.into_var(&like)?, &otherwise.into_var(&like)?)?
                    }
                    None => return Ok(then), // four constants were folded when written
                }
            }
        };
        self.0.borrow_mut()[at].value = Some(var.clone());
        Ok(Value::Var(var))
    }

    /// Constants become scale and shift where they can, which spares a broadcast.
    fn binary(&self, op: BinaryOp, a: Value, b: Value) -> Result<Var> {
        match (op, a, b) {
            (BinaryOp::Add, Value::Var(v), Value::Constant(c)) | (BinaryOp::Add, Value::Constant(c), Value::Var(v)) => {
                v.add_scalar(c)
            }
            (BinaryOp::Mul, Value::Var(v), Value::Constant(c)) | (BinaryOp::Mul, Value::Constant(c), Value::Var(v)) => {
                v.mul_scalar(c)
            }
            (BinaryOp::Sub, Value::Var(v), Value::Constant(c)) => v.add_scalar(-c),
            (BinaryOp::Sub, Value::Constant(c), Value::Var(v)) => v.affine(-1.0, c),
            (_, Value::Var(a), Value::Var(b)) => a.binary(op, &b),
            (_, Value::Var(a), b) => a.binary(op, &b.into_var(&a)?),
            (_, a, Value::Var(b)) => a.into_var(&b)?.binary(op, &b),
            (_, Value::Constant(a), Value::Constant(_)) => {
                // Two constants were folded when written down.
                Ok(Var::constant(Tensor::full(Shape::SCALAR, a, kiln_tensor::DType::F64, &kiln_tensor::Device::cpu())?))
            }
        }
    }
}

impl<'t> Traced<'t> {
    fn apply(self, op: UnaryOp, fold: impl FnOnce(f64) -> f64) -> Self {
        match (self.tape, self.operand) {
            (Some(tape), Operand::Entry(at)) => tape.write(Expression::Unary(op.into(), at)),
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
        impl $trait for Traced<'_> {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                self.join(BinaryOp::$op, other, f64::$method)
            }
        }
    )+};
}
operators!(Add add Add, Sub sub Sub, Mul mul Mul, Div div Div);

impl Neg for Traced<'_> {
    type Output = Self;
    fn neg(self) -> Self {
        self.apply(UnaryOp::Neg, f64::neg)
    }
}

macro_rules! functions {
    ($($method:ident $op:ident),+) => {$(
        fn $method(self) -> Self {
            self.apply(UnaryOp::$op, <f64 as Real>::$method)
        }
    )+};
}

impl Real for Traced<'_> {
    fn constant(value: f64) -> Self {
        Traced { tape: None, operand: Operand::Constant(value) }
    }
    fn mul_add(self, a: Self, b: Self) -> Self {
        self * a + b
    }
    functions!(
        abs Abs, sqrt Sqrt, exp Exp, ln Ln, sin Sin, cos Cos, tanh Tanh, erf Erf, sigmoid Sigmoid, expm1 Expm1,
        ln_1p Ln1p, floor Floor, ceil Ceil, round_even Round
    );
    fn maximum(self, other: Self) -> Self {
        self.join(BinaryOp::Maximum, other, <f64 as Real>::maximum)
    }
    fn minimum(self, other: Self) -> Self {
        self.join(BinaryOp::Minimum, other, <f64 as Real>::minimum)
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
    fn powf(self, exponent: Self) -> Self {
        self.join(BinaryOp::Pow, exponent, <f64 as Real>::powf)
    }
}
