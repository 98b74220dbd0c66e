//! The recording of a forward pass: each call of the driver becomes a step, if it depends on the inputs.
//!
//! What does not depend on the inputs is a constant: its value is kept, and the steps that made it are not.

use super::kept::{Access, BufferId, Kept, KeptView};
use super::step::{Operation, note, unknown};
use crate::profile::{self, Profiling};
use crate::{Call, Device, DeviceBuffer, Error, ErrorKind, Result, Tensor};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

pub(crate) mod primitives;

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(false) };
    static RECORDER: RefCell<Option<Box<Recorder>>> = const { RefCell::new(None) };
}

/// Whether this thread's operations are being recorded. Only asked where [`profile::is_on`].
#[inline]
pub(crate) fn is_on() -> bool {
    RECORDING.get()
}

/// A buffer of a recording.
#[derive(Clone)]
pub(crate) struct Buffer {
    pub(crate) bytes: usize,
    pub(crate) holds: Holds,
}

/// What a buffer holds.
#[derive(Clone)]
pub(crate) enum Holds {
    /// An input, by its number.
    Input(usize),
    /// The same in every run: a weight, or what was computed of weights alone. None until a step reads it.
    Constant(Option<Tensor>),
    /// What steps compute.
    Computed,
}

/// A step of a recording.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) operation: Operation,
    /// The layer, as a profile names it.
    pub(crate) layer: u32,
    /// The operation's name.
    pub(crate) name: &'static str,
    pub(crate) flops: Option<u64>,
    pub(crate) bytes: u64,
}

/// What is written down while a forward pass runs.
pub(crate) struct Recorder {
    device: Device,
    /// The buffer that is at an address now.
    at: HashMap<usize, BufferId>,
    /// Buffers that the step being noted begins.
    begun: HashMap<usize, BufferId>,
    pub(super) buffers: Vec<Buffer>,
    pub(super) steps: Vec<Step>,
    /// Tensors that outlive the recording, by address: weights need no copy.
    known: HashMap<usize, Tensor>,
    work: Option<profile::Work>,
    /// What the coarse operation that was noted last has changed: the number of steps before it, and the buffers that were at addresses.
    before: (usize, Vec<(usize, Option<BufferId>)>),
}

/// A recording under way on this thread.
pub(super) struct Recording {
    _profiling: Option<Profiling>,
}

impl Recording {
    /// Begins one.
    pub(super) fn start(device: &Device, inputs: &[Tensor], known: &[Tensor]) -> Result<Self> {
        if is_on() {
            return Err(Error::value("compile", "this thread is compiling a model already"));
        }
        // Layers' names come with a profile.
        let profiling = if profile::is_on() { None } else { Some(Profiling::start_with(0)?) };
        let mut recorder = Recorder {
            device: device.clone(),
            at: HashMap::new(),
            begun: HashMap::new(),
            buffers: Vec::new(),
            steps: Vec::new(),
            known: known.iter().map(|tensor| (tensor.view().buffer.address, tensor.clone())).collect(),
            work: None,
            before: (0, Vec::new()),
        };
        for (number, input) in inputs.iter().enumerate() {
            let bytes = input.elements() * input.dtype().size();
            recorder.begin(input.view().buffer.address, bytes, Holds::Input(number));
        }
        RECORDER.set(Some(Box::new(recorder)));
        RECORDING.set(true);
        Ok(Recording { _profiling: profiling })
    }

    /// Ends it.
    pub(super) fn stop(self) -> Option<Box<Recorder>> {
        RECORDING.set(false);
        RECORDER.take()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        RECORDING.set(false);
        RECORDER.set(None);
    }
}

fn with(f: impl FnOnce(&mut Recorder) -> Result<()>) -> Result<()> {
    RECORDER.with_borrow_mut(|recorder| recorder.as_deref_mut().map_or(Ok(()), f))
}

/// A tensor's memory was allocated.
pub(crate) fn allocated(buffer: DeviceBuffer, bytes: usize) {
    let _ = with(|recorder| {
        recorder.begin(buffer.address, bytes, Holds::Constant(None));
        Ok(())
    });
}

/// The host reads a tensor's elements.
///
/// # Errors
/// Elements that depend on the inputs.
pub(crate) fn read_by_host(buffer: DeviceBuffer) -> Result<()> {
    with(|recorder| {
        if !recorder.varies(buffer) {
            return Ok(());
        }
        let message = "a layer reads values of its input on the host, which a compiled plan can't do: run the model with `forward`";
        Err(Error::new(ErrorKind::Unsupported, "compile", message))
    })
}

/// A coarse operation is about to run.
///
/// # Errors
/// One that cannot be part of a plan.
pub(crate) fn call(work: profile::Work, call: &Call<'_>) -> Result<()> {
    with(|recorder| {
        if matches!(call, Call::Attention(call) if call.operands.dropout.is_some()) {
            return Err(unknown("attention with dropout"));
        }
        recorder.work = Some(work);
        recorder.before = (recorder.steps.len(), Vec::new());
        note::call(recorder, call)
    })
}

/// The coarse operation that was noted last did not run, but is composed of others.
pub(crate) fn undo() {
    let _ = with(|recorder| {
        let (steps, changed) = std::mem::take(&mut recorder.before);
        recorder.steps.truncate(steps);
        for (address, id) in changed.into_iter().rev() {
            match id {
                Some(id) => recorder.at.insert(address, id),
                None => recorder.at.remove(&address),
            };
        }
        Ok(())
    });
}

/// An index is about to be used along an axis of so many elements.
pub(crate) fn index(operation: &'static str, index: &Tensor, size: usize) -> Result<()> {
    with(|recorder| {
        let view = index.view();
        if recorder.varies(view.buffer) {
            let index = Kept::keep(&view, recorder);
            recorder.push(Operation::CheckIndex { operation, index, size }, "check_index");
        }
        Ok(())
    })
}

/// The results of a recorded function.
///
/// # Errors
/// Out of memory.
pub(super) fn outputs(results: &[Tensor]) -> Result<Vec<KeptView>> {
    let mut outputs = Vec::new();
    with(|recorder| {
        for result in results {
            if result.device() != &recorder.device {
                let (got, expected) = (result.device(), &recorder.device);
                return Err(Error::value(
                    "compile",
                    format!("an output is on {got}, expected {expected} as the inputs"),
                ));
            }
            let view = result.view();
            let id = recorder.find(view.buffer);
            recorder.keep_constant(view.buffer, id)?;
            outputs.push(Kept::keep(&view, recorder));
        }
        Ok(())
    })?;
    Ok(outputs)
}

impl Recorder {
    /// Buffers and steps.
    pub(super) fn into_parts(self) -> (Vec<Buffer>, Vec<Step>) {
        (self.buffers, self.steps)
    }

    /// A new buffer at an address.
    fn begin(&mut self, address: usize, bytes: usize, holds: Holds) -> BufferId {
        self.buffers.push(Buffer { bytes, holds });
        let id = self.buffers.len() - 1;
        self.put(address, id);
        id
    }

    /// From here on this buffer is at the address.
    fn put(&mut self, address: usize, id: BufferId) {
        let before = self.at.insert(address, id);
        self.before.1.push((address, before));
    }

    /// The buffer at an address; one from before the recording is a constant.
    fn find(&mut self, buffer: DeviceBuffer) -> BufferId {
        match self.at.get(&buffer.address) {
            Some(&id) => id,
            None => self.begin(buffer.address, buffer.bytes, Holds::Constant(None)),
        }
    }

    /// A constant has other values from here on than steps may have read before.
    fn changes(&mut self, buffer: DeviceBuffer) {
        let id = self.find(buffer);
        let bytes = self.buffers[id].bytes;
        self.begin(buffer.address, bytes, Holds::Constant(None));
    }

    /// Whether the memory depends on the inputs.
    fn varies(&self, buffer: DeviceBuffer) -> bool {
        let id = self.at.get(&buffer.address);
        id.is_some_and(|&id| !matches!(self.buffers[id].holds, Holds::Constant(_)))
    }

    /// The buffer that a view reads.
    pub(super) fn read(&self, buffer: DeviceBuffer) -> BufferId {
        self.at.get(&buffer.address).copied().unwrap_or_default()
    }

    /// The buffer that an output is written to.
    pub(super) fn written(&self, buffer: DeviceBuffer) -> BufferId {
        self.begun.get(&buffer.address).copied().unwrap_or_else(|| self.read(buffer))
    }

    fn push(&mut self, operation: Operation, name: &'static str) {
        let work = self.work.take();
        let (flops, bytes) = work.map_or((Some(0), 0), |work| (work.flops, work.bytes));
        let name = work.map_or(name, |work| work.operation);
        self.steps.push(Step { operation, layer: profile::scope(), name, flops, bytes });
    }

    /// Keeps what a constant buffer holds now.
    fn keep_constant(&mut self, buffer: DeviceBuffer, id: BufferId) -> Result<()> {
        let Buffer { bytes, holds: Holds::Constant(value @ None) } = &mut self.buffers[id] else { return Ok(()) };
        *value = Some(match self.known.get(&buffer.address) {
            Some(tensor) => tensor.clone(),
            None => {
                RECORDING.set(false);
                let copy = super::memory::copied(&self.device, buffer, *bytes);
                RECORDING.set(true);
                copy?
            }
        });
        Ok(())
    }

    /// Notes an operation by what it does with memory; `keeps` says that it also reads what its outputs hold.
    pub(super) fn note(
        &mut self,
        accesses: &[Access],
        keeps: bool,
        make: impl FnOnce(&Recorder) -> Operation,
    ) -> Result<()> {
        let mut varies = false;
        for access in accesses {
            let (Access::Read(buffer) | Access::Write(buffer, _)) = *access;
            let id = self.find(buffer);
            let matters = match access {
                Access::Read(_) => true,
                Access::Write(_, range) => keeps || *range != Some((0, self.buffers[id].bytes)),
            };
            varies |= matters && self.varies(buffer);
        }
        if !varies {
            for access in accesses {
                if let Access::Write(buffer, _) = *access {
                    self.changes(buffer);
                }
            }
            self.work = None;
            return Ok(());
        }
        for access in accesses {
            if let Access::Read(buffer) = *access {
                let id = self.find(buffer);
                self.keep_constant(buffer, id)?;
            }
        }
        for access in accesses {
            let Access::Write(buffer, range) = *access else { continue };
            let id = self.find(buffer);
            let bytes = self.buffers[id].bytes;
            let whole = !keeps && range == Some((0, bytes));
            if whole {
                self.buffers.push(Buffer { bytes, holds: Holds::Computed });
                self.begun.insert(buffer.address, self.buffers.len() - 1);
            } else if !self.varies(buffer) {
                self.keep_constant(buffer, id)?;
                let to = self.begin(buffer.address, bytes, Holds::Computed);
                let work = self.work.take();
                self.push(Operation::Load { to, from: id, bytes }, "copy");
                self.work = work;
            }
        }
        let operation = make(self);
        for (address, id) in std::mem::take(&mut self.begun) {
            self.put(address, id);
        }
        self.push(operation, "");
        Ok(())
    }
}
