//! Distinct elements.

use super::Tensor;
use crate::{Order, Result};

/// The distinct elements of a tensor.
#[derive(Clone, Debug)]
pub struct Unique {
    /// The distinct elements, ascending, NaN last: (m,).
    pub values: Tensor,
    /// Which of them each element is: i64, of the tensor's shape.
    pub inverse: Tensor,
    /// How often each comes up: i64, (m,).
    pub counts: Tensor,
}

impl Tensor {
    /// The distinct elements of all, ascending, as one axis. Each NaN counts as distinct, as in PyTorch. Any dtype. On a GPU it downloads
    /// where neighbors of the sorted elements differ, as the size of the result depends on that.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let x = Tensor::from_slice(&[3i64, 1, 3, 2], [2, 2], &Device::cpu())?;
    /// assert_eq!(x.unique()?.to_vec::<i64>()?, [1, 2, 3]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// More than 2³² − 1 elements; out of memory.
    pub fn unique(&self) -> Result<Tensor> {
        let sorted = self.reshape([self.elements()])?.sort(0, Order::Ascending)?;
        sorted.index_select(0, &positions_of(&sorted.beginnings()?, self)?)
    }

    /// The distinct elements as [`Tensor::unique`] gives them, with which of them each element is and how often each comes up. On a
    /// GPU it downloads the positions of the sorted elements, too.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let x = Tensor::from_slice(&[3i64, 1, 3, 2], [2, 2], &Device::cpu())?;
    /// let unique = x.unique_with_counts()?;
    /// assert_eq!(unique.values.to_vec::<i64>()?, [1, 2, 3]);
    /// assert_eq!(unique.inverse.to_vec::<i64>()?, [2, 0, 2, 1]);
    /// assert_eq!(unique.counts.to_vec::<i64>()?, [1, 1, 2]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::unique`].
    pub fn unique_with_counts(&self) -> Result<Unique> {
        let count = self.elements();
        let (sorted, positions) = self.reshape([count])?.sort_with_positions(0, Order::Ascending)?;
        let first = sorted.beginnings()?;
        let values = sorted.index_select(0, &positions_of(&first, self)?)?;
        let ends = first.iter().skip(1).copied().chain(std::iter::once(count as i64));
        let counts: Vec<i64> = first.iter().zip(ends).map(|(start, end)| end - start).collect();
        let mut inverse = super::staged(count, 0i64)?;
        let mut places = positions.to_vec::<i64>()?.into_iter();
        for (which, &count) in counts.iter().enumerate() {
            for place in places.by_ref().take(count as usize) {
                inverse[place as usize] = which as i64;
            }
        }
        Ok(Unique {
            values,
            inverse: Tensor::from_vec(inverse, self.shape(), self.device())?,
            counts: positions_of(&counts, self)?,
        })
    }

    /// Where in a sorted axis elements begin that differ from those before.
    fn beginnings(&self) -> Result<Vec<i64>> {
        let count = self.elements();
        if count == 0 {
            return Ok(Vec::new());
        }
        let differs = self.slice(0, 1..count)?.ne(&self.slice(0, 0..count - 1)?)?.to_vec::<bool>()?;
        let later = differs.iter().zip(1..).filter(|(differs, _)| **differs).map(|(_, at)| at);
        Ok(std::iter::once(0).chain(later).collect())
    }
}

/// Numbers as a tensor on x's device.
fn positions_of(numbers: &[i64], x: &Tensor) -> Result<Tensor> {
    Tensor::from_slice(numbers, [numbers.len()], x.device())
}
