//! The copy task.

use super::check_indices;
use crate::{Batch, Dataset};
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{Device, Error, Result, Tensor};

/// The copy task (Hochreiter and Schmidhuber 1997; Arjovsky et al. 2016): some symbols, a time of blanks, a mark, and as many
/// blanks again; the target is blank up to the mark, then the symbols.
///
/// Tokens are i64: 0 is the blank, 1 to `symbols` are the symbols, `symbols` + 1 is the mark. Sample i is a function of the
/// seed and i.
#[derive(Clone, Copy, Debug)]
pub struct CopyTask {
    samples: usize,
    symbols: usize,
    length: usize,
    shape: [usize; 1],
    seed: u64,
}

impl CopyTask {
    /// So many sequences of `length` out of `symbols`, remembered for `delay` steps: `delay` + 2·`length` steps in all.
    ///
    /// # Errors
    /// No symbols, a length or delay of 0.
    pub fn new(samples: usize, symbols: usize, length: usize, delay: usize, seed: u64) -> Result<Self> {
        if symbols == 0 || length == 0 || delay == 0 {
            return Err(Error::value(
                "CopyTask",
                format!("{length} of {symbols} symbols, remembered for {delay} steps: all must be at least 1"),
            ));
        }
        Ok(CopyTask { samples, symbols, length, shape: [delay + 2 * length], seed })
    }

    /// Tokens that there are: the blank, the symbols, the mark.
    pub fn vocabulary(&self) -> usize {
        self.symbols + 2
    }
}

impl Dataset for CopyTask {
    fn len(&self) -> usize {
        self.samples
    }

    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn batch(&self, indices: &[usize], _: &[usize], device: &Device) -> Result<Batch> {
        check_indices("CopyTask", indices, self.samples)?;
        let (steps, length) = (self.shape[0], self.length);
        let mut targets = vec![0i64; indices.len() * steps];
        let inputs = Tensor::write_with([indices.len(), steps], device, |to: &mut [i64]| {
            to.fill(0);
            for ((to, target), &index) in to.chunks_exact_mut(steps).zip(targets.chunks_exact_mut(steps)).zip(indices) {
                let mut stream = RandomStream::new(self.seed, Purpose::Data, index as u64);
                for symbol in &mut to[..length] {
                    *symbol = 1 + i64::from(stream.below(self.symbols as u32));
                }
                to[steps - length - 1] = self.symbols as i64 + 1;
                target[steps - length..].copy_from_slice(&to[..length]);
            }
            Ok(())
        })?;
        Ok(Batch::new(inputs, Tensor::from_slice(&targets, [indices.len(), steps], device)?))
    }
}
