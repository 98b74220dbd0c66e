//! Optimizer updates of one element; the kernels run them over all.
//!
//! None can make a denormal number, with which arithmetic is many times slower: second moments of inputs that are never lit
//! decay to them within an epoch, and gradients that vanish square to them. What is below a limit becomes 0, and each quantity
//! has its own: a second moment is a square, so its limit is the type's smallest normal number itself, while first moments and
//! velocities are cut off so far below its root that no step could show them.

use crate::Real;

/// First moments and velocities are at least so many of the smallest normal number, so that what they are multiplied by and
/// divided by (a learning rate, a root) does not make a denormal number of them either.
const ABOVE_SMALLEST: f64 = 1_048_576.0; // 2²⁰

/// 0 where |x| < limit.
#[inline(always)]
fn flush<R: Real>(x: R, limit: R) -> R {
    x.abs().if_less(limit, R::constant(0.0), x)
}

/// Settings of stochastic gradient descent, PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct SgdSettings {
    /// μ
    pub momentum: f64,
    /// τ
    pub dampening: f64,
    /// λ, added to the gradient as λ·p.
    pub weight_decay: f64,
    /// Whether to look ahead (Nesterov).
    pub nesterov: bool,
}

/// Constants of stochastic gradient descent at one step.
#[derive(Clone, Copy, Debug)]
pub struct Sgd<R> {
    /// Learning rate.
    pub learning_rate: R,
    /// μ
    pub momentum: R,
    /// 1 − τ, the gradient's share in the velocity; 1 in the first step, and where there is no velocity.
    pub gradient_share: R,
    /// λ, added to the gradient as λ·p.
    pub weight_decay: R,
    /// Below this, gradients and velocities are 0.
    pub least: R,
    /// Whether to look ahead (Nesterov).
    pub nesterov: bool,
}

impl SgdSettings {
    /// The constants of a step with its number from 1, for a type whose smallest normal number is `smallest`.
    #[inline]
    pub fn at(self, learning_rate: f64, number: f64, smallest: f64) -> Sgd<f64> {
        let SgdSettings { momentum, dampening, weight_decay, nesterov } = self;
        // PyTorch takes the first velocity whole, and dampens nothing where there is no velocity.
        let gradient_share = if momentum == 0.0 || number <= 1.0 { 1.0 } else { 1.0 - dampening };
        Sgd { learning_rate, momentum, gradient_share, weight_decay, least: smallest * ABOVE_SMALLEST, nesterov }
    }
}

impl<R> Sgd<R> {
    /// The same constants in another type.
    #[inline(always)]
    pub fn map<S>(self, f: impl Fn(R) -> S) -> Sgd<S> {
        Sgd {
            learning_rate: f(self.learning_rate),
            momentum: f(self.momentum),
            gradient_share: f(self.gradient_share),
            weight_decay: f(self.weight_decay),
            least: f(self.least),
            nesterov: self.nesterov,
        }
    }
}

/// g ← g + λ·p; v ← μ·v + (1 − τ)·g; p ← p − lr·(nesterov ? g + μ·v : v). Returns (p, v).
#[inline(always)]
pub fn sgd<R: Real>(p: R, g: R, v: R, h: &Sgd<R>) -> (R, R) {
    let g = flush(h.weight_decay.mul_add(p, g), h.least);
    let v = flush(h.momentum.mul_add(v, h.gradient_share * g), h.least);
    let step = if h.nesterov { h.momentum.mul_add(v, g) } else { v };
    ((-h.learning_rate).mul_add(step, p), v)
}

/// Settings of Adam and AdamW.
#[derive(Clone, Copy, Debug)]
pub struct AdamSettings {
    /// β₁
    pub beta1: f64,
    /// β₂
    pub beta2: f64,
    /// ε, outside the square root.
    pub epsilon: f64,
    /// λ
    pub weight_decay: f64,
    /// Whether the parameter itself decays (AdamW), rather than λ·p being added to the gradient.
    pub decoupled: bool,
}

/// Constants of Adam at one step; the bias corrections of the step are folded in.
#[derive(Clone, Copy, Debug)]
pub struct Adam<R> {
    /// β₁
    pub beta1: R,
    /// 1 − β₁
    pub rest1: R,
    /// β₂
    pub beta2: R,
    /// 1 − β₂
    pub rest2: R,
    /// lr / (1 − β₁ᵗ)
    pub step_size: R,
    /// 1 / √(1 − β₂ᵗ)
    pub inverse_root: R,
    /// ε, outside the square root.
    pub epsilon: R,
    /// λ, added to the gradient (Adam's L2 form); 0 for AdamW.
    pub weight_decay: R,
    /// 1 − lr·λ, which the parameter is multiplied by (AdamW's decoupled form); 1 for Adam.
    pub keep: R,
    /// Below this, gradients and first moments are 0.
    pub least_first: R,
    /// Below this, a gradient's share in the second moment, (1 − β₂)·g², would be no normal number, and is 0.
    pub least_squared: R,
    /// Below this, second moments are 0.
    pub least_second: R,
    /// The denominator of the least second moment at ε = 0: no denominator is smaller.
    pub least_denominator: R,
}

impl AdamSettings {
    /// The constants of a step with its number from 1, for a type whose smallest normal number is `smallest`.
    #[inline]
    pub fn at(self, learning_rate: f64, number: f64, smallest: f64) -> Adam<f64> {
        let AdamSettings { beta1, beta2, epsilon, weight_decay, decoupled } = self;
        // The same powers on every device: those of the standard library are the machine's.
        let inverse_root = 1.0 / Real::sqrt(1.0 - Real::powf(beta2, number));
        let rest2 = 1.0 - beta2;
        Adam {
            beta1,
            rest1: 1.0 - beta1,
            beta2,
            rest2,
            step_size: learning_rate / (1.0 - Real::powf(beta1, number)),
            inverse_root,
            epsilon,
            weight_decay: if decoupled { 0.0 } else { weight_decay },
            keep: if decoupled { 1.0 - learning_rate * weight_decay } else { 1.0 },
            least_first: smallest * ABOVE_SMALLEST,
            least_squared: Real::sqrt(smallest / rest2),
            least_second: smallest,
            least_denominator: Real::sqrt(smallest) * inverse_root,
        }
    }
}

impl<R> Adam<R> {
    /// The same constants in another type.
    #[inline(always)]
    pub fn map<S>(self, f: impl Fn(R) -> S) -> Adam<S> {
        Adam {
            beta1: f(self.beta1),
            rest1: f(self.rest1),
            beta2: f(self.beta2),
            rest2: f(self.rest2),
            step_size: f(self.step_size),
            inverse_root: f(self.inverse_root),
            epsilon: f(self.epsilon),
            weight_decay: f(self.weight_decay),
            keep: f(self.keep),
            least_first: f(self.least_first),
            least_squared: f(self.least_squared),
            least_second: f(self.least_second),
            least_denominator: f(self.least_denominator),
        }
    }
}

/// m ← β₁·m + (1 − β₁)·g; v ← β₂·v + (1 − β₂)·g²; p ← keep·p − step_size·m / (√v·inverse_root + ε). Returns (p, m, v).
///
/// With ε = 0 a parameter whose moments are 0 stays as it is. (PyTorch divides 0 by 0 there; but here a second moment that has
/// decayed far enough is 0 as well, and such a parameter must not become NaN.)
#[inline(always)]
pub fn adam<R: Real>(p: R, g: R, m: R, v: R, h: &Adam<R>) -> (R, R, R) {
    let g = flush(h.weight_decay.mul_add(p, g), h.least_first);
    let m = flush(h.beta1.mul_add(m, h.rest1 * g), h.least_first);
    let squared = flush(g, h.least_squared);
    let v = h.beta2.mul_add(v, h.rest2 * squared * squared);
    let v = v.if_less(h.least_second, R::constant(0.0), v);
    let denominator = v.sqrt().mul_add(h.inverse_root, h.epsilon);
    let denominator = denominator.if_less(h.least_denominator, h.least_denominator, denominator);
    ((-h.step_size).mul_add(m / denominator, h.keep * p), m, v)
}
