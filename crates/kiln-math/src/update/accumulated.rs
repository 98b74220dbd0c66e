//! Rules that divide each element's step by what its gradients have come to.

use super::{ABOVE_SMALLEST, Constants, Rule, States, Step, constants, flush};
use crate::Real;

/// Adagrad (Duchi et al. 2011), PyTorch's:
///
/// g ← g + λ·p; s ← s + g²; p ← p − lr/(1 + (t − 1)·η) · g / (√s + ε).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Adagrad {
    /// η, by which the learning rate falls with the steps.
    pub decay: f64,
    /// ε, outside the square root.
    pub epsilon: f64,
}

impl Rule for Adagrad {
    const STATES: &'static [&'static str] = &["sum"];
    const EXAMPLES: &'static [Self] = &[Adagrad { decay: 0.0, epsilon: 1e-10 }, Adagrad { decay: 0.1, epsilon: 0.0 }];

    fn constants(&self, step: &Step) -> Constants<f64> {
        let rate = step.learning_rate / (1.0 + (step.number - 1.0) * self.decay);
        let least_squared = Real::sqrt(step.smallest);
        constants([rate, self.epsilon, step.weight_decay, step.smallest * ABOVE_SMALLEST, least_squared])
    }

    #[inline(always)]
    fn element<R: Real>(p: R, g: R, [s, a, b]: States<R>, constants: &Constants<R>) -> (R, States<R>) {
        let [rate, epsilon, weight_decay, least_first, least_squared, ..] = *constants;
        let g = flush(weight_decay.mul_add(p, g), least_first);
        // Below this, a gradient's square would be no normal number, and is 0.
        let squared = flush(g, least_squared);
        let s = squared.mul_add(squared, s);
        let denominator = s.sqrt() + epsilon;
        let denominator = denominator.if_less(least_squared, least_squared, denominator);
        ((-rate).mul_add(g / denominator, p), [s, a, b])
    }
}

/// Adadelta (Zeiler 2012), PyTorch's:
///
/// g ← g + λ·p; v ← ρ·v + (1 − ρ)·g²; d ← g · √(u + ε) / √(v + ε); u ← ρ·u + (1 − ρ)·d²; p ← p − lr·d.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Adadelta {
    /// ρ
    pub rho: f64,
    /// ε, inside the square roots.
    pub epsilon: f64,
}

impl Rule for Adadelta {
    const STATES: &'static [&'static str] = &["square_avg", "acc_delta"];
    const EXAMPLES: &'static [Self] = &[Adadelta { rho: 0.9, epsilon: 1e-6 }, Adadelta { rho: 0.8, epsilon: 1e-3 }];

    fn constants(&self, step: &Step) -> Constants<f64> {
        let rest = 1.0 - self.rho;
        let (least_first, least_squared) = (step.smallest * ABOVE_SMALLEST, Real::sqrt(step.smallest / rest));
        let rate = step.learning_rate;
        constants([rate, self.rho, rest, self.epsilon, step.weight_decay, least_first, least_squared, step.smallest])
    }

    #[inline(always)]
    fn element<R: Real>(p: R, g: R, [v, u, a]: States<R>, constants: &Constants<R>) -> (R, States<R>) {
        let [rate, rho, rest, epsilon, weight_decay, least_first, least_squared, least_second, ..] = *constants;
        let g = flush(weight_decay.mul_add(p, g), least_first);
        let average = |before: R, x: R| {
            let x = flush(x, least_squared);
            flush(rho.mul_add(before, rest * x * x), least_second)
        };
        let v = average(v, g);
        let spread = v + epsilon;
        // With ε = 0 a parameter that has had no gradient stays as it is.
        let spread = spread.if_less(least_second, least_second, spread);
        let d = flush(g * ((u + epsilon).sqrt() / spread.sqrt()), least_first);
        ((-rate).mul_add(d, p), [v, average(u, d), a])
    }
}

/// The list of this family, after the entries before it.
#[doc(hidden)]
#[macro_export]
macro_rules! __accumulated_rules {
    ($callback:path [$($before:tt)*]) => {
        $crate::__moment_rules! { $callback [
            $($before)*
            { "Adagrad.", Adagrad, adagrad }
            { "Adadelta.", Adadelta, adadelta }
        ] }
    };
}
