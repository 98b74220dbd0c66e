//! The optimizers' updates.

use super::dispatch::by_float;
use super::operand::single_or_double;
use crate::gpu::Gpu;
use crate::machine::Machine;
use gpu_kernels::geometry::by_element;
use gpu_kernels::update::{AdamSettings, SgdSettings, adam, sgd};
use kiln_tensor::{Result, UpdateRule, UpdateSlot, View};

impl<M: Machine> Gpu<M> {
    pub(super) fn updated(&self, rule: UpdateRule, step: &View<'_>, slots: &[UpdateSlot]) -> Result<()> {
        slots.iter().try_for_each(|slot| self.update_slot(rule, step, slot))
    }

    fn update_slot(&self, rule: UpdateRule, step: &View<'_>, slot: &UpdateSlot) -> Result<()> {
        let dtype = single_or_double("update", slot.dtype)?;
        let part = |buffer, offset| self.part(buffer, offset, slot.elements, dtype);
        let parameter = part(slot.parameter, slot.parameter_offset);
        let gradient = part(slot.gradient, slot.gradient_offset);
        // A state that the rule does not have is empty.
        let [first, second] = slot.states.map(|state| part(state, 0));
        let (step, geometry) = (self.rows(step)?, by_element(slot.elements));
        by_float!(dtype, T => {
            let (p, g, step) = (parameter.write(), gradient.read(), step.read());
            match rule {
                UpdateRule::Adam { beta1, beta2, epsilon, weight_decay, decoupled } => {
                    let settings = AdamSettings { beta1, beta2, epsilon, weight_decay, decoupled: decoupled.into() };
                    let (m, v) = (first.write(), second.write());
                    self.run(adam::<T> { p, g, m, v, step, settings }, geometry)
                }
                UpdateRule::Sgd { momentum, dampening, weight_decay, nesterov } => {
                    let settings = SgdSettings { momentum, dampening, weight_decay, nesterov: nesterov.into() };
                    self.run(sgd::<T> { p, g, v: first.write(), step, settings }, geometry)
                }
            }
        })
    }
}
