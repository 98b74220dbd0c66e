//! Optimizer updates of one element; the kernels run them over all.
//!
//! None can make a denormal number: gradients below 1e−15 and moments below 1e−30 become 0. Second moments of inputs that
//! are never lit decay into the denormal range within an epoch otherwise, where arithmetic is many times slower.

use crate::Real;

const SMALLEST_GRADIENT: f64 = 1e-15;
const SMALLEST_MOMENT: f64 = 1e-30;

/// 0 where |x| < limit.
#[inline(always)]
fn flush<R: Real>(x: R, limit: f64) -> R {
    x.abs().if_less(R::constant(limit), R::constant(0.0), x)
}

/// Constants of stochastic gradient descent, PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct Sgd<R> {
    /// Learning rate.
    pub learning_rate: R,
    /// μ
    pub momentum: R,
    /// 1 − τ, the gradient's share in the velocity; 1 in the first step.
    pub gradient_share: R,
    /// λ, added to the gradient as λ·p.
    pub weight_decay: R,
    /// Whether to look ahead (Nesterov).
    pub nesterov: bool,
}

/// g ← g + λ·p; v ← μ·v + (1 − τ)·g; p ← p − lr·(nesterov ? g + μ·v : v). Returns (p, v).
#[inline(always)]
pub fn sgd<R: Real>(p: R, g: R, v: R, h: &Sgd<R>) -> (R, R) {
    let g = flush(h.weight_decay.mul_add(p, g), SMALLEST_GRADIENT);
    let v = flush(h.momentum.mul_add(v, h.gradient_share * g), SMALLEST_MOMENT);
    let step = if h.nesterov { h.momentum.mul_add(v, g) } else { v };
    ((-h.learning_rate).mul_add(step, p), v)
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
}

/// m ← β₁·m + (1 − β₁)·g; v ← β₂·v + (1 − β₂)·g²; p ← keep·p − step_size·m / (√v·inverse_root + ε). Returns (p, m, v).
#[inline(always)]
pub fn adam<R: Real>(p: R, g: R, m: R, v: R, h: &Adam<R>) -> (R, R, R) {
    let g = flush(h.weight_decay.mul_add(p, g), SMALLEST_GRADIENT);
    let m = flush(h.beta1.mul_add(m, h.rest1 * g), SMALLEST_MOMENT);
    let v = flush(h.beta2.mul_add(v, h.rest2 * g * g), SMALLEST_MOMENT);
    let denominator = v.sqrt().mul_add(h.inverse_root, h.epsilon);
    ((-h.step_size).mul_add(m / denominator, h.keep * p), m, v)
}
