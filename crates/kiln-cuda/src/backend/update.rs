//! The optimizers' updates: one launch for all tensors, whose addresses are a table in device memory.

use super::OnGpu;
use super::dispatch::by_float;
use super::operand::{Operand, single_or_double};
use crate::gpu::Gpu;
use crate::machine::Machine;
use crate::tables::Key;
use cuda_std::{DeviceCopy, Global, LaunchError, Table};
use gpu_kernels::update::{BF16, F16, F32, Slot, Step, blocks, launch, launch_mixed};
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

    /// A tensor as a kernel takes it.
    fn slot<T: DeviceCopy>(&self, slot: &UpdateSlot) -> Slot<T> {
        let part = |part| self.elements::<T>(part, slot.elements);
        Slot {
            parameter: part(Some(slot.parameter)).write(),
            gradient: part(Some(slot.gradient)).read(),
            states: slot.states.map(|state| part(state).write()),
            kinds: kinds(slot),
            row: slot.row as u32,
        }
    }

    /// One launch for these tensors: `launch` is given the step and the blocks of all tensors.
    fn launch_step<T: DeviceCopy, C: DeviceCopy>(
        &self,
        kernel: &'static str,
        slots: &[UpdateSlot],
        (constants, apply): (Global<C>, Global<u8>),
        launch: impl FnOnce(Step<T, C>, usize) -> std::result::Result<(), LaunchError>,
    ) -> Result<()> {
        let Some(first) = slots.first() else { return Ok(()) };
        let entries: Vec<Slot<T>> = slots.iter().map(|slot| self.slot(slot)).collect();
        let mut total = 0;
        let first_blocks = slots.iter().map(|slot| {
            let first = total;
            total += blocks(slot.elements);
            // A grid that is too large is refused by the launch.
            u32::try_from(first).unwrap_or(u32::MAX)
        });
        let first_blocks: Vec<u32> = first_blocks.collect();
        let mut bytes = Table::bytes(&entries).to_vec();
        let blocks_at = bytes.len() as u64;
        bytes.extend(first_blocks.iter().flat_map(|first| first.to_ne_bytes()));
        let key = Key { kernel, first: first.parameter.buffer.address + first.parameter.offset, entries: slots.len() };
        self.with_table(key, bytes, |address| {
            // SAFETY: the slots and then the blocks' numbers lie at the address until the launch is done; the views in them are of
            // live memory of this device.
            let (slots, first_blocks) = unsafe {
                (Table::from_raw(address, entries.len()), Global::from_raw(address + blocks_at, first_blocks.len()))
            };
            self.launched(launch(Step { slots, first_blocks, constants, apply }, total))
        })
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
            let at = (constants.read(), apply.read());
            gpu.launch_step(rule.kernel(), &plain, at, |step, blocks| launch::<T>(gpu, rule, step, blocks))
        })?;
        let at = (constants.read(), apply.read());
        gpu.launch_step(rule.kernel(), &mixed, at, |step, blocks| launch_mixed(gpu, rule, step, blocks))?;
        Ok(Ran::Done)
    }
}
