//! Softmax and its logarithm.

use crate::{Backward, Function, Squash, Var};
use kiln_tensor::{Result, SoftmaxKind, Tensor};

/// y = softmax(x): dx = y · (dy − Σ y·dy); y = log_softmax(x): dx = dy − exp(y) · Σ dy. Along the last axis.
struct Softmax {
    kind: SoftmaxKind,
    y: Tensor,
    /// Kept of half types, whose gradient is computed in f32.
    x: Option<Tensor>,
}

impl Function for Softmax {
    fn name(&self) -> &'static str {
        match self.kind {
            SoftmaxKind::Softmax => "softmax",
            SoftmaxKind::LogSoftmax => "log_softmax",
        }
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let dx = if dy.is_half() {
            // From x in f32: a rounded y is no place to take a slope at.
            let x = self.x.as_ref().map_or_else(|| pass.output(&self.y), |x| pass.input(0, x)).widened()?;
            let y = x.normalised(self.kind, -1)?;
            dy.in_wide(|dy| slope(self.kind, &y, dy))?
        } else if !pass.records() {
            Var::constant(self.y.softmax_grad(self.kind, dy.tensor())?)
        } else {
            slope(self.kind, &pass.output(&self.y), &dy)?
        };
        pass.accumulate(0, dx)
    }
}

/// dx by operations on Vars.
fn slope(kind: SoftmaxKind, y: &Var, dy: &Var) -> Result<Var> {
    match kind {
        SoftmaxKind::Softmax => y.mul(&dy.sub(&y.mul(dy)?.sum(-1, true)?)?),
        SoftmaxKind::LogSoftmax => dy.sub(&y.exp()?.mul(&dy.sum(-1, true)?)?),
    }
}

impl Var {
    fn normalised(&self, kind: SoftmaxKind, axis: isize) -> Result<Var> {
        let rank = self.shape().rank();
        let last = rank as isize - 1;
        if axis == -1 || axis == last {
            let y = match kind {
                SoftmaxKind::Softmax => self.tensor().softmax(-1)?,
                SoftmaxKind::LogSoftmax => self.tensor().log_softmax(-1)?,
            };
            return Ok(Var::record(&[self], y, |y| Softmax {
                kind,
                y: y.clone(),
                x: self.is_half().then(|| self.tensor().clone()),
            }));
        }
        let axis = kiln_tensor::axis_index("softmax", axis, self.shape())?;
        self.transpose(axis, rank - 1)?.normalised(kind, -1)?.transpose(axis, rank - 1)
    }

    /// exp(xᵢ) / Σ exp(xⱼ) along `axis` (negative: from the end), computed without overflow. The result knows its logits
    /// ([`Var::origin`]).
    ///
    /// # Errors
    /// An axis out of range, or a dtype that is not a float type.
    pub fn softmax(&self, axis: isize) -> Result<Var> {
        let axis = kiln_tensor::axis_index("softmax", axis, self.shape())?;
        Ok(self.normalised(SoftmaxKind::Softmax, axis as isize)?.made_of(Squash::Softmax { axis }, self))
    }

    /// xᵢ − ln Σ exp(xⱼ) along `axis`.
    ///
    /// # Errors
    /// An axis out of range, or a dtype that is not a float type.
    pub fn log_softmax(&self, axis: isize) -> Result<Var> {
        self.normalised(SoftmaxKind::LogSoftmax, axis)
    }
}
