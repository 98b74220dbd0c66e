//! Plans: a forward pass recorded once, to be run again without a graph. A run allocates its outputs alone.
//!
//! While a function runs, the driver's calls are written down. A call that depends on the inputs becomes a step; what depends on
//! constants alone, such as statistics that are stacked or weights that are transposed, is computed once and kept. Steps refer to
//! buffers by number. Buffers that do not live at the same time share memory, which is planned ahead.
//!
//! A plan holds its weights as the model shares them: a model that is trained further moves its own and leaves the plan's. So a plan
//! gives what the model gave when it was compiled.
//!
//! With [`Precision::Exact`] the outputs have the bits of the function's.

mod describe;
pub(crate) mod kept;
mod lower;
pub(crate) mod maps;
mod memory;
pub(crate) mod recorder;
mod run;
mod step;

use crate::{DType, Device, Error, ErrorKind, Result, Shape, Tensor};
pub use describe::PlanStep;
use kept::KeptView;
pub use lower::{InputRanges, Precision};
use memory::{Arena, Room};
use recorder::{Buffer, Holds, Recording, Step};
use std::fmt;
use std::sync::Mutex;

/// A recorded function of tensors.
///
/// ```
/// use kiln_tensor::{DType, Device, Plan, Precision, Tensor};
/// let cpu = Device::cpu();
/// let w = Tensor::from_slice(&[1.0f32, -1.0], [2, 1], &cpu)?;
/// let example = Tensor::zeros([1, 2], DType::F32, &cpu)?;
/// let plan = Plan::record(&[example], &[w.clone()], Precision::Exact, |x| Ok(vec![x[0].matmul(&w)?.relu()?]))?;
/// let x = Tensor::from_slice(&[5.0f32, 2.0], [1, 2], &cpu)?;
/// assert_eq!(plan.run(&[x])?[0].to_vec::<f32>()?, [3.0]);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
pub struct Plan {
    device: Device,
    inputs: Vec<(Shape, DType)>,
    buffers: Vec<Buffer>,
    steps: Vec<Step>,
    outputs: Vec<KeptView>,
    /// Buffers that are written to the caller's memory.
    in_place: Vec<usize>,
    arena: Arena,
    /// Memory of runs that have ended.
    rooms: Mutex<Vec<Room>>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("inputs", &self.inputs).field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}

impl Plan {
    /// Runs `function` on examples of its inputs and keeps what it computes. Weights that are listed in `constants` are shared with the
    /// plan; other tensors that the function reads are copied. What the function computes on other threads is not seen: it becomes a
    /// constant.
    ///
    /// # Errors
    /// No inputs, inputs on several devices or on one that is not the CPU; a function that reads values of its inputs on the host, draws
    /// random numbers, or uses an operation that a plan cannot have; those of the function.
    pub fn record(
        inputs: &[Tensor],
        constants: &[Tensor],
        precision: Precision,
        function: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>,
    ) -> Result<Plan> {
        let Some(device) = inputs.first().map(|input| input.device().clone()) else {
            return Err(Error::value("compile", "a plan needs an input"));
        };
        if !device.backend().is_host() {
            let message =
                format!("plans run on the CPU, got inputs on {device}: move the model there, or run it with `forward`");
            return Err(Error::new(ErrorKind::Unsupported, "compile", message));
        }
        // Memory of their own: whatever else shares an example's is a constant.
        let examples = inputs.iter().map(Tensor::copied).collect::<Result<Vec<_>>>()?;
        if let Some(other) = examples.iter().find(|example| example.device() != &device) {
            let message = format!("all inputs of a plan must be on one device, got {device} and {}", other.device());
            return Err(Error::value("compile", message));
        }
        let recording = Recording::start(&device, &examples, constants)?;
        let results = function(&examples)?;
        let outputs = recorder::outputs(&results)?;
        let Some(recorder) = recording.stop() else {
            return Err(Error::value("compile", "the recording was ended by the function"));
        };
        let (mut buffers, mut steps) = recorder.into_parts();
        if let Some(isa) = device.backend().map_kernels() {
            (buffers, steps) = lower::lower(&device, isa, &precision, buffers, &steps, &outputs)?;
        }
        let inputs = examples.iter().map(|example| (*example.shape(), example.dtype())).collect();
        Ok(Plan::new(device, inputs, buffers, steps, outputs))
    }

    fn new(
        device: Device,
        inputs: Vec<(Shape, DType)>,
        mut buffers: Vec<Buffer>,
        steps: Vec<Step>,
        outputs: Vec<KeptView>,
    ) -> Plan {
        let in_place = run::in_place(&outputs, &buffers);
        let ends: Vec<usize> = outputs.iter().map(|output| output.buffer).collect();
        // Weights that were packed are not needed as they were.
        let lifetimes = memory::lifetimes(buffers.len(), &steps, &ends);
        for (buffer, lifetime) in buffers.iter_mut().zip(lifetimes) {
            if let (Holds::Constant(value), None) = (&mut buffer.holds, lifetime) {
                *value = None;
            }
        }
        let arena = Arena::new(&buffers, &steps, &ends, &in_place);
        Plan { device, inputs, buffers, steps, outputs, in_place, arena, rooms: Mutex::new(Vec::new()) }
    }

    /// Shapes and dtypes of the inputs.
    pub fn inputs(&self) -> &[(Shape, DType)] {
        &self.inputs
    }

    /// Shapes of the outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &Shape> {
        self.outputs.iter().map(|output| output.layout.shape())
    }

    /// Bytes of the memory for values between the steps, for each thread that runs the plan at one time.
    pub fn arena_bytes(&self) -> usize {
        self.arena.bytes
    }

    /// Bytes of weights and other constants.
    pub fn constant_bytes(&self) -> usize {
        let bytes = |buffer: &Buffer| if matches!(buffer.holds, Holds::Constant(Some(_))) { buffer.bytes } else { 0 };
        self.buffers.iter().map(bytes).sum()
    }
}
