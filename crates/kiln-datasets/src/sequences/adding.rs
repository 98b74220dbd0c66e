//! The adding problem.

use super::check_indices;
use crate::{Batch, Dataset};
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{Device, Error, Result, Tensor};

/// The adding problem (Hochreiter and Schmidhuber 1997): (steps, 2) of a number in [0, 1) and a mark, which is 1 at one step
/// of each half and 0 elsewhere; the target is the sum of the two marked numbers, (1,).
///
/// Always saying 1 has a mean squared error of 1/6. Sample i is a function of the seed and i.
#[derive(Clone, Copy, Debug)]
pub struct AddingProblem {
    samples: usize,
    shape: [usize; 2],
    seed: u64,
}

impl AddingProblem {
    /// So many sequences of `steps`.
    ///
    /// # Errors
    /// Fewer than 2 steps.
    pub fn new(samples: usize, steps: usize, seed: u64) -> Result<Self> {
        if steps < 2 {
            return Err(Error::value("AddingProblem", format!("sequences of {steps} steps: two are to be marked")));
        }
        Ok(AddingProblem { samples, shape: [steps, 2], seed })
    }
}

impl Dataset for AddingProblem {
    fn len(&self) -> usize {
        self.samples
    }

    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn batch(&self, indices: &[usize], _: &[usize], device: &Device) -> Result<Batch> {
        check_indices("AddingProblem", indices, self.samples)?;
        let steps = self.shape[0];
        let mut sums = Vec::with_capacity(indices.len());
        let inputs = Tensor::write_with([indices.len(), steps, 2], device, |to: &mut [f32]| {
            for (to, &index) in to.chunks_exact_mut(2 * steps).zip(indices) {
                let mut stream = RandomStream::new(self.seed, Purpose::Data, index as u64);
                for step in to.chunks_exact_mut(2) {
                    step.copy_from_slice(&[stream.uniform(), 0.0]);
                }
                let half = steps / 2;
                let first = stream.below(half as u32) as usize;
                let second = half + stream.below((steps - half) as u32) as usize;
                (to[2 * first + 1], to[2 * second + 1]) = (1.0, 1.0);
                sums.push(to[2 * first] + to[2 * second]);
            }
            Ok(())
        })?;
        Ok(Batch::new(inputs, Tensor::from_slice(&sums, [sums.len(), 1], device)?))
    }
}
