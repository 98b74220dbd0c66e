//! Optimizer steps. What changes every step lies in device memory: `step` is (learning rate, number of the step from 1).

use crate::number::Number;
use crate::place::{THREADS, element};
use cuda_std::*;
use kiln_math::update;

parameters! {
    /// The constants of Adam, or of AdamW where `decoupled` is not 0.
    pub struct AdamSettings { beta1: f64, beta2: f64, epsilon: f64, weight_decay: f64, decoupled: u32 }
}

parameters! {
    /// The constants of stochastic gradient descent.
    pub struct SgdSettings { momentum: f64, dampening: f64, weight_decay: f64, nesterov: u32 }
}

kernels! {
    /// Adam or AdamW over one tensor with its moments m and v.
    #[max_threads = THREADS]
    pub fn adam<T: Number>(
        p: GlobalMut<T>, g: Global<T>, m: GlobalMut<T>, v: GlobalMut<T>, step: Global<f64>, settings: AdamSettings
    ) for [f32, f64] {
        let i = element();
        if i >= p.len() {
            return;
        }
        let (learning_rate, number) = (step.get(0), step.get(1));
        let AdamSettings { beta1, beta2, epsilon, weight_decay, decoupled } = settings;
        let settings = update::AdamSettings { beta1, beta2, epsilon, weight_decay, decoupled: decoupled != 0 };
        let constants = settings.at(learning_rate, number, T::LEAST).map(T::constant);
        let (np, nm, nv) = update::adam(p.get(i), g.get(i), m.get(i), v.get(i), &constants);
        p.set(i, np);
        m.set(i, nm);
        v.set(i, nv);
    }

    /// Stochastic gradient descent over one tensor; its velocity v is empty where there is no momentum.
    #[max_threads = THREADS]
    pub fn sgd<T: Number>(
        p: GlobalMut<T>, g: Global<T>, v: GlobalMut<T>, step: Global<f64>, settings: SgdSettings
    ) for [f32, f64] {
        let i = element();
        if i >= p.len() {
            return;
        }
        let (learning_rate, number) = (step.get(0), step.get(1));
        let SgdSettings { momentum, dampening, weight_decay, nesterov } = settings;
        let settings = update::SgdSettings { momentum, dampening, weight_decay, nesterov: nesterov != 0 };
        let constants = settings.at(learning_rate, number, T::LEAST).map(T::constant);
        let velocity = if v.is_empty() { T::ZERO } else { v.get(i) };
        let (np, nv) = update::sgd(p.get(i), g.get(i), velocity, &constants);
        p.set(i, np);
        if !v.is_empty() {
            v.set(i, nv);
        }
    }
}
