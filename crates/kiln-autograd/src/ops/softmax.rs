//! Softmax and its logarithm.

use crate::{Backward, Function, Squash, Var};
use kiln_tensor::{Arithmetic, IntoAxis, Result, SoftmaxKind, Tensor, axis_index, composed};

/// y = softmax(x): dx = y · (dy − Σ y·dy); y = log_softmax(x): dx = dy − exp(y) · Σ dy. Along the last axis.
struct Softmax {
    kind: SoftmaxKind,
    x: Tensor,
    y: Tensor,
}

impl Function for Softmax {
    fn name(&self) -> &'static str {
        match self.kind {
            SoftmaxKind::Softmax => "softmax",
            SoftmaxKind::LogSoftmax => "log_softmax",
        }
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        if !pass.records()
            && let Some(dx) = self.y.softmax_grad(self.kind, dy.tensor())?
        {
            return pass.accumulate(0, Var::constant(dx));
        }
        pass.differentiate(&dy, |inputs| composed::softmax(self.kind, &inputs.take(0, &self.x)?))
    }
}

/// y = ln Σ exp(x) along the last axis; dx = dy · softmax(x).
struct Logsumexp {
    x: Tensor,
}

impl Function for Logsumexp {
    fn name(&self) -> &'static str {
        "logsumexp"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        if !pass.records() {
            return pass.accumulate(0, Var::constant(self.x.softmax(-1)?.mul(dy.tensor())?));
        }
        pass.differentiate(&dy, |inputs| composed::logsumexp(&inputs.take(0, &self.x)?))
    }
}

impl Var {
    /// Half types are computed in f32, as slopes are not taken at rounded outputs.
    fn squashed(&self, kind: SoftmaxKind, axis: usize) -> Result<Var> {
        let last = self.shape().rank() - 1;
        if axis != last {
            return self.transpose(axis, last)?.squashed(kind, last)?.transpose(axis, last);
        }
        self.in_wide(|x| {
            let y = match kind {
                SoftmaxKind::Softmax => x.tensor().softmax(-1)?,
                SoftmaxKind::LogSoftmax => x.tensor().log_softmax(-1)?,
            };
            Ok(Var::record(&[x], y, |y| Softmax { kind, x: x.tensor().clone(), y: y.clone() }))
        })
    }

    /// exp(xᵢ) / Σ exp(xⱼ) along `axis` (negative: from the end), computed without overflow. The result knows its logits
    /// ([`Var::origin`]).
    ///
    /// # Errors
    /// An axis out of range, or a dtype that is not a float type.
    pub fn softmax(&self, axis: impl IntoAxis) -> Result<Var> {
        let axis = axis_index("softmax", axis, self.shape())?;
        Ok(self.squashed(SoftmaxKind::Softmax, axis)?.made_of(Squash::Softmax { axis }, self))
    }

    /// xᵢ − ln Σ exp(xⱼ) along `axis`.
    ///
    /// # Errors
    /// An axis out of range, or a dtype that is not a float type.
    pub fn log_softmax(&self, axis: impl IntoAxis) -> Result<Var> {
        self.squashed(SoftmaxKind::LogSoftmax, axis_index("log_softmax", axis, self.shape())?)
    }

    /// ln Σ exp(x) along `axis`, computed without overflow; −∞ where all elements are −∞.
    ///
    /// # Errors
    /// An axis out of range or without elements, or a dtype that is not a float type.
    pub fn logsumexp(&self, axis: impl IntoAxis) -> Result<Var> {
        let axis = axis_index("logsumexp", axis, self.shape())?;
        self.logsumexp_keepdim(axis)?.squeeze(axis)
    }

    /// [`Var::logsumexp`] with the axis kept at size 1.
    ///
    /// # Errors
    /// As [`Var::logsumexp`].
    pub fn logsumexp_keepdim(&self, axis: impl IntoAxis) -> Result<Var> {
        let axis = axis_index("logsumexp", axis, self.shape())?;
        let last = self.shape().rank() - 1;
        let x = self.transpose(axis, last)?;
        let y = x.in_wide(|x| {
            let y = x.tensor().logsumexp_keepdim(last)?;
            Ok(Var::record(&[x], y, |_| Logsumexp { x: x.tensor().clone() }))
        })?;
        y.transpose(axis, last)
    }
}
