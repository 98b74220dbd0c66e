//! Optimizer steps. What changes every step lies in device memory: `step` is (learning rate, number of the step from 1).

use crate::place::{THREADS, element};
use cuda_std::*;
use kiln_math::Real;
use kiln_math::update::{Adam, Sgd, adam, sgd};

macro_rules! steps {
    ($($T:ident $adam:ident $sgd:ident;)+) => { $(
        kernel! {
            /// Adam, or AdamW where `decoupled` is not 0, over one tensor with its moments m and v.
            #[name = stringify!($adam)]
            #[max_threads = THREADS]
            pub fn $adam(
                p: GlobalMut<$T>, g: Global<$T>, m: GlobalMut<$T>, v: GlobalMut<$T>, step: Global<f64>,
                beta1: f64, beta2: f64, epsilon: f64, weight_decay: f64, decoupled: u32
            ) {
                let i = element();
                if i >= p.len() {
                    return;
                }
                let (learning_rate, number) = (step.get(0), step.get(1));
                let (decay, keep) =
                    if decoupled != 0 { (0.0, 1.0 - learning_rate * weight_decay) } else { (weight_decay, 1.0) };
                let constants = Adam {
                    beta1: beta1 as $T,
                    rest1: (1.0 - beta1) as $T,
                    beta2: beta2 as $T,
                    rest2: (1.0 - beta2) as $T,
                    step_size: (learning_rate / (1.0 - Real::powf(beta1, number))) as $T,
                    inverse_root: (1.0 / Real::sqrt(1.0 - Real::powf(beta2, number))) as $T,
                    epsilon: epsilon as $T,
                    weight_decay: decay as $T,
                    keep: keep as $T,
                };
                let (np, nm, nv) = adam(p.get(i), g.get(i), m.get(i), v.get(i), &constants);
                p.set(i, np);
                m.set(i, nm);
                v.set(i, nv);
            }
        }

        kernel! {
            /// Stochastic gradient descent over one tensor; its velocity v is empty where there is no momentum.
            #[name = stringify!($sgd)]
            #[max_threads = THREADS]
            pub fn $sgd(
                p: GlobalMut<$T>, g: Global<$T>, v: GlobalMut<$T>, step: Global<f64>,
                momentum: f64, dampening: f64, weight_decay: f64, nesterov: u32
            ) {
                let i = element();
                if i >= p.len() {
                    return;
                }
                let (learning_rate, number) = (step.get(0), step.get(1));
                let constants = Sgd {
                    learning_rate: learning_rate as $T,
                    momentum: momentum as $T,
                    // PyTorch takes the first velocity whole.
                    gradient_share: if number <= 1.0 { 1.0 } else { (1.0 - dampening) as $T },
                    weight_decay: weight_decay as $T,
                    nesterov: nesterov != 0,
                };
                let velocity = if v.is_empty() { 0.0 } else { v.get(i) };
                let (np, nv) = sgd(p.get(i), g.get(i), velocity, &constants);
                p.set(i, np);
                if !v.is_empty() {
                    v.set(i, nv);
                }
            }
        }
    )+ };
}
steps! {
    f32 adam_f32 sgd_f32;
    f64 adam_f64 sgd_f64;
}
