//! The optimizers' updates: one launch for up to [`SLOTS`] tensors.

use super::OnGpu;
use super::dispatch::by_float;
use super::operand::single_or_double;
use crate::gpu::Gpu;
use crate::machine::Machine;
use cuda_std::DeviceCopy;
use gpu_kernels::update::{AdamSettings, SLOTS, SgdSettings, Slot, adam, blocks, by_block, sgd};
use kiln_tensor::{Ran, Result, UpdateCall, UpdateRule, UpdateSlot};

impl<M: Machine> Gpu<M> {
    /// At most [`SLOTS`] tensors as a kernel takes them, and the blocks that all of them have.
    fn slots<T: DeviceCopy>(&self, slots: &[UpdateSlot]) -> ([Slot<T>; SLOTS], usize) {
        let (none, mut first) = (self.absent(), 0);
        let states = [none.write(); 2];
        let none = Slot { parameter: none.write(), gradient: none.read(), states, first_block: u64::MAX };
        let mut given = [none; SLOTS];
        for (to, slot) in given.iter_mut().zip(slots) {
            let part = |buffer, offset| self.part(buffer, offset, slot.elements, slot.dtype);
            let parameter = part(slot.parameter, slot.parameter_offset).write();
            let gradient = part(slot.gradient, slot.gradient_offset).read();
            // A state that the rule does not have is empty.
            let states = slot.states.map(|state| part(state, 0).write());
            *to = Slot { parameter, gradient, states, first_block: first as u64 };
            first += blocks(slot.elements);
        }
        (given, first)
    }
}

impl OnGpu for UpdateCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        let UpdateCall { rule, step, slots } = *self;
        let step = gpu.rows(&step)?;
        let launches = slots.chunk_by(|a, b| a.dtype == b.dtype).flat_map(|same| same.chunks(SLOTS));
        launches.into_iter().try_for_each(|slots| {
            by_float!(single_or_double("update", slots[0].dtype)?, T => {
                let ((slots, blocks), step) = (gpu.slots::<T>(slots), step.read());
                match rule {
                    UpdateRule::Adam { beta1, beta2, epsilon, weight_decay, decoupled } => {
                        let decoupled = decoupled.into();
                        let settings = AdamSettings { beta1, beta2, epsilon, weight_decay, decoupled };
                        gpu.run(adam { slots, step, settings }, by_block(blocks))
                    }
                    UpdateRule::Sgd { momentum, dampening, weight_decay, nesterov } => {
                        let settings = SgdSettings { momentum, dampening, weight_decay, nesterov: nesterov.into() };
                        gpu.run(sgd { slots, step, settings }, by_block(blocks))
                    }
                }
            })
        })?;
        Ok(Ran::Done)
    }
}
