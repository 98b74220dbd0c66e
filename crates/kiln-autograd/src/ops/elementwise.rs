//! Elementwise operations: methods and rules made from `kiln_math`'s lists, so that an operation added there is here.

use crate::uses::Uses;
use crate::{Backward, Function, Squash, Var};
use kiln_math::{BinaryOp, Real, UnaryOp};
use kiln_tensor::{Arithmetic, Result, Shape, Tape, Tensor, Traced, UnaryCall, Value};

/// What the derivative of a unary operation reads: its input, its output.
fn unary_uses(op: UnaryOp) -> Uses {
    // The parameters cannot matter: Uses has no values to branch on.
    op.df(Uses::A, Uses::Y, [Uses::NOTHING; 2])
}

/// y = f(x); dx = dy · f′(x, y). Of half types only x is kept: a rounded y would be a poor place to take a slope at, so that it
/// is computed once more, in f32.
struct Unary {
    call: UnaryCall,
    x: Option<Tensor>,
    y: Option<Tensor>,
}

impl Function for Unary {
    fn name(&self) -> &'static str {
        self.call.op.name()
    }

    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let half = dy.is_half();
        let dx = if half && !pass.records() {
            let wide = |saved: &Option<Tensor>| saved.as_ref().map(|x| x.to_dtype(x.dtype().computed_in())).transpose();
            let x = wide(&self.x)?;
            let y = x.as_ref().map(|x| x.unary(self.call)).transpose()?;
            dy.in_wide(|dy| Ok(Var::constant(dy.tensor().clone().unary_grad(self.call, x.as_ref(), y.as_ref())?)))?
        } else if pass.records() {
            let tape = Tape::default();
            let traced = |saved: Option<Var>| saved.map_or(Traced::constant(f64::NAN), |var| tape.given(var));
            let x = self.x.as_ref().map(|x| pass.input(0, x).into_wide()).transpose()?;
            let y = match &self.y {
                None if half => x.as_ref().map(|x| x.unary(self.call)).transpose()?,
                y => y.as_ref().map(|y| pass.output(y)),
            };
            let slope = self.call.op.df(traced(x), traced(y), self.call.params.map(Traced::constant));
            dy.in_wide(|dy| tape.evaluate(slope)?.times(dy))?
        } else {
            Var::constant(dy.into_tensor().unary_grad(self.call, self.x.as_ref(), self.y.as_ref())?)
        };
        pass.accumulate(0, dx)
    }
}

/// y = f(a, b) with broadcasting; da = dy · ∂f/∂a summed back to a's shape, and so for b. Of the values only those are kept
/// that a gradient which is wanted depends on: none of a sum's, the constant alone where one is multiplied with.
struct Binary {
    op: BinaryOp,
    shapes: [Shape; 2],
    a: Option<Tensor>,
    b: Option<Tensor>,
    y: Option<Tensor>,
}

impl Function for Binary {
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let tape = Tape::default();
        let traced = |saved: Option<Var>| saved.map_or(Traced::constant(f64::NAN), |var| tape.given(var));
        let a = self.a.as_ref().map(|a| pass.input(0, a).into_wide()).transpose()?;
        let b = self.b.as_ref().map(|b| pass.input(1, b).into_wide()).transpose()?;
        let y = match (&self.y, &a, &b) {
            // As of a unary operation: a rounded y is no place to take a slope at.
            (Some(_), Some(a), Some(b)) if dy.is_half() => Some(a.binary(self.op, b)?),
            (y, ..) => y.as_ref().map(|y| pass.output(y)),
        };
        let (da, db) = self.op.df(traced(a), traced(b), traced(y));
        for (position, slope, shape) in [(0, da, &self.shapes[0]), (1, db, &self.shapes[1])] {
            if pass.needs(position) {
                let gradient = dy.in_wide(|dy| tape.evaluate(slope)?.times(dy)?.sum_to(shape))?;
                pass.accumulate(position, gradient)?;
            }
        }
        Ok(())
    }
}

/// The derivative of `call` from its output alone, for rules of fused operations; the caller checked that the output is
/// enough.
pub(super) fn slope_from_output(call: UnaryCall, y: Var) -> Result<Value<Var>> {
    let tape = Tape::default();
    let y = tape.given(y);
    tape.evaluate(call.op.df(Traced::constant(f64::NAN), y, call.params.map(Traced::constant)))
}

/// Whether the derivative of `op` can be computed from its output alone.
pub(super) fn needs_only_output(op: UnaryOp) -> bool {
    !unary_uses(op).contains(Uses::A)
}

impl Var {
    /// The elementwise operation `call`.
    ///
    /// # Errors
    /// A dtype without such arithmetic.
    #[inline]
    pub fn unary(&self, call: UnaryCall) -> Result<Var> {
        if call.op == UnaryOp::Sigmoid {
            return self.sigmoid_of_logits(call);
        }
        self.unary_alone(call)
    }

    /// A sigmoid, which knows its logits.
    #[inline(never)]
    fn sigmoid_of_logits(&self, call: UnaryCall) -> Result<Var> {
        Ok(self.unary_alone(call)?.made_of(Squash::Sigmoid, self))
    }

    #[inline(always)]
    fn unary_alone(&self, call: UnaryCall) -> Result<Var> {
        let y = self.tensor().unary(call)?;
        Ok(Var::record(&[self], y, |y| {
            let uses = unary_uses(call.op);
            let (on_x, on_y) = (uses.contains(Uses::A), uses.contains(Uses::Y));
            let half = self.is_half();
            Unary {
                call,
                x: (on_x || on_y && half).then(|| self.tensor().clone()),
                y: (on_y && !half).then(|| y.clone()),
            }
        }))
    }

    /// The elementwise operation `op` with NumPy's broadcasting.
    ///
    /// # Errors
    /// Shapes that do not broadcast, dtypes or devices that differ.
    #[inline]
    pub fn binary(&self, op: BinaryOp, other: &Var) -> Result<Var> {
        let y = self.tensor().binary(op, other.tensor())?;
        Ok(self.recorded(op, other, y))
    }

    /// The output `y` of `op`, recorded.
    #[inline(always)]
    pub(super) fn recorded(&self, op: BinaryOp, other: &Var, y: Tensor) -> Var {
        Var::record(&[self, other], y, |y| {
            let (da, db) = op.df(Uses::A, Uses::B, Uses::Y);
            let wanted = |slope: Uses, of: &Var| if of.requires_grad() { slope } else { Uses::NOTHING };
            let mut uses = wanted(da, self).and(wanted(db, other));
            if self.is_half() && uses.contains(Uses::Y) {
                uses = uses.and(Uses::A).and(Uses::B);
            }
            let saved = |which: Uses, tensor: &Tensor| uses.contains(which).then(|| tensor.clone());
            Binary {
                op,
                shapes: [*self.shape(), *other.shape()],
                a: saved(Uses::A, self.tensor()),
                b: saved(Uses::B, other.tensor()),
                y: saved(Uses::Y, y),
            }
        })
    }

    /// x + value
    ///
    /// # Errors
    /// A dtype without arithmetic.
    pub fn add_scalar(&self, value: f64) -> Result<Var> {
        self.affine(1.0, value)
    }

    /// x · value
    ///
    /// # Errors
    /// A dtype without arithmetic.
    pub fn mul_scalar(&self, value: f64) -> Result<Var> {
        self.affine(value, 0.0)
    }
}

/// One method per unary operation of the list.
macro_rules! unary_methods {
    ($({ $doc:literal, $op:ident, $method:ident, ($($param:ident),*) })+) => {
        impl Var {
            $(
                #[doc = $doc]
                ///
                /// # Errors
                /// A dtype without such arithmetic.
                #[inline]
                pub fn $method(&self $(, $param: f64)*) -> Result<Var> {
                    let mut params = [0.0; 2];
                    let given: &[f64] = &[$($param),*];
                    params[..given.len()].copy_from_slice(given);
                    self.unary(UnaryCall { op: UnaryOp::$op, params })
                }
            )+
        }
    };
}
kiln_math::for_each_unary!(unary_methods);

/// One method per binary operation of the list.
macro_rules! binary_methods {
    ($({ $doc:literal, $op:ident, $method:ident })+) => {
        impl Var {
            $(
                #[doc = $doc]
                ///
                /// # Errors
                /// Shapes that do not broadcast, dtypes or devices that differ.
                #[inline]
                pub fn $method(&self, other: &Var) -> Result<Var> {
                    self.binary(BinaryOp::$op, other)
                }
            )+
        }
    };
}
kiln_math::for_each_binary!(binary_methods);
