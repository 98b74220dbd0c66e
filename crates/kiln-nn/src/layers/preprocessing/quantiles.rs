//! Quantiles in one pass, in bounded memory.

use kiln_tensor::{DType, Error, Result, Tensor};

/// Values of a level that become half as many of the next.
const HALVED: usize = 1 << 16;

/// What [`Discretization`](super::Discretization) keeps of data: all values up to 65,536 of them; of more, every other one of a sorted
/// level stands for two, and so on. Of n values a quantile is then at most n · log₂(n / 65,536) / 65,536 places off.
#[derive(Clone, Default, Debug)]
pub struct Quantiles {
    /// A value at level l counts 2ˡ.
    levels: Vec<Vec<f64>>,
    /// At each level, whether the next halving keeps the second of each pair.
    upper: Vec<bool>,
}

impl Quantiles {
    /// Takes in all elements of a batch.
    pub(super) fn add(&mut self, batch: &Tensor) -> Result<()> {
        let values = batch.to_dtype(DType::F64)?.to_f64_vec()?;
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            let message = format!("finite numbers are expected, got {value}: leave out or replace what is missing");
            return Err(Error::value("adapt", message));
        }
        values.chunks(HALVED).for_each(|part| self.put(0, part));
        Ok(())
    }

    /// Adds values to a level, which is halved when it is full.
    fn put(&mut self, level: usize, values: &[f64]) {
        if level == self.levels.len() {
            self.levels.push(Vec::new());
            self.upper.push(false);
        }
        self.levels[level].extend_from_slice(values);
        if self.levels[level].len() < HALVED {
            return;
        }
        let mut rest = self.levels[level].split_off(HALVED);
        std::mem::swap(&mut rest, &mut self.levels[level]);
        rest.sort_unstable_by(f64::total_cmp);
        let kept: Vec<f64> = rest.chunks_exact(2).map(|pair| pair[usize::from(self.upper[level])]).collect();
        self.upper[level] = !self.upper[level];
        self.put(level + 1, &kept);
    }

    /// How many values were seen.
    pub(super) fn count(&self) -> u64 {
        self.levels.iter().enumerate().map(|(level, values)| (values.len() as u64) << level).sum()
    }

    /// The q-quantiles: of n sorted values the one at q · (n − 1), or linearly between the two beside it, as NumPy's.
    pub(super) fn at(&self, quantiles: impl Iterator<Item = f64>) -> Result<Vec<f64>> {
        let weighted = |(level, values): (usize, &Vec<f64>)| {
            values.iter().map(|&value| (value, 1u64 << level)).collect::<Vec<_>>()
        };
        let mut all: Vec<(f64, u64)> = self.levels.iter().enumerate().flat_map(weighted).collect();
        all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut before = 0;
        let ends: Vec<u64> = all
            .iter()
            .map(|(_, weight)| {
                before += weight;
                before
            })
            .collect();
        let Some(&total) = ends.last() else {
            return Err(Error::value("adapt", "there is no data to take quantiles of"));
        };
        let value = |place: u64| all[ends.partition_point(|&end| end <= place)].0;
        let quantile = |q: f64| {
            let place = q * (total - 1) as f64;
            let (low, high) = (value(place.floor() as u64), value(place.ceil() as u64));
            low + (high - low) * place.fract()
        };
        Ok(quantiles.map(quantile).collect())
    }
}
