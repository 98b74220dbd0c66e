//! Rules that divide each element's step by the size of its gradients.

use super::{ABOVE_SMALLEST, Constants, MAX_STATES, Rule, States, Step, constants, flush};
use crate::Real;

/// Adam (Kingma and Ba 2015); the bias corrections of the step are folded into its constants:
///
/// g ← g + λ·p; m ← β₁·m + (1 − β₁)·g; v ← β₂·v + (1 − β₂)·g²; p ← p − lr·m̂ / (√v̂ + ε), with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).
///
/// With ε = 0 a parameter whose moments are 0 stays as it is. (PyTorch divides 0 by 0 there; but here a second moment that has
/// decayed far enough is 0 as well, and such a parameter must not become NaN.)
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Adam {
    /// β₁
    pub beta1: f64,
    /// β₂
    pub beta2: f64,
    /// ε, outside the square root.
    pub epsilon: f64,
}

impl Adam {
    /// The constants, with what of the parameter is added to the gradient, and what of it is kept.
    fn at(&self, step: &Step, weight_decay: f64, keep: f64) -> Constants<f64> {
        let Adam { beta1, beta2, epsilon } = *self;
        // The same powers on every device: those of the standard library are the machine's.
        let inverse_root = 1.0 / Real::sqrt(1.0 - Real::powf(beta2, step.number));
        let step_size = step.learning_rate / (1.0 - Real::powf(beta1, step.number));
        let (rest1, rest2) = (1.0 - beta1, 1.0 - beta2);
        let least_first = step.smallest * ABOVE_SMALLEST;
        // Below this, a gradient's share in the second moment, (1 − β₂)·g², would be no normal number, and is 0.
        let least_squared = Real::sqrt(step.smallest / rest2);
        let least_second = step.smallest;
        // The denominator of the least second moment at ε = 0: no denominator is smaller.
        let least_denominator = Real::sqrt(step.smallest) * inverse_root;
        constants([
            beta1,
            rest1,
            beta2,
            rest2,
            step_size,
            inverse_root,
            epsilon,
            weight_decay,
            keep,
            least_first,
            least_squared,
            least_second,
            least_denominator,
        ])
    }
}

impl Rule for Adam {
    const STATES: &'static [&'static str] = &["exp_avg", "exp_avg_sq"];
    const EXAMPLES: &'static [Self] =
        &[Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }, Adam { beta1: 0.9, beta2: 0.999, epsilon: 0.0 }];

    fn constants(&self, step: &Step) -> Constants<f64> {
        self.at(step, step.weight_decay, 1.0)
    }

    #[inline(always)]
    fn element<R: Real>(p: R, g: R, [m, v, a]: States<R>, constants: &Constants<R>) -> (R, States<R>) {
        let [beta1, rest1, beta2, rest2, step_size, inverse_root, epsilon, weight_decay, keep, limits @ ..] =
            *constants;
        let [least_first, least_squared, least_second, least_denominator, ..] = limits;
        let g = flush(weight_decay.mul_add(p, g), least_first);
        let limits = [least_first, least_squared, least_second];
        let (m, v) = moments(g, [m, v], [beta1, rest1, beta2, rest2], limits);
        let denominator = denominator(v, inverse_root, epsilon, least_denominator);
        ((-step_size).mul_add(m / denominator, keep * p), [m, v, a])
    }
}

/// The running averages of a gradient and of its square, by β₁, 1 − β₁, β₂ and 1 − β₂; each is 0 below its limit.
#[inline(always)]
pub(super) fn moments<R: Real>(g: R, [m, v]: [R; 2], betas: [R; 4], limits: [R; 3]) -> (R, R) {
    let ([beta1, rest1, beta2, rest2], [least_first, least_squared, least_second]) = (betas, limits);
    let m = flush(beta1.mul_add(m, rest1 * g), least_first);
    let squared = flush(g, least_squared);
    let v = beta2.mul_add(v, rest2 * squared * squared);
    (m, v.if_less(least_second, R::constant(0.0), v))
}

/// √v·`inverse_root` + ε, and `least` where that is less.
#[inline(always)]
pub(super) fn denominator<R: Real>(v: R, inverse_root: R, epsilon: R, least: R) -> R {
    let denominator = v.sqrt().mul_add(inverse_root, epsilon);
    denominator.if_less(least, least, denominator)
}

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019): p ← p·(1 − lr·λ) before [`Adam`]'s step, whose λ is 0.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdamW(
    /// The settings.
    pub Adam,
);

impl Rule for AdamW {
    const STATES: &'static [&'static str] = Adam::STATES;
    const EXAMPLES: &'static [Self] = &[AdamW(Adam { beta1: 0.8, beta2: 0.99, epsilon: 1e-7 })];

    fn constants(&self, step: &Step) -> Constants<f64> {
        self.0.at(step, 0.0, 1.0 - step.learning_rate * step.weight_decay)
    }

    #[inline(always)]
    fn element<R: Real>(p: R, g: R, states: States<R>, constants: &Constants<R>) -> (R, States<R>) {
        Adam::element(p, g, states, constants)
    }
}

/// RMSprop (Tieleman and Hinton 2012), PyTorch's:
///
/// g ← g + λ·p; v ← α·v + (1 − α)·g²; b ← μ·b + g / (√v + ε); p ← p − lr·b; centered, a ← α·a + (1 − α)·g, and v − a² stands for v.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RmsProp {
    /// α
    pub alpha: f64,
    /// ε, outside the square root.
    pub epsilon: f64,
    /// μ
    pub momentum: f64,
    /// Whether the step is divided by the variance's root rather than by that of the mean square.
    pub centered: bool,
}

impl Rule for RmsProp {
    const STATES: &'static [&'static str] = &["square_avg", "momentum_buffer", "grad_avg"];
    const ALWAYS: usize = 1;
    const EXAMPLES: &'static [Self] = &[
        RmsProp { alpha: 0.99, epsilon: 1e-8, momentum: 0.0, centered: false },
        RmsProp { alpha: 0.9, epsilon: 1e-7, momentum: 0.9, centered: false },
        RmsProp { alpha: 0.95, epsilon: 1e-6, momentum: 0.0, centered: true },
        RmsProp { alpha: 0.9, epsilon: 1e-7, momentum: 0.8, centered: true },
    ];

    fn keeps(&self) -> [bool; MAX_STATES] {
        [true, self.momentum != 0.0, self.centered]
    }

    fn constants(&self, step: &Step) -> Constants<f64> {
        let RmsProp { alpha, epsilon, momentum, centered } = *self;
        let (rest, centered) = (1.0 - alpha, f64::from(centered));
        let least_first = step.smallest * ABOVE_SMALLEST;
        let (least_squared, least_denominator) = (Real::sqrt(step.smallest / rest), Real::sqrt(step.smallest));
        constants([
            step.learning_rate,
            alpha,
            rest,
            epsilon,
            step.weight_decay,
            momentum,
            centered,
            least_first,
            least_squared,
            step.smallest,
            least_denominator,
        ])
    }

    #[inline(always)]
    fn element<R: Real>(p: R, g: R, [v, b, a]: States<R>, constants: &Constants<R>) -> (R, States<R>) {
        let [rate, alpha, rest, epsilon, weight_decay, momentum, centered, limits @ ..] = *constants;
        let [least_first, least_squared, least_second, least_denominator, ..] = limits;
        let zero = R::constant(0.0);
        let g = flush(weight_decay.mul_add(p, g), least_first);
        let squared = flush(g, least_squared);
        let v = alpha.mul_add(v, rest * squared * squared);
        let v = v.if_less(least_second, zero, v);
        let a = flush(alpha.mul_add(a, rest * g), least_first);
        // Rounding may bring it below 0.
        let spread = (-(centered * a)).mul_add(a, v);
        let spread = spread.if_less(least_second, zero, spread);
        let denominator = spread.sqrt() + epsilon;
        let denominator = denominator.if_less(least_denominator, least_denominator, denominator);
        let b = flush(momentum.mul_add(b, g / denominator), least_first);
        ((-rate).mul_add(b, p), [v, b, a])
    }
}

/// The list of this family, after the entries before it.
#[doc(hidden)]
#[macro_export]
macro_rules! __adaptive_rules {
    ($callback:path [$($before:tt)*]) => {
        $crate::__accumulated_rules! { $callback [
            $($before)*
            { "Adam, with weight decay as a part of the gradient.", Adam, adam }
            { "Adam with decoupled weight decay.", AdamW, adamw }
            { "RMSprop, with momentum, and centered.", RmsProp, rmsprop }
        ] }
    };
}
