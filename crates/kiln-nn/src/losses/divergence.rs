//! The Kullback-Leibler divergence.

use super::cross_entropy::Rows;
use super::Loss;
use crate::ClassAxis;
use kiln_autograd::Var;
use kiln_tensor::{Result, Shape, Tensor};

/// Σ t·ln(t/p) over the classes, of predictions and targets of the same shape, both distributions: how far p is from t. A class whose
/// target is 0 adds nothing. Where the classes are: [`ClassAxis`].
///
/// Of probabilities, as Keras's `KLDivergence`; the logits of a softmax are used where there are some. PyTorch's `KLDivLoss` takes
/// logarithms of probabilities, for which [`KlDivergence::from_logits`] gives the same.
///
/// ```
/// use kiln_nn::{KlDivergence, Loss};
/// use kiln_tensor::{Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let cpu = Device::cpu();
/// let p = Tensor::from_slice(&[0.5f64, 0.5], [1, 2], &cpu)?;
/// let t = Tensor::from_slice(&[1.0f64, 0.0], [1, 2], &cpu)?;
/// assert!((KlDivergence::new().forward(&p.into(), &t)?.item()? - 2f64.ln()).abs() < 1e-12);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct KlDivergence {
    from_logits: bool,
    axis: ClassAxis,
}

impl KlDivergence {
    /// Of probabilities.
    pub const fn new() -> Self {
        KlDivergence { from_logits: false, axis: ClassAxis::BY_RANK }
    }

    /// Of logits, or of logarithms of probabilities.
    pub const fn from_logits() -> Self {
        KlDivergence { from_logits: true, axis: ClassAxis::BY_RANK }
    }

    /// The axis of classes, the batch's being 0; negative ones count from the end. Without it the last one, of maps (rank 4 and more)
    /// axis 1.
    #[must_use]
    pub const fn axis(self, axis: isize) -> Self {
        KlDivergence { axis: ClassAxis::at(axis), ..self }
    }
}

impl Loss for KlDivergence {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        let rows = Rows::new(self.name(), prediction, self.axis, self.from_logits)?;
        let t = rows.distributions(target)?;
        let ln_t = t.clamp(t.dtype().smallest_normal(), f64::INFINITY)?.ln()?;
        rows.shaped(t.mul(&ln_t.sub(&rows.log_probabilities()?)?)?.sum(1)?)
    }
    fn class_axis(&self, prediction: &Shape) -> Result<Option<usize>> {
        self.axis.of(self.name(), prediction).map(Some)
    }
    fn labels(&self, target: &Tensor) -> Result<Tensor> {
        target.argmax(self.axis.of("class_weight", target.shape())?)
    }
    fn name(&self) -> &'static str {
        "kl_divergence"
    }
}
