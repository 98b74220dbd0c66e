//! Optimizer steps.

use super::CpuBackend;
use super::calls::OnCpu;
use super::memory::slice;
use crate::{DType, Ran, Result, UpdateCall, UpdatePart, UpdateSlot, unsupported_dtype};
use half::{bf16, f16};
use kiln_cpu::update::{Floats, FloatsMut, Slot, Step};

impl OnCpu for UpdateCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        // SAFETY: whether to apply the step is one bool, checked above the trait.
        if self.apply.is_some_and(|apply| !unsafe { slice::<bool>(&apply)[0] }) {
            return Ok(Ran::Done);
        }
        numbers!(self.constants.dtype, "update", T => {
            // SAFETY: the constants are contiguous, of the type dispatched on.
            let mut step = Step::<T>::new(unsafe { slice(&self.constants) }, self.slots.len());
            for slot in self.slots {
                // SAFETY: the backend's contract: the parameter and states are this call's alone, and no two slots share one.
                step.push(unsafe { slot_of(slot) }?);
            }
            step.run(cpu.isa, self.rule);
        });
        Ok(Ran::Done)
    }
}

/// The slices of a slot.
///
/// # Safety
/// All lie within their memory, and parameter and states are the caller's alone for as long as the slot is used.
#[inline]
unsafe fn slot_of<'a>(slot: &UpdateSlot) -> Result<Slot<'a>> {
    let mut states = [const { None }; kiln_math::update::MAX_STATES];
    for (to, state) in states.iter_mut().zip(slot.states) {
        if let Some(state) = state {
            // SAFETY: the caller's promise.
            *to = Some(unsafe { floats_mut(state, slot.elements) }?);
        }
    }
    // SAFETY: the caller's promise.
    let (parameter, gradient) =
        unsafe { (floats_mut(slot.parameter, slot.elements)?, floats(slot.gradient, slot.elements)?) };
    Ok(Slot { parameter, gradient, states, row: slot.row })
}

/// # Safety
/// So many elements lie there, and nobody writes them for `'a`.
unsafe fn floats<'a>(part: UpdatePart, elements: usize) -> Result<Floats<'a>> {
    /// # Safety
    /// As above, and they are of type T.
    unsafe fn of<'a, T>(part: UpdatePart, elements: usize) -> &'a [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts((part.buffer.address as *const T).add(part.offset), elements) }
    }
    // SAFETY: the part's dtype says of which type they are.
    unsafe {
        Ok(match part.dtype {
            DType::F32 => Floats::F32(of::<f32>(part, elements)),
            DType::F64 => Floats::F64(of::<f64>(part, elements)),
            DType::F16 => Floats::F16(of::<f16>(part, elements)),
            DType::BF16 => Floats::BF16(of::<bf16>(part, elements)),
            other => return Err(unsupported_dtype("update", other, "floats")),
        })
    }
}

/// # Safety
/// So many elements lie there, and nobody else reads or writes them for `'a`.
unsafe fn floats_mut<'a>(part: UpdatePart, elements: usize) -> Result<FloatsMut<'a>> {
    /// # Safety
    /// As above, and they are of type T.
    unsafe fn of<'a, T>(part: UpdatePart, elements: usize) -> &'a mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut((part.buffer.address as *mut T).add(part.offset), elements) }
    }
    // SAFETY: the part's dtype says of which type they are.
    unsafe {
        Ok(match part.dtype {
            DType::F32 => FloatsMut::F32(of::<f32>(part, elements)),
            DType::F64 => FloatsMut::F64(of::<f64>(part, elements)),
            DType::F16 => FloatsMut::F16(of::<f16>(part, elements)),
            DType::BF16 => FloatsMut::BF16(of::<bf16>(part, elements)),
            other => return Err(unsupported_dtype("update", other, "floats")),
        })
    }
}
