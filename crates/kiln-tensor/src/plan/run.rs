//! Running a plan.

use super::Plan;
use super::kept::{Kept, KeptView, Memory};
use super::memory::{Room, is_whole};
use super::recorder::{self, Holds};
use crate::{DeviceBuffer, Error, ErrorKind, Result, Tensor, profile};
use std::sync::PoisonError;

/// What a run calls between its steps.
pub(super) type Ended<'a> = dyn FnMut(Option<usize>, &Memory) + 'a;

impl Plan {
    /// The outputs for these inputs, which have the shapes and dtypes of those that it was recorded with. Several threads may run
    /// a plan at once; each has memory of its own, which is kept for the next run.
    ///
    /// # Errors
    /// Inputs of another shape, dtype or device; an index out of range; out of memory.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        self.run_with(inputs, &mut |_, _| {})
    }

    /// As [`Plan::run`]; `ended` is called before the first step with None, and after each one with its number, and with the memory
    /// that it has worked in.
    pub(super) fn run_with(&self, inputs: &[Tensor], ended: &mut Ended<'_>) -> Result<Vec<Tensor>> {
        self.check(inputs)?;
        if profile::is_on() && recorder::is_on() {
            let message = "a plan can't be part of another one: compile the model that it was made of";
            return Err(Error::new(ErrorKind::Unsupported, "run", message));
        }
        let inputs = inputs.iter().map(Tensor::contiguous).collect::<Result<Vec<_>>>()?;
        let mut room = self.room()?;
        let result = self.run_in(&mut room, &inputs, ended);
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).push(room);
        result
    }

    fn room(&self) -> Result<Room> {
        let kept = self.rooms.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.map_or_else(|| Room::new(&self.device, &self.buffers, &self.arena), Ok)
    }

    fn check(&self, inputs: &[Tensor]) -> Result<()> {
        if inputs.len() != self.inputs.len() {
            let message = format!("inputs of the plan: {} expected, got {}", self.inputs.len(), inputs.len());
            return Err(Error::value("run", message));
        }
        for (input, (shape, dtype)) in inputs.iter().zip(&self.inputs) {
            if input.shape() != shape || input.dtype() != *dtype {
                let message = format!(
                    "the plan was compiled for {shape} of {dtype}, got {} of {}: compile one for this shape",
                    input.shape(),
                    input.dtype()
                );
                return Err(Error::shape("run", message));
            }
            if input.device() != &self.device {
                return Err(Error::value(
                    "run",
                    format!("the plan computes on {}, the input is on {}", self.device, input.device()),
                ));
            }
        }
        Ok(())
    }

    fn run_in(&self, room: &mut Room, inputs: &[Tensor], ended: &mut Ended<'_>) -> Result<Vec<Tensor>> {
        for (buffer, address) in self.buffers.iter().zip(&mut room.addresses) {
            if let Holds::Input(number) = buffer.holds {
                // A view of a part of its memory begins further on.
                let (view, size) = (inputs[number].view(), inputs[number].dtype().size());
                *address =
                    DeviceBuffer { address: view.buffer.address + view.layout.offset() * size, bytes: buffer.bytes };
            }
        }
        let mut outputs = Vec::with_capacity(self.outputs.len());
        for output in &self.outputs {
            let tensor = Tensor::output(output.layout.shape(), output.dtype, &self.device)?;
            if self.written_in_place(output) {
                room.addresses[output.buffer] = tensor.view().buffer;
            }
            outputs.push(tensor);
        }
        ended(None, room.memory());
        for (number, step) in self.steps.iter().enumerate() {
            step.operation.run(&self.device, room.memory())?;
            ended(Some(number), room.memory());
        }
        for (output, tensor) in self.outputs.iter().zip(&outputs) {
            if !self.written_in_place(output) {
                self.device.copy(tensor.view(), output.lend(room.memory()))?;
            }
        }
        Ok(outputs)
    }

    /// Whether the steps write this output to the caller's memory.
    pub(super) fn written_in_place(&self, output: &KeptView) -> bool {
        self.in_place.contains(&output.buffer)
    }
}

/// The buffers of outputs that can be written where the caller has them: whole ones, each once.
pub(super) fn in_place(outputs: &[KeptView], buffers: &[super::recorder::Buffer]) -> Vec<usize> {
    let mut ids = Vec::new();
    for output in outputs {
        let buffer = &buffers[output.buffer];
        let once = outputs.iter().filter(|other| other.buffer == output.buffer).count() == 1;
        if once && matches!(buffer.holds, Holds::Computed) && is_whole(output, buffer) {
            ids.push(output.buffer);
        }
    }
    ids
}
