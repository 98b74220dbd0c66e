//! The memory of a training step.

use crate::summary::binary;
use crate::{Ctx, Module, Sequential, Shapes, Value};
use kiln_tensor::{DType, Device, Error, ErrorKind, Result, Tensor};
use std::fmt;

/// What a training step holds in memory, in bytes, beside its batch. What operations need while they run comes on top.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrainingMemory {
    /// Samples in a batch.
    pub batch_size: usize,
    /// Of parameters and buffers.
    pub parameters: usize,
    /// Of the parameters that are learned.
    pub gradients: usize,
    /// What the optimizer remembers of them; 0 where none is known.
    pub optimizer_state: usize,
    /// What the forward pass keeps for the backward pass, the model's output among it.
    pub activations: usize,
    /// Whether the activations were measured with batches of this size, and not computed from smaller ones.
    pub measured: bool,
}

impl TrainingMemory {
    /// All of it; `usize::MAX` where it is more than that.
    pub fn total(&self) -> usize {
        let parts = [self.parameters, self.gradients, self.optimizer_state, self.activations];
        parts.into_iter().fold(0, usize::saturating_add)
    }
}

/// As lines below a [summary](Sequential::summary).
impl fmt::Display for TrainingMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |bytes: usize| binary(bytes as f64);
        let about = if self.measured { "" } else { "about " };
        writeln!(f, " Training with batches of {}: {about}{}", self.batch_size, bytes(self.total()))?;
        writeln!(f, "   parameters and buffers: {}", bytes(self.parameters))?;
        writeln!(f, "   gradients: {}", bytes(self.gradients))?;
        writeln!(f, "   optimizer state: {}", bytes(self.optimizer_state))?;
        writeln!(f, "   activations kept for the backward pass: {about}{}", bytes(self.activations))
    }
}

impl Sequential {
    /// The memory of a training step with batches of this size, without an optimizer's. Activations are measured: a forward pass in training
    /// mode on zeros tells what its graph keeps, in the buffers' real sizes, which are rounded up. What other threads allocate on the device
    /// meanwhile is counted too.
    ///
    /// ```
    /// # use kiln_nn::{Activation, Dense, Sequential};
    /// # use kiln_tensor::Device;
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// let cpu = Device::cpu_of(1 << 30); // with memory of its own
    /// let model = Sequential::new().push(Dense::new(64).activation(Activation::Relu)).push(Dense::new(16)).build([32], &cpu, 1)?;
    /// let memory = model.training_memory(8)?;
    /// assert_eq!((memory.parameters, memory.gradients), (12_608, 12_608));
    /// // The hidden layer's output, which both gradients need, and the output.
    /// assert_eq!(memory.activations, 4 * 8 * (64 + 16));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A model that is not built; those of the forward pass, as of a batch norm and a batch of 1; out of memory.
    pub fn training_memory(&self, batch_size: usize) -> Result<TrainingMemory> {
        let size = |tensor: &Tensor| tensor.elements() * tensor.dtype().size();
        let parameters = self.parameters();
        let buffers: usize = self.buffers().iter().map(|(_, buffer)| size(buffer.value())).sum();
        let learned = parameters.iter().filter(|(_, parameter)| parameter.trainable());
        Ok(TrainingMemory {
            batch_size,
            parameters: buffers + parameters.iter().map(|(_, parameter)| size(parameter.value())).sum::<usize>(),
            gradients: learned.map(|(_, parameter)| size(parameter.value())).sum(),
            optimizer_state: 0,
            activations: self.activations(batch_size)?,
            measured: true,
        })
    }

    fn activations(&self, batch_size: usize) -> Result<usize> {
        let first = self.parameters().first().map(|(_, first)| (first.value().device().clone(), first.value().dtype()));
        let (device, dtype) = first.unwrap_or_else(|| (Device::cpu(), DType::F32));
        let Some(sample) = self.input_shapes() else {
            return Err(Error::new(ErrorKind::Build, "training_memory", "the model must be built: call `build`"));
        };
        let carried = self.carried_states();
        let pass = |dtype: DType| -> Result<usize> {
            let batch = zeros(sample, batch_size, dtype, &device)?;
            let before = device.memory().live;
            let ctx = Ctx::train(0, 0);
            let kept = self.forward(batch.clone(), &ctx)?;
            let live = device.memory().live;
            drop((kept, batch));
            Ok(live.saturating_sub(before))
        };
        let kept = match pass(dtype) {
            // Tokens.
            Err(error) if error.kind() == ErrorKind::DType => pass(DType::I64),
            kept => kept,
        };
        self.set_carried_states(&carried)?;
        kept
    }
}

/// A batch of zeros for samples of these shapes.
fn zeros(sample: &Shapes, batch_size: usize, dtype: DType, device: &Device) -> Result<Value> {
    Ok(match sample {
        Shapes::One(shape) => Tensor::zeros(&[&[batch_size], &shape[..]].concat()[..], dtype, device)?.into(),
        Shapes::Many(shapes) => {
            Value::Many(shapes.iter().map(|shape| zeros(shape, batch_size, dtype, device)).collect::<Result<_>>()?)
        }
    })
}
