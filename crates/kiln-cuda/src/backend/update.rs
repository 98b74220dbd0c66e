//! The optimizers' updates.

use super::Gpu;
use super::dispatch::by_float;
use crate::machine::Machine;
use gpu_kernels::geometry::by_element;
use gpu_kernels::update::{AdamSettings, SgdSettings, adam, sgd};
use kiln_tensor::{DType, Result, UpdateRule, UpdateSlot, View, unsupported_dtype};

impl<M: Machine> Gpu<M> {
    pub(super) fn update_slot(&self, rule: UpdateRule, step: &View<'_>, slot: &UpdateSlot) -> Result<()> {
        self.sound()?;
        if !matches!(slot.dtype, DType::F32 | DType::F64) {
            return Err(unsupported_dtype("update", slot.dtype, "f32 or f64"));
        }
        let part = |buffer, offset| self.part(buffer, offset, slot.elements, slot.dtype);
        let parameter = part(slot.parameter, slot.parameter_offset);
        let gradient = part(slot.gradient, slot.gradient_offset);
        // A state that the rule does not have is empty.
        let [first, second] = slot
            .states
            .map(|buffer| self.part(buffer, 0, if buffer.bytes == 0 { 0 } else { slot.elements }, slot.dtype));
        let (step, geometry) = (self.rows(step)?, by_element(slot.elements));
        by_float!(slot.dtype, T => {
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
