//! Cross-entropies in which what is easy counts less (Lin et al. 2017).

use super::cross_entropy::Rows;
use super::all::BinaryCrossentropy;
use super::{Loss, check, is_label, pair};
use crate::ClassAxis;
use kiln_autograd::{Squash, Var};
use kiln_tensor::{DType, Error, Result, Shape, Tensor};

/// (1 − q)^γ times the binary cross-entropy of each number, q being the probability of the target: p where t = 1, and 1 − p where t = 0.
/// γ is 2, as in Keras's `BinaryFocalCrossentropy`. Targets in [0, 1] of the predictions' shape, or (n,) with (n, 1).
#[derive(Clone, Copy, Debug)]
pub struct BinaryFocal {
    from_logits: bool,
    gamma: f64,
    alpha: Option<f64>,
}

/// Σ −α·t·(1 − p)^γ·ln p over the classes: of one-hot targets of the predictions' shape, or of labels without the axis of classes.
/// γ is 2 and α 0.25, as in Keras's `CategoricalFocalCrossentropy`. Where the classes are: [`ClassAxis`].
#[derive(Clone, Copy, Debug)]
pub struct CategoricalFocal {
    from_logits: bool,
    gamma: f64,
    alpha: f64,
    axis: ClassAxis,
}

impl Default for BinaryFocal {
    fn default() -> Self {
        BinaryFocal::new()
    }
}

impl Default for CategoricalFocal {
    fn default() -> Self {
        CategoricalFocal::new()
    }
}

impl BinaryFocal {
    /// Of probabilities; of a sigmoid's, its logits are used.
    pub const fn new() -> Self {
        BinaryFocal { from_logits: false, gamma: 2.0, alpha: None }
    }

    /// Of logits: what a last layer without sigmoid gives.
    pub const fn from_logits() -> Self {
        BinaryFocal { from_logits: true, ..BinaryFocal::new() }
    }

    /// γ, 0 or more; another one is reported when the loss is computed. 0 is the plain cross-entropy.
    #[must_use]
    pub const fn gamma(self, gamma: f64) -> Self {
        BinaryFocal { gamma, ..self }
    }

    /// Multiplies the losses of positives by α and those of negatives by 1 − α, with α from 0 to 1 (Keras's `apply_class_balancing`). Without it both
    /// count alike.
    #[must_use]
    pub const fn alpha(self, alpha: f64) -> Self {
        BinaryFocal { alpha: Some(alpha), ..self }
    }
}

impl CategoricalFocal {
    /// Of probabilities; of a softmax's, its logits are used.
    pub const fn new() -> Self {
        CategoricalFocal { from_logits: false, gamma: 2.0, alpha: 0.25, axis: ClassAxis::BY_RANK }
    }

    /// Of logits: what a last layer without softmax gives.
    pub const fn from_logits() -> Self {
        CategoricalFocal { from_logits: true, ..CategoricalFocal::new() }
    }

    /// γ, 0 or more; another one is reported when the loss is computed.
    #[must_use]
    pub const fn gamma(self, gamma: f64) -> Self {
        CategoricalFocal { gamma, ..self }
    }

    /// α, by which all is multiplied.
    #[must_use]
    pub const fn alpha(self, alpha: f64) -> Self {
        CategoricalFocal { alpha, ..self }
    }

    /// The axis of classes, the batch's being 0; negative ones count from the end. Without it the last one, of maps (rank 4 and more)
    /// axis 1.
    #[must_use]
    pub const fn axis(self, axis: isize) -> Self {
        CategoricalFocal { axis: ClassAxis::at(axis), ..self }
    }
}

fn check_settings(loss: &'static str, gamma: f64, alpha: f64) -> Result<()> {
    if !(0.0..f64::INFINITY).contains(&gamma) {
        return Err(Error::value(loss, format!("a γ of 0 or more and finite is expected, got {gamma}")));
    }
    if !(0.0..=1.0).contains(&alpha) {
        return Err(Error::value(loss, format!("an α from 0 to 1 is expected, got {alpha}")));
    }
    Ok(())
}

/// easy^γ, with a slope of 0 at 0.
fn power(easy: &Var, gamma: f64) -> Result<Option<Var>> {
    if gamma == 0.0 {
        return Ok(None);
    }
    easy.clamp(easy.dtype().smallest_normal(), f64::INFINITY)?.powf(gamma).map(Some)
}

impl Loss for BinaryFocal {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        check_settings(self.name(), self.gamma, self.alpha.unwrap_or(0.5))?;
        let logits = match prediction.origin() {
            _ if self.from_logits => Some(prediction),
            Some(origin) if origin.squash() == Squash::Sigmoid => Some(origin.logits()),
            _ => None,
        };
        let (x, t) = pair(self.name(), logits.unwrap_or(prediction), target)?;
        check::within(self.name(), "target", t.tensor(), 0.0, 1.0)?;
        let of_logits = logits.is_some();
        let plain = if of_logits { BinaryCrossentropy::from_logits() } else { BinaryCrossentropy::new() };
        let mut each = plain.each(&x, &t)?;
        let negative = t.affine(-1.0, 1.0)?;
        let (p, other) =
            if of_logits { (x.sigmoid()?, x.neg()?.sigmoid()?) } else { (x.clone(), x.affine(-1.0, 1.0)?) };
        if let Some(factor) = power(&t.mul(&other)?.add(&negative.mul(&p)?)?, self.gamma)? {
            each = each.mul(&factor)?;
        }
        match self.alpha {
            Some(alpha) => each.mul(&t.affine(2.0 * alpha - 1.0, 1.0 - alpha)?),
            None => Ok(each),
        }
    }
    fn name(&self) -> &'static str {
        "binary_focal_crossentropy"
    }
}

impl Loss for CategoricalFocal {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        check_settings(self.name(), self.gamma, self.alpha)?;
        let rows = Rows::new(self.name(), prediction, self.axis, self.from_logits)?;
        let log = rows.log_probabilities()?;
        let t = if is_label(target.dtype()) && target.dims() == rows.leading() {
            let labels = target.tensor().to_dtype(DType::I64)?.reshape([target.shape().elements(), 1])?;
            check::labels(self.name(), &labels, rows.classes())?;
            let at = labels.eq(&Tensor::arange(rows.classes(), labels.device())?)?;
            Var::constant(at.to_dtype(log.dtype())?)
        } else {
            rows.distributions(target)?
        };
        let mut each = t.mul(&log)?;
        if let Some(factor) = power(&log.expm1()?.neg()?, self.gamma)? {
            each = each.mul(&factor)?;
        }
        rows.shaped(each.sum(1)?.mul_scalar(-self.alpha)?)
    }
    fn class_axis(&self, prediction: &Shape) -> Result<Option<usize>> {
        self.axis.of(self.name(), prediction).map(Some)
    }
    fn labels(&self, target: &Tensor) -> Result<Tensor> {
        if is_label(target.dtype()) {
            return target.to_dtype(DType::I64);
        }
        target.argmax(self.axis.of("class_weight", target.shape())?)
    }
    fn name(&self) -> &'static str {
        "categorical_focal_crossentropy"
    }
}
