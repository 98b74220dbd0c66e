//! Optimizer steps by operations on whole tensors: a rule's formula, run on tensors as its numbers.

use super::UpdateTensors;
use crate::{CompareOp, Error, Result, Tensor, UnaryCall};
use kiln_math::update::{Constants, States};
use kiln_math::{BinaryOp, Real, UnaryOp, UpdateRule};
use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// One step of the rule over all tensors, in their own memory.
pub(super) fn update(
    rule: UpdateRule,
    constants: &Tensor,
    apply: Option<&Tensor>,
    tensors: &mut [UpdateTensors<'_>],
) -> Result<()> {
    for tensor in tensors {
        let (parameter, states) = after(rule, &constants.index(0, tensor.row)?, tensor)?;
        write(tensor.parameter, &parameter, apply)?;
        for (state, value) in tensor.states.iter_mut().zip(states) {
            if let Some(state) = state {
                write(state, &value, apply)?;
            }
        }
    }
    Ok(())
}

/// `value`, where the step is made.
fn write(to: &mut Tensor, value: &Tensor, apply: Option<&Tensor>) -> Result<()> {
    let value = value.to_dtype(to.dtype())?.broadcast_to(to.shape())?;
    match apply {
        Some(apply) => to.copy_from(&Tensor::select(&apply.reshape(())?, &value, to)?),
        None => to.copy_from(&value),
    }
}

/// The parameter and the states after a step.
fn after(rule: UpdateRule, row: &Tensor, tensors: &UpdateTensors<'_>) -> Result<(Tensor, States<Tensor>)> {
    let tape = Tape { like: row, values: RefCell::default(), fault: RefCell::default() };
    let wide = |tensor: &Tensor| tape.write(tensor.to_dtype(row.dtype()));
    let constants: Constants<Number<'_>> = std::array::from_fn(|i| tape.write(row.index(0, i)));
    let states: States<Number<'_>> = std::array::from_fn(|i| match &tensors.states[i] {
        Some(state) => wide(state),
        None => Number::Constant(0.0),
    });
    let (p, states) = rule.element(wide(tensors.parameter), wide(tensors.gradient), states, &constants);
    let (p, states) = (tape.tensor(p), states.map(|state| tape.tensor(state)));
    match tape.fault.take() {
        Some(fault) => Err(fault),
        None => Ok((p, states)),
    }
}

/// What was computed so far, and the first fault: a number cannot return it.
struct Tape<'r> {
    /// A tensor of the dtype that is computed in, on the device.
    like: &'r Tensor,
    values: RefCell<Vec<Tensor>>,
    fault: RefCell<Option<Error>>,
}

/// A tensor as a number: the same everywhere, or an entry of a tape.
#[derive(Clone, Copy)]
enum Number<'t> {
    Constant(f64),
    Entry(&'t Tape<'t>, usize),
}

impl Tape<'_> {
    /// The value, or after a fault any other.
    fn sound(&self, value: Result<Tensor>) -> Tensor {
        value.unwrap_or_else(|fault| {
            self.fault.borrow_mut().get_or_insert(fault);
            self.like.clone()
        })
    }

    fn write(&self, value: Result<Tensor>) -> Number<'_> {
        let value = self.sound(value);
        let mut values = self.values.borrow_mut();
        values.push(value);
        Number::Entry(self, values.len() - 1)
    }

    fn tensor(&self, number: Number<'_>) -> Tensor {
        match number {
            Number::Constant(value) => self.sound(Tensor::full((), value, self.like.dtype(), self.like.device())),
            Number::Entry(tape, at) => tape.values.borrow()[at].clone(),
        }
    }
}

impl<'t> Number<'t> {
    /// An operation on numbers: `fold` of constants, else `run` of tensors.
    fn compute<const N: usize>(
        numbers: [Self; N],
        fold: impl FnOnce([f64; N]) -> f64,
        run: impl FnOnce([Tensor; N]) -> Result<Tensor>,
    ) -> Self {
        let tape =
            numbers.iter().find_map(|number| if let Number::Entry(tape, _) = number { Some(*tape) } else { None });
        match tape {
            Some(tape) => tape.write(run(numbers.map(|number| tape.tensor(number)))),
            None => Number::Constant(fold(numbers.map(|number| match number {
                Number::Constant(value) => value,
                Number::Entry(..) => f64::NAN, // there is none
            }))),
        }
    }

    fn unary(self, op: UnaryOp, fold: impl FnOnce(f64) -> f64) -> Self {
        Self::compute([self], |[x]| fold(x), |[x]| x.unary(op.into()))
    }

    fn binary(self, other: Self, op: BinaryOp, fold: impl FnOnce(f64, f64) -> f64) -> Self {
        Self::compute([self, other], |[a, b]| fold(a, b), |[a, b]| a.binary(op, &b))
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident),+) => {$(
        impl $trait for Number<'_> {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                self.binary(other, BinaryOp::$trait, f64::$method)
            }
        }
    )+};
}
operators!(Add add, Sub sub, Mul mul, Div div);

impl Neg for Number<'_> {
    type Output = Self;
    fn neg(self) -> Self {
        self.unary(UnaryOp::Neg, f64::neg)
    }
}

macro_rules! functions {
    ($($method:ident $op:ident),+) => {$(
        fn $method(self) -> Self {
            self.unary(UnaryOp::$op, <f64 as Real>::$method)
        }
    )+};
}

macro_rules! joins {
    ($($method:ident $op:ident),+) => {$(
        fn $method(self, other: Self) -> Self {
            self.binary(other, BinaryOp::$op, <f64 as Real>::$method)
        }
    )+};
}

impl Real for Number<'_> {
    fn constant(value: f64) -> Self {
        Number::Constant(value)
    }
    fn mul_add(self, a: Self, b: Self) -> Self {
        self * a + b
    }
    functions!(
        abs Abs, sqrt Sqrt, exp Exp, expm1 Expm1, ln Ln, ln_1p Ln1p, log2 Log2, log10 Log10, sin Sin, cos Cos, asin Asin,
        acos Acos, atan Atan, tanh Tanh, erf Erf, erfinv Erfinv, lgamma Lgamma, digamma Digamma, sigmoid Sigmoid, floor Floor,
        ceil Ceil, round_even Round
    );
    joins!(maximum Maximum, minimum Minimum, powf Pow, atan2 Atan2, hypot Hypot, fmod Fmod, copysign CopySign);
    fn polygamma(self, order: Self) -> Self {
        let Number::Constant(n) = order else { return Number::Constant(f64::NAN) }; // an order is a constant
        let call = UnaryCall { op: UnaryOp::Polygamma, params: [n, 0.0] };
        Self::compute([self], |[x]| Real::polygamma(x, n), |[x]| x.unary(call))
    }
    fn if_less(self, other: Self, then: Self, otherwise: Self) -> Self {
        Self::compute(
            [self, other, then, otherwise],
            |[a, b, then, otherwise]| a.if_less(b, then, otherwise),
            |[a, b, then, otherwise]| Tensor::select(&a.compare(CompareOp::Lt, &b)?, &then, &otherwise),
        )
    }
}
