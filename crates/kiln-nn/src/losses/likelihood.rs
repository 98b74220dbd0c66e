//! Negative log-likelihoods: of classes, of a Poisson and of a normal distribution.

use super::cross_entropy::Rows;
use super::{Loss, check, computed_in, is_label, pair};
use crate::ClassAxis;
use kiln_autograd::Var;
use kiln_tensor::{DType, Error, ErrorKind, Result, Shape, Tensor};

/// −x of the label, of logarithms of probabilities (n, classes) and labels (n,) of i64 or u8, likewise of sequences and maps: what follows a
/// log-softmax (PyTorch's `NLLLoss`). Where the classes are: [`ClassAxis`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Nll {
    axis: ClassAxis,
    ignored: Option<i64>,
}

impl Nll {
    /// The loss.
    pub const fn new() -> Self {
        Nll { axis: ClassAxis::BY_RANK, ignored: None }
    }

    /// The axis of classes, the batch's being 0; negative ones count from the end. Without it the last one, of maps (rank 4 and more)
    /// axis 1.
    #[must_use]
    pub const fn axis(self, axis: isize) -> Self {
        Nll { axis: ClassAxis::at(axis), ..self }
    }

    /// A label that does not count, as in [`SparseCategoricalCrossentropy`](super::all::SparseCategoricalCrossentropy::ignore_index).
    #[must_use]
    pub const fn ignore_index(self, label: i64) -> Self {
        Nll { ignored: Some(label), ..self }
    }
}

impl Loss for Nll {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        let target = target.tensor();
        if !is_label(target.dtype()) {
            let message = format!("labels of i64 or u8 are expected, got {} {}", target.dtype(), target.shape());
            return Err(Error::new(ErrorKind::DType, self.name(), message));
        }
        let rows = Rows::new(self.name(), prediction, self.axis, true)?;
        let x = rows.scores()?;
        if target.dims() != rows.leading() {
            return Err(rows.misfit(target));
        }
        let labels = target.reshape([target.elements(), 1])?.to_dtype(DType::I64)?;
        let counts = self.counts(&labels)?;
        let zero = |dtype| Tensor::zeros((), dtype, labels.device());
        let kept = match &counts {
            Some(counts) => Tensor::select(counts, &labels, &zero(DType::I64)?)?,
            None => labels.clone(),
        };
        check::labels(self.name(), &kept, rows.classes())?;
        let mut at = kept.eq(&Tensor::arange(rows.classes(), labels.device())?)?;
        if let Some(counts) = &counts {
            at = at.logical_and(counts)?;
        }
        // Not multiplied by 0: ln 0 is −∞.
        rows.shaped(Var::select(&at, &x, &Var::constant(zero(x.dtype())?))?.sum(1)?.neg()?)
    }
    fn counts(&self, target: &Tensor) -> Result<Option<Tensor>> {
        let Some(label) = self.ignored else { return Ok(None) };
        target.to_dtype(DType::I64)?.ne(&Tensor::scalar(label, target.device())?).map(Some)
    }
    fn class_axis(&self, prediction: &Shape) -> Result<Option<usize>> {
        self.axis.of(self.name(), prediction).map(Some)
    }
    fn labels(&self, target: &Tensor) -> Result<Tensor> {
        target.to_dtype(DType::I64)
    }
    fn name(&self) -> &'static str {
        "nll"
    }
}

/// λ − t·ln λ of each number: the negative log-likelihood of counts t, at least 0, under a Poisson distribution of rate λ, without the term ln t!,
/// which no prediction changes. Targets of the predictions' shape, or (n,) with (n, 1).
///
/// Keras's `Poisson` takes rates, to which 1e-7 is added within the logarithm here and there; PyTorch's `PoissonNLLLoss` takes their
/// logarithms by default: [`PoissonNll::from_log`].
#[derive(Clone, Copy, Debug, Default)]
pub struct PoissonNll {
    from_log: bool,
}

impl PoissonNll {
    /// Of rates.
    pub const fn new() -> Self {
        PoissonNll { from_log: false }
    }

    /// Of logarithms of rates: what a last layer without activation gives.
    pub const fn from_log() -> Self {
        PoissonNll { from_log: true }
    }
}

impl Loss for PoissonNll {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        let (p, t) = pair(self.name(), prediction, target)?;
        check::within(self.name(), "target", t.tensor(), 0.0, f64::MAX)?;
        if self.from_log {
            return p.exp()?.sub(&t.mul(&p)?);
        }
        p.sub(&t.mul(&p.add_scalar(1e-7)?.ln()?)?)
    }
    fn name(&self) -> &'static str {
        "poisson_nll"
    }
}

/// ½·(ln v + (m − t)²/v) of each number, with variances v kept from 0 by 1e-6: the negative log-likelihood of targets t under a normal
/// distribution, without the constant ½ ln 2π (PyTorch's `GaussianNLLLoss`). Predictions are (…, 2k), the k means m and then the k
/// variances v; targets (…, k).
///
/// A last layer that gives variances has a softplus after them; [`GaussianNll::from_log`] takes ln v, which may be any number.
#[derive(Clone, Copy, Debug, Default)]
pub struct GaussianNll {
    from_log: bool,
}

impl GaussianNll {
    /// Of means and variances.
    pub const fn new() -> Self {
        GaussianNll { from_log: false }
    }

    /// Of means and logarithms of variances.
    pub const fn from_log() -> Self {
        GaussianNll { from_log: true }
    }
}

impl Loss for GaussianNll {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        let dims = prediction.dims();
        let half = dims.last().map_or(0, |size| size / 2);
        let mut of_targets = dims.to_vec();
        if let Some(last) = of_targets.last_mut() {
            *last = half;
        }
        let fits = dims.last() == Some(&(2 * half)) && half > 0;
        let of_targets = Shape::new(&of_targets)?;
        if !fits || of_targets.elements() != target.shape().elements() {
            let message = format!(
                "predictions {} are not the means and variances of targets {}: twice as many along the last axis are needed",
                prediction.shape(),
                target.shape()
            );
            return Err(Error::shape(self.name(), message));
        }
        let dtype = computed_in(prediction.dtype());
        let (x, t) = (prediction.to_dtype(dtype)?, target.to_dtype(dtype)?);
        let (_, t) = pair(self.name(), &x.slice(-1, 0..half)?, &t)?;
        let (mean, spread) = (x.slice(-1, 0..half)?, x.slice(-1, half..2 * half)?);
        let square = mean.sub(&t)?.square()?;
        if self.from_log {
            return spread.add(&square.mul(&spread.neg()?.exp()?)?)?.mul_scalar(0.5);
        }
        check::within(self.name(), "variance", spread.tensor(), 0.0, f64::MAX)?;
        let variance = spread.clamp(1e-6, f64::INFINITY)?;
        variance.ln()?.add(&square.div(&variance)?)?.mul_scalar(0.5)
    }
    fn name(&self) -> &'static str {
        "gaussian_nll"
    }
}
