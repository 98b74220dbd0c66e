//! Muon.

use crate::check::{not_negative, share};
use crate::state::{After, Move};
use crate::{EPSILON, Optimizer, State, Whole};
use kiln_autograd::Gradients;
use kiln_math::update::{Adam, AdamW};
use kiln_nn::{Module, PathPattern, StateDict, Stateful};
use kiln_tensor::{Error, Result, Tensor};

/// Muon (Jordan et al. 2024): the step of a matrix is its momentum made nearly orthogonal; what is not a matrix takes a step of
/// [`AdamW`](crate::AdamW).
///
/// b ← μ·b + (1 − μ)·g; u = μ·b + (1 − μ)·g in Nesterov's form, else b; p ← p·(1 − lr·λ) − lr·s·O(u). O replaces all singular values by numbers near
/// 1, by five Newton-Schulz iterations X ← a·X + (b·A + c·A²)·X with A = X·Xᵀ, from X = u/‖u‖. s is √max(1, rows/columns), or that of
/// [`match_adamw`](Muon::match_adamw).
///
/// A matrix is any parameter of two or more axes: of more, the first are the rows and the others the columns, as in the authors' code for
/// convolutions. Embeddings and the last layer are to take AdamW's step too, as the authors advise: [`Muon::adamw`] says which.
/// (PyTorch's `Muon` takes matrices alone, and leaves the others to an optimizer of yours.)
///
/// Defaults are PyTorch's: μ = 0.95, Nesterov's form, λ = 0.1 (for all parameters), and for AdamW β₁ = 0.9, β₂ = 0.999 and Kiln's ε = 1e−7. The
/// iterations are computed in the parameter's type, f32 of half types; PyTorch computes them in bf16. No step waits for the device.
///
/// ```
/// use kiln_optim::{Group, Muon, Optimizer};
/// // One rate for all parameters.
/// let optimizer = Muon::new(1e-3).match_adamw(true).adamw("embedding.*").adamw("head.*");
/// // The authors' rates: 0.02 for matrices, and for the others 3e-4.
/// let others = Group::new().learning_rate_scale(0.015);
/// let optimizer = Muon::new(0.02).adamw("head.*").group("head.*", others).group("*.bias", others);
/// ```
#[derive(Debug)]
pub struct Muon {
    settings: Settings,
    adam: Adam,
    /// Which matrices take AdamW's step.
    others: Vec<PathPattern>,
    /// Whether these patterns were looked at.
    checked: bool,
    state: State,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    momentum: f64,
    nesterov: bool,
    match_adamw: bool,
    coefficients: [f64; 3],
    iterations: usize,
}

impl Muon {
    /// The default settings at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        let settings = Settings {
            momentum: 0.95,
            nesterov: true,
            match_adamw: false,
            coefficients: [3.4445, -4.7750, 2.0315],
            iterations: 5,
        };
        let adam = Adam { beta1: 0.9, beta2: 0.999, epsilon: EPSILON };
        let mut state = State::new(learning_rate, &["exp_avg", "exp_avg_sq", "momentum_buffer"]);
        state.set_weight_decay(0.1);
        Muon { settings, adam, others: Vec::new(), checked: false, state }
    }

    /// The parameters that this pattern matches take AdamW's step, also where they are matrices.
    #[must_use]
    pub fn adamw(mut self, pattern: impl Into<PathPattern>) -> Self {
        self.others.push(pattern.into());
        self
    }

    /// β₁, β₂ and ε of AdamW's steps.
    #[must_use]
    pub fn adamw_settings(mut self, beta1: f64, beta2: f64, epsilon: f64) -> Self {
        self.adam = Adam { beta1, beta2, epsilon };
        self
    }

    /// μ: how much of the momentum is kept in a step.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.settings.momentum = momentum;
        self
    }

    /// Whether the step looks ahead (Nesterov); it does by default.
    #[must_use]
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.settings.nesterov = nesterov;
        self
    }

    /// Whether s is 0.2·√max(rows, columns), with which steps are about as large as AdamW's, so that its learning rate and weight decay fit
    /// (Liu et al. 2025; PyTorch's `match_rms_adamw`).
    #[must_use]
    pub fn match_adamw(mut self, matches: bool) -> Self {
        self.settings.match_adamw = matches;
        self
    }

    /// The coefficients a, b and c of the iteration, and how often it is run.
    #[must_use]
    pub fn newton_schulz(mut self, coefficients: [f64; 3], iterations: usize) -> Self {
        (self.settings.coefficients, self.settings.iterations) = (coefficients, iterations);
        self
    }

    /// λ, the weight decay of all parameters.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.state.set_weight_decay(weight_decay);
        self
    }

    fn check_settings(&self) -> Result<()> {
        share("momentum", self.settings.momentum)?;
        share("first beta", self.adam.beta1)?;
        share("second beta", self.adam.beta2)?;
        not_negative("epsilon", self.adam.epsilon)?;
        if !self.settings.coefficients.iter().all(|coefficient| coefficient.is_finite()) {
            let message =
                format!("Newton-Schulz coefficients {:?}: finite numbers are expected", self.settings.coefficients);
            return Err(Error::value("optimizer.step", message));
        }
        if !(1..100).contains(&self.settings.iterations) {
            let message = format!("{} Newton-Schulz iterations: 1 to 99 are expected", self.settings.iterations);
            return Err(Error::value("optimizer.step", message));
        }
        Ok(())
    }
}

impl Settings {
    /// A step of a matrix.
    fn step(&self, x: &Whole<'_>) -> Result<After<Move>> {
        let momentum = self.momentum;
        let mixed = |buffer: Tensor| x.average(buffer, momentum, &x.gradient, 1.0 - momentum);
        let buffer = mixed(x.state(2)?)?;
        let update = if self.nesterov { mixed(buffer.clone())? } else { buffer.clone() };
        let rows = x.parameter.dims()[0];
        let columns = x.parameter.elements() / rows.max(1);
        let along = self.orthogonal(&update.reshape([rows, columns])?)?.reshape(x.parameter.shape())?;
        let (rows, columns) = (rows as f64, columns as f64);
        let scale = if self.match_adamw { 0.2 * rows.max(columns).sqrt() } else { (rows / columns).max(1.0).sqrt() };
        let by = x.number(-x.learning_rate * scale)?;
        Ok((Move { keep: 1.0 - x.learning_rate * x.weight_decay, by, along }, vec![None, None, Some(buffer)]))
    }

    /// The matrix with singular values near 1.
    fn orthogonal(&self, matrix: &Tensor) -> Result<Tensor> {
        let [a, b, c] = self.coefficients;
        let tall = matrix.dims()[0] > matrix.dims()[1];
        let wide = if tall { matrix.t()? } else { matrix.clone() };
        let mut x = wide.div(&wide.norm(2.0, ..)?.clamp(1e-7, f64::INFINITY)?)?;
        for _ in 0..self.iterations {
            let gram = x.matmul(&x.t()?)?;
            let mut factor = gram.mul_scalar(b)?;
            factor.add_matmul(&gram.mul_scalar(c)?, &gram)?;
            let mut next = x.mul_scalar(a)?;
            next.add_matmul(&factor, &x)?;
            x = next;
        }
        if tall { x.t() } else { Ok(x) }
    }
}

impl Optimizer for Muon {
    fn step_if(&mut self, model: &mut dyn Module, gradients: &Gradients, apply: Option<&Tensor>) -> Result<()> {
        self.check_settings()?;
        if !self.checked {
            self.check(model)?;
            self.checked = true;
        }
        let Muon { settings, adam, others, state, .. } = self;
        state.step_moves_or(&AdamW(*adam), model, gradients, apply, |x| {
            let is_other = x.parameter.rank() < 2
                || x.parameter.elements() == 0
                || others.iter().any(|pattern| pattern.matches(x.path));
            if is_other { Ok(None) } else { settings.step(x).map(Some) }
        })
    }
    fn check(&self, model: &dyn Module) -> Result<()> {
        self.check_settings()?;
        let parameters = model.parameters();
        let paths = || parameters.iter().map(|(path, _)| path.as_str());
        self.others.iter().try_for_each(|pattern| pattern.expect_any("optimizer.step", paths()))?;
        self.state.check(model)
    }
    by_its_state!("Muon");
}

stateful! { Muon }
