//! Adam's kin: rules by running averages of the gradients and of their sizes.

use super::adaptive::{Adam, denominator, moments};
use super::{ABOVE_SMALLEST, Constants, Rule, States, Step, constants, flush};
use crate::Real;

/// AMSGrad (Reddi et al. 2018), PyTorch's `Adam(amsgrad=True)`: as [`Adam`], with the largest second moment so far in the place of v.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AmsGrad(
    /// The settings.
    pub Adam,
);

impl Rule for AmsGrad {
    const STATES: &'static [&'static str] = &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"];
    const EXAMPLES: &'static [Self] = &[AmsGrad(Adam { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 })];

    fn constants(&self, step: &Step) -> Constants<f64> {
        self.0.constants(step)
    }

    #[inline(always)]
    fn element<R: Real>(p: R, g: R, [m, v, most]: States<R>, constants: &Constants<R>) -> (R, States<R>) {
        let [beta1, rest1, beta2, rest2, step_size, inverse_root, epsilon, weight_decay, _, limits @ ..] = *constants;
        let [least_first, least_squared, least_second, least_denominator, ..] = limits;
        let g = flush(weight_decay.mul_add(p, g), least_first);
        let limits = [least_first, least_squared, least_second];
        let (m, v) = moments(g, [m, v], [beta1, rest1, beta2, rest2], limits);
        let most = most.maximum(v);
        let denominator = denominator(most, inverse_root, epsilon, least_denominator);
        ((-step_size).mul_add(m / denominator, p), [m, v, most])
    }
}

/// Adamax (Kingma and Ba 2015), PyTorch's:
///
/// g ← g + λ·p; m ← β₁·m + (1 − β₁)·g; u ← max(β₂·u, |g| + ε); p ← p − lr/(1 − β₁ᵗ) · m/u.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Adamax(
    /// The settings; ε is added to |g|.
    pub Adam,
);

impl Rule for Adamax {
    const STATES: &'static [&'static str] = &["exp_avg", "exp_inf"];
    const EXAMPLES: &'static [Self] = &[
        Adamax(Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }),
        Adamax(Adam { beta1: 0.8, beta2: 0.9, epsilon: 0.0 }),
    ];

    fn constants(&self, step: &Step) -> Constants<f64> {
        let Adam { beta1, beta2, epsilon } = self.0;
        let step_size = step.learning_rate / (1.0 - Real::powf(beta1, step.number));
        let least = step.smallest * ABOVE_SMALLEST;
        constants([beta1, 1.0 - beta1, beta2, step_size, epsilon, step.weight_decay, least])
    }

    #[inline(always)]
    fn element<R: Real>(p: R, g: R, [m, u, a]: States<R>, constants: &Constants<R>) -> (R, States<R>) {
        let [beta1, rest1, beta2, step_size, epsilon, weight_decay, least, ..] = *constants;
        let g = flush(weight_decay.mul_add(p, g), least);
        let m = flush(beta1.mul_add(m, rest1 * g), least);
        let u = flush((beta2 * u).maximum(g.abs() + epsilon), least);
        let denominator = u.if_less(least, least, u);
        ((-step_size).mul_add(m / denominator, p), [m, u, a])
    }
}

/// NAdam (Dozat 2016), PyTorch's: [`Adam`] that looks ahead as Nesterov's momentum does. With μₜ = β₁·(1 − 0.96^(t·ψ)/2) and Mₜ = μ₁ ⋯ μₜ:
///
/// p ← p − lr · ((1 − μₜ)/(1 − Mₜ) · g + μₜ₊₁/(1 − Mₜ₊₁) · m) / (√v̂ + ε).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NAdam {
    /// β₁, β₂ and ε.
    pub adam: Adam,
    /// ψ, how fast the momentum comes to β₁.
    pub momentum_decay: f64,
}

impl NAdam {
    /// μₜ and Mₜ, and both of the step after.
    fn momenta(&self, number: f64) -> [(f64, f64); 2] {
        let base = Real::powf(0.96, self.momentum_decay);
        let (mut power, mut product) = (base, 1.0);
        let mut step = 1.0;
        // Once the product is far below what 1 − M shows, it is as good as 0.
        while step < number && product > 1e-20 {
            product *= self.adam.beta1 * (1.0 - 0.5 * power);
            power *= base;
            step += 1.0;
        }
        let mu = |step: f64| self.adam.beta1 * (1.0 - 0.5 * Real::powf(0.96, step * self.momentum_decay));
        let (now, next) = (mu(number), mu(number + 1.0));
        [(now, product * now), (next, product * now * next)]
    }
}

impl Rule for NAdam {
    const STATES: &'static [&'static str] = &["exp_avg", "exp_avg_sq"];
    const EXAMPLES: &'static [Self] =
        &[NAdam { adam: Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }, momentum_decay: 0.004 }];

    fn constants(&self, step: &Step) -> Constants<f64> {
        let [beta1, rest1, beta2, rest2, _, inverse_root, epsilon, weight_decay, _, limits @ ..] =
            self.adam.constants(step);
        let [(now, product), (next, product_next)] = self.momenta(step.number);
        let of_gradient = step.learning_rate * (1.0 - now) / (1.0 - product);
        let of_moment = step.learning_rate * next / (1.0 - product_next);
        let [least_first, least_squared, least_second, least_denominator, ..] = limits;
        constants([
            beta1,
            rest1,
            beta2,
            rest2,
            of_gradient,
            of_moment,
            inverse_root,
            epsilon,
            weight_decay,
            least_first,
            least_squared,
            least_second,
            least_denominator,
        ])
    }

    #[inline(always)]
    fn element<R: Real>(p: R, g: R, [m, v, a]: States<R>, constants: &Constants<R>) -> (R, States<R>) {
        let [beta1, rest1, beta2, rest2, of_gradient, of_moment, inverse_root, epsilon, weight_decay, limits @ ..] =
            *constants;
        let [least_first, least_squared, least_second, least_denominator, ..] = limits;
        let g = flush(weight_decay.mul_add(p, g), least_first);
        let limits = [least_first, least_squared, least_second];
        let (m, v) = moments(g, [m, v], [beta1, rest1, beta2, rest2], limits);
        let denominator = denominator(v, inverse_root, epsilon, least_denominator);
        let step = flush(of_moment.mul_add(m, of_gradient * g), least_first);
        (p - step / denominator, [m, v, a])
    }
}

/// RAdam (Liu et al. 2020), PyTorch's: [`Adam`] whose step is not divided by √v̂ as long as v is of too few gradients, and is
/// rectified after. With ρ = 2/(1 − β₂) − 1 and ρₜ = ρ − 2t·β₂ᵗ/(1 − β₂ᵗ):
///
/// p ← p − lr·m̂ where ρₜ ≤ 5, else p ← p − lr·m̂ · r·√(1 − β₂ᵗ) / (√v + ε), r² = (ρₜ − 4)(ρₜ − 2)ρ / ((ρ − 4)(ρ − 2)ρₜ).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RAdam(
    /// The settings.
    pub Adam,
);

impl Rule for RAdam {
    const STATES: &'static [&'static str] = &["exp_avg", "exp_avg_sq"];
    const EXAMPLES: &'static [Self] = &[
        RAdam(Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }),
        RAdam(Adam { beta1: 0.8, beta2: 0.5, epsilon: 1e-7 }),
    ];

    fn constants(&self, step: &Step) -> Constants<f64> {
        let [beta1, rest1, beta2, rest2, step_size, _, epsilon, weight_decay, _, limits @ ..] = self.0.constants(step);
        let (power, end) = (Real::powf(beta2, step.number), 2.0 / rest2 - 1.0);
        let length = end - 2.0 * step.number * power / (1.0 - power);
        let adapts = length > 5.0;
        let rectified = (length - 4.0) * (length - 2.0) * end / ((end - 4.0) * (end - 2.0) * length);
        let step_size = if adapts { step_size * Real::sqrt(rectified * (1.0 - power)) } else { step_size };
        let [least_first, least_squared, least_second, ..] = limits;
        constants([
            beta1,
            rest1,
            beta2,
            rest2,
            step_size,
            f64::from(adapts),
            epsilon,
            weight_decay,
            least_first,
            least_squared,
            least_second,
            Real::sqrt(step.smallest),
        ])
    }

    #[inline(always)]
    fn element<R: Real>(p: R, g: R, [m, v, a]: States<R>, constants: &Constants<R>) -> (R, States<R>) {
        let [beta1, rest1, beta2, rest2, step_size, adapts, epsilon, weight_decay, limits @ ..] = *constants;
        let [least_first, least_squared, least_second, least_denominator, ..] = limits;
        let g = flush(weight_decay.mul_add(p, g), least_first);
        let limits = [least_first, least_squared, least_second];
        let (m, v) = moments(g, [m, v], [beta1, rest1, beta2, rest2], limits);
        let denominator = v.sqrt() + epsilon;
        let denominator = denominator.if_less(least_denominator, least_denominator, denominator);
        let denominator = R::constant(0.0).if_less(adapts, denominator, R::constant(1.0));
        ((-step_size).mul_add(m / denominator, p), [m, v, a])
    }
}

/// The list of this family, after the entries before it.
#[doc(hidden)]
#[macro_export]
macro_rules! __moment_rules {
    ($callback:path [$($before:tt)*]) => {
        $callback! {
            $($before)*
            { "AMSGrad.", AmsGrad, amsgrad }
            { "Adamax.", Adamax, adamax }
            { "NAdam.", NAdam, nadam }
            { "RAdam.", RAdam, radam }
        }
    };
}
