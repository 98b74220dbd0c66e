//! Adafactor.

use crate::check::{above_zero, not_negative, share};
use crate::state::{After, Move};
use crate::{Optimizer, State, Whole};
use kiln_autograd::Gradients;
use kiln_nn::{Module, StateDict, Stateful};
use kiln_tensor::{Result, Tensor};

/// Adafactor (Shazeer and Stern 2018): the second moments of a matrix are kept as their means over rows and over columns, so that
/// the state of an (n, m) matrix is n + m numbers.
///
/// With β̂ = 1 − t^(−decay): r ← β̂·r + (1 − β̂)·(mean of g² over each row + ε₁), c likewise over each column; v = r·c / (mean of r), u = g/√v;
/// u ← u / max(1, rms(u)/d); p ← p·(1 − lr·λ) − α·u with α = max(ε₂, rms(p)) · min(lr, 1/√t).
///
/// Of a tensor with more than two axes, the last two are rows and columns; a vector keeps v itself.
///
/// [`relative_step`](Adafactor::relative_step) and [`scale_parameter`](Adafactor::scale_parameter) turn off the parts of α. Defaults are
/// those of the paper and of `transformers` (decay 0.8, ε₁ = 1e−30, ε₂ = 1e−3, d = 1, no first moment, no weight decay), whose relative step
/// is that of a learning rate of 0.01; its `warmup_init` is `schedule(LinearWarmup::new(10_000))`. PyTorch's Adafactor is the same but for ε₁,
/// which it puts under v rather than adding it.
///
/// The root mean squares stay in the device's memory: no step waits for them.
///
/// ```
/// use kiln_optim::Adafactor;
/// let by_the_paper = Adafactor::new(0.01);
/// // A fixed rate, for training with a schedule.
/// let fixed = Adafactor::new(1e-3).relative_step(false).scale_parameter(false);
/// ```
#[derive(Debug)]
pub struct Adafactor {
    settings: Settings,
    state: State,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    relative_step: bool,
    scale_parameter: bool,
    decay: f64,
    /// ε₁ and ε₂.
    epsilons: [f64; 2],
    clip_threshold: f64,
    beta1: f64,
}

/// PyTorch's names, and that of `transformers` for the first moment.
const STATES: [&str; 4] = ["row_var", "col_var", "variance", "exp_avg"];

impl Adafactor {
    /// The default settings at this learning rate, which bounds the relative step.
    pub fn new(learning_rate: f64) -> Self {
        let settings = Settings {
            relative_step: true,
            scale_parameter: true,
            decay: 0.8,
            epsilons: [1e-30, 1e-3],
            clip_threshold: 1.0,
            beta1: 0.0,
        };
        Adafactor { settings, state: State::new(learning_rate, &STATES) }
    }

    /// Whether the learning rate is at most 1/√t in step t; else it is what was given.
    #[must_use]
    pub fn relative_step(mut self, relative: bool) -> Self {
        self.settings.relative_step = relative;
        self
    }

    /// Whether the step is multiplied by the root mean square of the parameter, which counts as at least ε₂.
    #[must_use]
    pub fn scale_parameter(mut self, scale: bool) -> Self {
        self.settings.scale_parameter = scale;
        self
    }

    /// The exponent in β̂ = 1 − t^(−decay), the share of the second moments that step t keeps.
    #[must_use]
    pub fn decay(mut self, decay: f64) -> Self {
        self.settings.decay = decay;
        self
    }

    /// ε₁, which is added to squared gradients, and ε₂, the least size of a parameter.
    #[must_use]
    pub fn epsilons(mut self, of_gradient: f64, of_parameter: f64) -> Self {
        self.settings.epsilons = [of_gradient, of_parameter];
        self
    }

    /// d: the largest root mean square of u.
    #[must_use]
    pub fn clip_threshold(mut self, threshold: f64) -> Self {
        self.settings.clip_threshold = threshold;
        self
    }

    /// β₁: how much of a running average of the steps is kept, which takes as much memory as the parameters. 0, the default, keeps none.
    #[must_use]
    pub fn beta1(mut self, beta1: f64) -> Self {
        self.settings.beta1 = beta1;
        self
    }

    /// λ, the weight decay: p ← p·(1 − lr·λ) before each step, with the learning rate itself, as in PyTorch.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.state.set_weight_decay(weight_decay);
        self
    }
}

impl Settings {
    fn check(&self) -> Result<()> {
        not_negative("decay", self.decay)?;
        not_negative("first epsilon", self.epsilons[0])?;
        not_negative("second epsilon", self.epsilons[1])?;
        above_zero("clip threshold", self.clip_threshold)?;
        share("first beta", self.beta1)?;
        Ok(())
    }

    fn step(&self, x: &Whole<'_>) -> Result<After<Move>> {
        let (update, [row, column, variance]) = self.update(x)?;
        let excess = rms(&update)?.mul_scalar(1.0 / self.clip_threshold)?.clamp(1.0, f64::INFINITY)?;
        let rate = match self.relative_step {
            true => x.learning_rate.min(1.0 / (x.number as f64).sqrt()),
            false => x.learning_rate,
        };
        let by = match self.scale_parameter {
            true => rms(&x.parameter)?.clamp(self.epsilons[1], f64::INFINITY)?.mul_scalar(-rate)?,
            false => x.number(-rate)?,
        };
        let (mut made, mut average) =
            (Move { keep: 1.0 - x.learning_rate * x.weight_decay, by: by.div(&excess)?, along: update }, None);
        if self.beta1 > 0.0 {
            let step = made.along.mul(&made.by)?;
            let after = x.average(x.state(3)?, self.beta1, &step, 1.0 - self.beta1)?;
            (made.along, made.by) = (after.clone(), x.number(1.0)?);
            average = Some(after);
        }
        Ok((made, vec![row, column, variance, average]))
    }

    /// g/√v, and what is kept of v.
    fn update(&self, x: &Whole<'_>) -> Result<(Tensor, [Option<Tensor>; 3])> {
        let share = (x.number as f64).powf(-self.decay);
        let average = |before: Tensor, squares: Tensor| {
            x.average(before, 1.0 - share, &squares.add_scalar(self.epsilons[0])?, share)
        };
        if x.gradient.rank() < 2 {
            let variance = average(x.state(2)?, x.gradient.square()?)?;
            return Ok((x.gradient.mul(&inverse_root(&variance)?)?, [None, None, Some(variance)]));
        }
        let by_row = mean_square(&x.gradient, -1)?;
        let by_column = mean_square(&x.gradient, -2)?;
        let row = average(x.state_of(0, by_row.shape())?, by_row)?;
        let column = average(x.state_of(1, by_column.shape())?, by_column)?;
        let of_row = inverse_root(&row.div(&row.mean_keepdim(-2)?)?)?;
        let update = x.gradient.mul(&of_row)?.mul(&inverse_root(&column)?)?;
        Ok((update, [Some(row), Some(column), None]))
    }
}

/// 1/√v, and 0 where v is 0: there, so are the gradients.
fn inverse_root(v: &Tensor) -> Result<Tensor> {
    let zero = Tensor::full((), 0.0, v.dtype(), v.device())?;
    Tensor::select(&v.gt(&zero)?, &v.rsqrt()?, &zero)
}

/// The mean of x² along an axis, which stays as one element. By the norm, which writes no squares.
fn mean_square(x: &Tensor, axis: isize) -> Result<Tensor> {
    let norm = x.norm_keepdim(2.0, axis)?;
    let count = x.elements() / norm.elements().max(1);
    norm.square()?.mul_scalar(1.0 / count as f64)
}

/// The root of the mean square.
fn rms(x: &Tensor) -> Result<Tensor> {
    x.norm(2.0, ..)?.mul_scalar(1.0 / (x.elements() as f64).sqrt())
}

impl Optimizer for Adafactor {
    fn step_if(&mut self, model: &mut dyn Module, gradients: &Gradients, apply: Option<&Tensor>) -> Result<()> {
        self.settings.check()?;
        let settings = self.settings;
        self.state.step_moves(model, gradients, apply, |x| settings.step(x))
    }
    fn check(&self, model: &dyn Module) -> Result<()> {
        self.settings.check()?;
        self.state.check(model)
    }
    by_its_state!("Adafactor");
}

stateful! { Adafactor }
