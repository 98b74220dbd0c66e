//! Rules that follow the gradient itself.

use super::{ABOVE_SMALLEST, Constants, MAX_STATES, Rule, States, Step, constants, flush};
use crate::Real;

/// Stochastic gradient descent, PyTorch's:
///
/// g ← g + λ·p; v ← μ·v + (1 − τ)·g (v ← g in the first step); p ← p − lr·v, or p − lr·(g + μ·v) in Nesterov's form.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sgd {
    /// μ
    pub momentum: f64,
    /// τ
    pub dampening: f64,
    /// Whether to look ahead (Nesterov).
    pub nesterov: bool,
}

impl Rule for Sgd {
    const STATES: &'static [&'static str] = &["momentum_buffer"];
    const ALWAYS: usize = 0;
    const EXAMPLES: &'static [Self] = &[
        Sgd { momentum: 0.0, dampening: 0.25, nesterov: false },
        Sgd { momentum: 0.9, dampening: 0.25, nesterov: false },
        Sgd { momentum: 0.9, dampening: 0.0, nesterov: true },
    ];

    fn keeps(&self) -> [bool; MAX_STATES] {
        [self.momentum != 0.0, false, false]
    }

    fn constants(&self, step: &Step) -> Constants<f64> {
        let Sgd { momentum, dampening, nesterov } = *self;
        // PyTorch takes the first velocity whole, and dampens nothing where there is no velocity.
        let share = if momentum == 0.0 || step.number <= 1.0 { 1.0 } else { 1.0 - dampening };
        let least = step.smallest * ABOVE_SMALLEST;
        constants([step.learning_rate, momentum, share, step.weight_decay, f64::from(nesterov), least])
    }

    #[inline(always)]
    fn element<R: Real>(p: R, g: R, [v, a, b]: States<R>, constants: &Constants<R>) -> (R, States<R>) {
        let [rate, momentum, share, weight_decay, nesterov, least, ..] = *constants;
        let g = flush(weight_decay.mul_add(p, g), least);
        let v = flush(momentum.mul_add(v, share * g), least);
        let step = R::constant(0.0).if_less(nesterov, momentum.mul_add(v, g), v);
        ((-rate).mul_add(step, p), [v, a, b])
    }
}

/// Lion (Chen et al. 2023), with decoupled weight decay:
///
/// p ← p·(1 − lr·λ) − lr·sign(β₁·m + (1 − β₁)·g); m ← β₂·m + (1 − β₂)·g.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Lion {
    /// β₁, for the step.
    pub beta1: f64,
    /// β₂, for the momentum.
    pub beta2: f64,
}

impl Rule for Lion {
    const STATES: &'static [&'static str] = &["exp_avg"];
    const EXAMPLES: &'static [Self] = &[Lion { beta1: 0.9, beta2: 0.99 }];

    fn constants(&self, step: &Step) -> Constants<f64> {
        let Lion { beta1, beta2 } = *self;
        let keep = 1.0 - step.learning_rate * step.weight_decay;
        let least = step.smallest * ABOVE_SMALLEST;
        constants([step.learning_rate, beta1, 1.0 - beta1, beta2, 1.0 - beta2, keep, least])
    }

    #[inline(always)]
    fn element<R: Real>(p: R, g: R, [m, a, b]: States<R>, constants: &Constants<R>) -> (R, States<R>) {
        let [rate, beta1, rest1, beta2, rest2, keep, least, ..] = *constants;
        let zero = R::constant(0.0);
        let g = flush(g, least);
        let direction = beta1.mul_add(m, rest1 * g);
        // Neither above nor below 0 it is 0, or NaN, which stays.
        let sign = direction.if_less(zero, R::constant(-1.0), direction);
        let sign = zero.if_less(direction, R::constant(1.0), sign);
        let m = flush(beta2.mul_add(m, rest2 * g), least);
        ((-rate).mul_add(sign, keep * p), [m, a, b])
    }
}

/// The list of this family, after the entries before it.
#[doc(hidden)]
#[macro_export]
macro_rules! __descent_rules {
    ($callback:path [$($before:tt)*]) => {
        $crate::__adaptive_rules! { $callback [
            $($before)*
            { "Stochastic gradient descent, with momentum and in Nesterov's form.", Sgd, sgd }
            { "Lion.", Lion, lion }
        ] }
    };
}
