//! Optimizer steps. What changes every step lies in device memory: `step` is (learning rate, number of the step from 1).

use crate::place::{THREADS, element};
use cuda_std::*;
use kiln_math::update::{AdamSettings, SgdSettings, adam, sgd};

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
                let settings = AdamSettings { beta1, beta2, epsilon, weight_decay, decoupled: decoupled != 0 };
                let constants = settings.at(learning_rate, number, $T::MIN_POSITIVE.into()).map(|c| c as $T);
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
                let settings = SgdSettings { momentum, dampening, weight_decay, nesterov: nesterov != 0 };
                let constants = settings.at(learning_rate, number, $T::MIN_POSITIVE.into()).map(|c| c as $T);
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
