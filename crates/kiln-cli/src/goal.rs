//! What is trained: an objective of one model.

use kiln::nn::TrainingMemory;
use kiln::prelude::*;
use kiln::train::Supervised;

/// The trainer of any settings.
pub(crate) type Training = Trainer<Box<dyn Goal>, Box<dyn Optimizer>>;

/// An objective of one model, which is what a run's folder keeps.
pub(crate) trait Goal: Objective {
    fn model(&self) -> &Sequential;
    fn model_mut(&mut self) -> &mut Sequential;

    /// What a training step holds, but for the optimizer's part.
    fn training_memory(&self, batch_size: usize) -> Result<TrainingMemory> {
        self.model().training_memory(batch_size)
    }

    /// The shape of the samples that it is trained on.
    fn takes(&self) -> Option<&Shape> {
        self.model().input_shape()
    }
}

impl<L: Loss> Goal for Supervised<Sequential, L> {
    fn model(&self) -> &Sequential {
        &self.model
    }
    fn model_mut(&mut self) -> &mut Sequential {
        &mut self.model
    }
}
