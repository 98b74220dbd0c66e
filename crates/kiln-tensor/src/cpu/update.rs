//! Optimizer steps.

use super::CpuBackend;
use super::calls::OnCpu;
use super::memory::{self, slice};
use crate::{DType, Ran, Result, UpdateCall, UpdateRule, unsupported_dtype};
use kiln_cpu::operand::Number;
use kiln_cpu::{Isa, update};
use kiln_math::update as rules;

impl OnCpu for UpdateCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let isa = cpu.isa;
        // SAFETY: a step is f64 (2,), contiguous: checked above the trait.
        let (learning_rate, number) = unsafe { (slice::<f64>(&self.step)[0], slice::<f64>(&self.step)[1]) };
        for dtype in [DType::F32, DType::F64] {
            if self.slots.iter().any(|slot| slot.dtype == dtype) {
                let chosen = self.slots.iter().filter(|slot| slot.dtype == dtype);
                numbers!(dtype, "update", T => {
                    let mut slots: Vec<update::Slot<'_, T>> = chosen.map(memory::slot).collect();
                    step::<T>(isa, self.rule, learning_rate, number, &mut slots);
                });
            }
        }
        Ok(Ran::Done)
    }
}

/// One step over slots of one type.
fn step<T: Number>(isa: Isa, rule: UpdateRule, learning_rate: f64, number: f64, slots: &mut [update::Slot<'_, T>]) {
    match rule {
        UpdateRule::Sgd { momentum, dampening, weight_decay, nesterov } => {
            let settings = rules::SgdSettings { momentum, dampening, weight_decay, nesterov };
            update::sgd_step(isa, slots, settings.at(learning_rate, number, T::SMALLEST));
        }
        UpdateRule::Adam { beta1, beta2, epsilon, weight_decay, decoupled } => {
            let settings = rules::AdamSettings { beta1, beta2, epsilon, weight_decay, decoupled };
            update::adam_step(isa, slots, settings.at(learning_rate, number, T::SMALLEST));
        }
    }
}
