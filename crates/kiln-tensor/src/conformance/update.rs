//! Optimizer steps against kiln-math's formulas in f64.

use super::cases::{Cases, Operand, Values, expect, rounded, tensor_of};
use crate::{Call, DType, Device, DeviceBuffer, Ran, Shape, Tensor, UpdateCall, UpdateRule, UpdateSlot, UpdateTensors};
use kiln_math::update::{AdamSettings, adam};

fn rules() -> Vec<UpdateRule> {
    let mut rules = Vec::new();
    for momentum in [0.0, 0.9] {
        for weight_decay in [0.0, 0.01] {
            for nesterov in [false, momentum != 0.0] {
                // It means nothing without a momentum.
                let dampening = if nesterov { 0.0 } else { 0.25 };
                rules.push(UpdateRule::Sgd { momentum, dampening, weight_decay, nesterov });
            }
        }
    }
    for epsilon in [1e-8, 0.0] {
        for decoupled in [false, true] {
            for weight_decay in [0.0, 0.01] {
                rules.push(UpdateRule::Adam { beta1: 0.9, beta2: 0.999, epsilon, weight_decay, decoupled });
            }
        }
    }
    rules
}

/// (p, first, second) after a step, for parameters of a type whose smallest normal number is `smallest`.
fn naive(rule: UpdateRule, lr: f64, number: f64, smallest: f64, [p, g, first, second]: [f64; 4]) -> [f64; 3] {
    match rule {
        UpdateRule::Sgd { momentum: 0.0, weight_decay, .. } => [p - lr * (g + weight_decay * p), first, second],
        UpdateRule::Sgd { momentum, dampening, weight_decay, nesterov } => {
            let g = g + weight_decay * p;
            let v = if number == 1.0 { g } else { momentum * first + (1.0 - dampening) * g };
            [p - lr * if nesterov { g + momentum * v } else { v }, v, second]
        }
        UpdateRule::Adam { beta1, beta2, epsilon, weight_decay, decoupled } => {
            let settings = AdamSettings { beta1, beta2, epsilon, weight_decay, decoupled };
            let (p, m, v) = adam(p, g, first, second, &settings.at(lr, number, smallest));
            [p, m, v]
        }
    }
}

struct Parameter {
    p: Operand,
    g: Operand,
    states: [Tensor; 2],
    want: [Vec<f64>; 3],
}

/// A step by operations on whole tensors.
fn composed(rule: UpdateRule, step: &Tensor, parameters: &mut [Parameter]) {
    let tensors = parameters.iter_mut().map(|Parameter { p, g, states: [first, second], .. }| {
        let states = [(rule.states() > 0).then_some(first), (rule.states() > 1).then_some(second)];
        UpdateTensors { parameter: &mut p.tensor, gradient: &g.tensor, states }
    });
    Tensor::update(rule, step, &mut tensors.collect::<Vec<_>>()).unwrap();
}

pub(super) fn update(device: &Device) {
    let mut cases = Cases::new(device, 80);
    let none = DeviceBuffer { address: 0, bytes: 0 };
    for rule in rules() {
        for sizes in [&[][..], &[0], &[1], &[5, 0, 31, 32, 33], &[3, 1000, 70_001, 256, 257, 8]] {
            let mut parameters: Vec<Parameter> = sizes
                .iter()
                .enumerate()
                .map(|(i, &size)| {
                    let dtype = if i % 3 == 1 { DType::F64 } else { DType::F32 };
                    let shape = Shape::new(&[size]).unwrap();
                    let p = cases.rows(&shape, dtype, Values::Between(-1.0, 1.0));
                    let g = cases.rows(&shape, dtype, Values::Between(-1.0, 1.0));
                    let zeros = vec![0.0; size];
                    let states = [(); 2].map(|()| tensor_of(&zeros, &shape, dtype, device));
                    let want = [p.values.clone(), zeros.clone(), zeros];
                    Parameter { p, g, states, want }
                })
                .collect();
            for number in 1..=3 {
                let lr = 0.1 / f64::from(number);
                let step = Tensor::from_slice(&[lr, f64::from(number)], [2], device).unwrap();
                let slots: Vec<UpdateSlot> = parameters
                    .iter()
                    .map(|x| {
                        let count = rule.states();
                        let state = |i: usize| if i < count { x.states[i].view().buffer } else { none };
                        UpdateSlot {
                            parameter: x.p.tensor.view().buffer,
                            parameter_offset: x.p.tensor.layout().offset(),
                            gradient: x.g.tensor.view().buffer,
                            gradient_offset: x.g.tensor.layout().offset(),
                            states: [state(0), state(1)],
                            elements: x.p.values.len(),
                            dtype: x.p.tensor.dtype(),
                        }
                    })
                    .collect();
                let slots = &slots[..];
                if device.run(&Call::Update(UpdateCall { rule, step: step.view(), slots })).unwrap() == Ran::NotHere {
                    composed(rule, &step, &mut parameters);
                }
                for x in &mut parameters {
                    let single = x.p.tensor.dtype() == DType::F32;
                    let smallest = if single { f32::MIN_POSITIVE.into() } else { f64::MIN_POSITIVE };
                    for i in 0..x.p.values.len() {
                        let given = [x.want[0][i], x.g.values[i], x.want[1][i], x.want[2][i]];
                        let after = naive(rule, lr, f64::from(number), smallest, given);
                        for (to, value) in x.want.iter_mut().zip(after) {
                            to[i] = value;
                        }
                    }
                }
            }
            for x in &parameters {
                let what = format!("{rule:?}");
                expect(&what, &x.p.tensor, &x.want[0], |_| 2.0);
                for state in 0..rule.states() {
                    expect(&what, &x.states[state], &x.want[1 + state], |_| 1.0);
                }
                // What lies before the parameter in its memory is untouched, and so is the gradient.
                let dtype = x.g.tensor.dtype();
                let kept: Vec<f64> = x.g.values.iter().map(|&value| rounded(value, dtype)).collect();
                expect("gradient", &x.g.tensor, &kept, |_| 0.0);
            }
        }
    }
}
