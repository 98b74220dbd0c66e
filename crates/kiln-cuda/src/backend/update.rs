//! The optimizers' updates: one launch for up to [`SLOTS`] tensors.

use super::OnGpu;
use super::dispatch::by_float;
use super::operand::{Operand, single_or_double};
use crate::gpu::Gpu;
use crate::machine::Machine;
use cuda_std::DeviceCopy;
use gpu_kernels::update::{BF16, F16, F32, SLOTS, Slot, blocks, launch, launch_mixed};
use kiln_math::update::MAX_STATES;
use kiln_tensor::{DType, Ran, Result, UpdateCall, UpdatePart, UpdateSlot};

impl<M: Machine> Gpu<M> {
    /// A part's elements as a kernel takes them, in units of T, of which those of a wider type are several; of a part that is not
    /// there, none.
    fn elements<T: DeviceCopy>(&self, part: Option<UpdatePart>, elements: usize) -> Operand<'_, M> {
        let Some(part) = part else { return self.absent() };
        let (each, unit) =
            (part.dtype.size() / size_of::<T>(), if size_of::<T>() == 2 { DType::F16 } else { part.dtype });
        self.part(part.buffer, part.offset * each, elements * each, unit)
    }

    /// At most [`SLOTS`] tensors as a kernel takes them, and the blocks that all of them have.
    fn slots<T: DeviceCopy>(&self, slots: &[UpdateSlot]) -> ([Slot<T>; SLOTS], usize) {
        let none = self.absent();
        let states = [none.write(); MAX_STATES];
        let (parameter, gradient) = (none.write(), none.read());
        let none = Slot { parameter, gradient, states, kinds: 0, row: 0, first_block: u64::MAX };
        let (mut given, mut first) = ([none; SLOTS], 0);
        for (to, slot) in given.iter_mut().zip(slots) {
            let parameter = self.elements::<T>(Some(slot.parameter), slot.elements).write();
            let gradient = self.elements::<T>(Some(slot.gradient), slot.elements).read();
            let states = slot.states.map(|state| self.elements::<T>(state, slot.elements).write());
            let (kinds, row) = (kinds(slot), slot.row as u32);
            *to = Slot { parameter, gradient, states, kinds, row, first_block: first as u64 };
            first += blocks(slot.elements);
        }
        (given, first)
    }
}

/// The kinds of a slot's tensors, 4 bits each.
fn kinds(slot: &UpdateSlot) -> u32 {
    let parts = [Some(slot.parameter), Some(slot.gradient)].into_iter().chain(slot.states);
    let kind = |part: Option<UpdatePart>| match part.map(|part| part.dtype) {
        Some(DType::F16) => F16,
        Some(DType::BF16) => BF16,
        _ => F32,
    };
    parts.enumerate().fold(0, |kinds, (at, part)| kinds | kind(part) << (4 * at))
}

impl OnGpu for UpdateCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        let (rule, dtype) = (self.rule, single_or_double("update", self.constants.dtype)?);
        let (constants, apply) = (gpu.rows(&self.constants)?, gpu.rows_of(&self.apply)?);
        let (plain, mixed): (Vec<UpdateSlot>, Vec<UpdateSlot>) =
            self.slots.iter().copied().partition(|slot| kinds(slot) == 0);
        by_float!(dtype, T => {
            plain.chunks(SLOTS).try_for_each(|slots| {
                let slots = gpu.slots::<T>(slots);
                gpu.launched(launch::<T>(gpu, rule, slots, constants.read(), apply.read()))
            })
        })?;
        mixed.chunks(SLOTS).try_for_each(|slots| {
            let slots = gpu.slots::<u16>(slots);
            gpu.launched(launch_mixed(gpu, rule, slots, constants.read(), apply.read()))
        })?;
        Ok(Ran::Done)
    }
}
