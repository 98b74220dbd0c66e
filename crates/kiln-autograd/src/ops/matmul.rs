//! Matrix products, and the fused linear layer.

use super::activation::{FusedActivation, FusedSlope};
use super::elementwise::needs_only_output;
use crate::{Backward, Function, Var};
use kiln_tensor::{Arithmetic, MatmulOptions, Result, Shape, Tensor, UnaryCall};

/// y = a · b over the last two axes; da = dy · bᵀ, db = aᵀ · dy, summed over broadcast batch axes. Each is kept where the other
/// wants a gradient.
struct Matmul {
    a: Option<Tensor>,
    b: Option<Tensor>,
    shapes: [Shape; 2],
}

/// This operand, where the other one wants a gradient.
pub(super) fn saved(operand: &Var, other: &Var) -> Option<Tensor> {
    other.requires_grad().then(|| operand.tensor().clone())
}

/// The last two axes exchanged.
fn transposed(x: &Var) -> Result<Var> {
    let rank = x.shape().rank();
    x.transpose(rank - 2, rank - 1)
}

impl Function for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let [a_shape, b_shape] = &self.shapes;
        if let Some(b) = self.b.as_ref().filter(|_| pass.needs(0)) {
            let b = pass.input(1, b).into_wide()?;
            pass.accumulate(0, dy.in_wide(|dy| dy.matmul(&transposed(&b)?)?.sum_to(a_shape))?)?;
        }
        if let Some(a) = self.a.as_ref().filter(|_| pass.needs(1)) {
            let a = pass.input(0, a).into_wide()?;
            let db = dy.in_wide(|dy| {
                if b_shape.rank() == 2 && a_shape.rank() > 2 {
                    // All rows of the batch in one product, instead of one product each and a sum.
                    rows(&a)?.t()?.matmul(&rows(dy)?)
                } else {
                    transposed(&a)?.matmul(dy)?.sum_to(b_shape)
                }
            })?;
            pass.accumulate(1, db)?;
        }
        Ok(())
    }
}

/// (…, n) as (rows, n).
fn rows(x: &Var) -> Result<Var> {
    let n = x.dims().last().copied().unwrap_or(1);
    let rows = x.dims().iter().rev().skip(1).product::<usize>();
    if x.shape().rank() == 2 { Ok(x.clone()) } else { x.reshape([rows, n]) }
}

/// y = activation(x · wᵀ + b) of rows x (n, in), w (out, in), b (out,).
///
/// With dz = dy · activation′(y): dx = dz · w, dw = dzᵀ · x, db = Σ dz over the rows. Its composed form is
/// `x.matmul(w.t()?)?.add(b)?.unary(activation)?`.
struct Linear {
    /// Kept where the weight wants a gradient.
    x: Option<Tensor>,
    /// Kept where the input wants a gradient.
    w: Option<Tensor>,
    has_bias: bool,
    activation: FusedSlope,
}

impl Function for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let dz = self.activation.dz(dy, pass)?;
        if self.has_bias && pass.needs(2) {
            pass.accumulate(2, dz.sum(0)?)?;
        }
        if let Some(x) = self.x.as_ref().filter(|_| pass.needs(1)) {
            let x = pass.input(0, x);
            pass.accumulate(1, dz.t()?.matmul(&x)?)?;
        }
        if let Some(w) = self.w.as_ref().filter(|_| pass.needs(0)) {
            let w = pass.input(1, w);
            pass.accumulate(0, dz.matmul(&w)?)?;
        }
        Ok(())
    }
}

impl Var {
    /// The matrix product by NumPy's rule: the last two axes are multiplied, those before are broadcast; a vector is a
    /// row on the left and a column on the right.
    ///
    /// # Errors
    /// Inner sizes that differ, batch axes that do not broadcast, dtypes or devices that differ.
    pub fn matmul(&self, other: &Var) -> Result<Var> {
        match (self.shape().rank(), other.shape().rank()) {
            (1, 1) if self.shape() == other.shape() && self.dtype() == other.dtype() => self.dot(other),
            (1, 1) => self.unsqueeze(0)?.matmul(&other.unsqueeze(1)?)?.reshape(()),
            (1, n) => self.unsqueeze(0)?.matmul(other)?.squeeze(n - 2),
            (n, 1) => self.matmul(&other.unsqueeze(1)?)?.squeeze(n - 1),
            _ => {
                let y = self.tensor().matmul(other.tensor())?;
                Ok(Var::record(&[self, other], y, |_| Matmul {
                    a: saved(self, other),
                    b: saved(other, self),
                    shapes: [*self.shape(), *other.shape()],
                }))
            }
        }
    }

    /// activation(x · weightᵀ + bias) in one pass: x (…, in), weight (out, in), bias (out,), as PyTorch's `linear`.
    ///
    /// The activation is fused where its derivative can be taken from the output alone (ReLU, tanh, sigmoid, …); another
    /// is applied after, with the same result.
    ///
    /// # Errors
    /// Sizes that do not fit, dtypes or devices that differ.
    pub fn linear(&self, weight: &Var, bias: Option<&Var>, activation: Option<UnaryCall>) -> Result<Var> {
        if self.shape().rank() != 2 && weight.shape().rank() == 2 && self.shape().rank() > 0 {
            let mut dims = self.shape().to_vec();
            let y = rows(self)?.linear(weight, bias, activation)?;
            if let (Some(last), Some(&out)) = (dims.last_mut(), y.dims().last()) {
                *last = out;
            }
            return y.reshape(Shape::new(&dims)?);
        }
        if self.is_half() && activation.is_some() {
            // The slope is taken from the output, which must not be rounded for that.
            let (weight, bias) = (weight.widened()?, bias.map(Var::widened).transpose()?);
            return self.in_wide(|x| x.linear(&weight, bias.as_ref(), activation));
        }
        let activation = FusedActivation::split(activation, needs_only_output);
        let options = MatmulOptions { bias: bias.map(Var::tensor), activation: activation.fused };
        let y = self.tensor().matmul_with(&weight.tensor().t()?, options)?;
        let function = |y: &Tensor| Linear {
            x: saved(self, weight),
            w: saved(weight, self),
            has_bias: bias.is_some(),
            activation: activation.kept(y),
        };
        activation.finish(match bias {
            Some(bias) => Var::record(&[self, weight, bias], y, function),
            None => Var::record(&[self, weight], y, function),
        })
    }
}
