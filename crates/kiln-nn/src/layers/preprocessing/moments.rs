//! Mean and variance in one pass.

use kiln_tensor::{DType, Error, Result, Tensor};

/// Numbers that are looked at at once.
const CHUNK: usize = 1 << 20;

/// What [`Normalization`](super::Normalization) keeps of data: for each feature the mean and the sum of squared distances from
/// it, in f64, which batches are merged into (Chan et al. 1979).
#[derive(Clone, Default, Debug)]
pub struct Moments {
    /// Sizes of the axes that have moments of their own.
    pub(super) shape: Vec<usize>,
    /// Numbers of each feature.
    pub(super) count: f64,
    pub(super) mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    /// Takes in a batch, with moments for each index of the axes `kept`.
    pub(super) fn add(&mut self, batch: &Tensor, kept: &[usize]) -> Result<()> {
        let shape: Vec<usize> = kept.iter().map(|&axis| batch.dims()[axis]).collect();
        if self.count > 0.0 && shape != self.shape {
            let message = format!("features of sizes {:?} came before, now they are {shape:?}", self.shape);
            return Err(Error::shape("adapt", message));
        }
        if batch.elements() == 0 {
            return Ok(());
        }
        let samples = batch.dims()[0];
        let rows = (CHUNK / (batch.elements() / samples)).max(1);
        let order: Vec<usize> =
            kept.iter().copied().chain((0..batch.rank()).filter(|axis| !kept.contains(axis))).collect();
        let features: usize = shape.iter().product();
        for first in (0..samples).step_by(rows) {
            let part = batch.slice(0, first..(first + rows).min(samples))?.to_dtype(DType::F64)?;
            let part = part.permute(&order)?.reshape([features, part.elements() / features])?;
            let mean = part.mean_keepdim(1)?;
            let squares = part.sub(&mean)?.square()?.sum(1)?;
            self.merge(part.dims()[1] as f64, mean.to_f64_vec()?, squares.to_f64_vec()?);
        }
        self.shape = shape;
        Ok(())
    }

    fn merge(&mut self, count: f64, mean: Vec<f64>, squares: Vec<f64>) {
        if self.count == 0.0 {
            (self.count, self.mean, self.squares) = (count, mean, squares);
            return;
        }
        let total = self.count + count;
        for (feature, (mean, squares)) in mean.into_iter().zip(squares).enumerate() {
            let distance = mean - self.mean[feature];
            self.mean[feature] += distance * count / total;
            self.squares[feature] += squares + distance * distance * self.count * count / total;
        }
        self.count = total;
    }

    /// The mean of the squared distances.
    pub(super) fn variance(&self) -> Vec<f64> {
        self.squares.iter().map(|squares| squares / self.count).collect()
    }
}
