//! Counting: by value and by bin.

use super::{Tensor, check_device};
use crate::{DType, Error, ErrorKind, Result, unsupported_dtype};

impl Tensor {
    /// How often each of 0, 1, 2, … comes up among these (integers, one axis), as i64; with `weights`, the sum of the weights of each, in
    /// their dtype. The result has an element for each number up to the largest, and at least `minimum` of them. On a GPU it downloads
    /// the numbers, as the size of the result depends on them.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let x = Tensor::from_slice(&[1i64, 3, 1], [3], &Device::cpu())?;
    /// assert_eq!(x.bincount(None, 0)?.to_vec::<i64>()?, [0, 2, 0, 1]);
    /// let weights = Tensor::from_slice(&[0.5f32, 2.0, 0.25], [3], &Device::cpu())?;
    /// assert_eq!(x.bincount(Some(&weights), 5)?.to_vec::<f32>()?, [0.0, 0.75, 0.0, 2.0, 0.0]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// A dtype that is not of integers, several axes, a negative number, weights of another shape or device.
    pub fn bincount(&self, weights: Option<&Tensor>, minimum: usize) -> Result<Tensor> {
        if !self.dtype.is_integer() {
            return Err(unsupported_dtype("bincount", self.dtype, "integers"));
        }
        if self.rank() != 1 {
            return Err(Error::shape("bincount", format!("one axis is expected, got {}", self.shape())));
        }
        let numbers = self.to_dtype(DType::I64)?.to_vec::<i64>()?;
        if let Some(position) = numbers.iter().position(|&number| number < 0) {
            return Err(Error::new(
                ErrorKind::Index,
                "bincount",
                format!("element {position} is {}: numbers from 0 on are counted", numbers[position]),
            ));
        }
        let size = numbers.iter().max().map_or(0, |&largest| (largest as usize).saturating_add(1)).max(minimum);
        let Some(weights) = weights else {
            let mut counts = super::staged(size, 0i64)?;
            numbers.iter().for_each(|&number| counts[number as usize] += 1);
            return Tensor::from_vec(counts, [size], self.device());
        };
        check_device("bincount", self, weights)?;
        if weights.shape() != self.shape() {
            return Err(Error::shape(
                "bincount",
                format!("weights {} of numbers {}: a weight for each is expected", weights.shape(), self.shape()),
            ));
        }
        let mut sums = Tensor::zeros([size], weights.dtype, self.device())?;
        if !numbers.is_empty() {
            sums.index_add_assign(0, self, weights)?;
        }
        Ok(sums)
    }

    /// How many of all elements lie in each of `bins` bins of equal width from `low` to `high`, as i64, and the edges of the bins, one
    /// more than there are, in this tensor's dtype. A bin has its lower edge and not its upper one, but the last has both; what lies
    /// outside and NaN is not counted. f32 and f64.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let x = Tensor::from_slice(&[0.5f32, 1.0, 1.5, 4.0, 9.0], [5], &Device::cpu())?;
    /// let (counts, edges) = x.histogram(4, 0.0, 4.0)?;
    /// assert_eq!(counts.to_vec::<i64>()?, [1, 2, 0, 1]);
    /// assert_eq!(edges.to_vec::<f32>()?, [0.0, 1.0, 2.0, 3.0, 4.0]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// No bins, ends that are not finite or not ascending, another dtype than f32 and f64.
    pub fn histogram(&self, bins: usize, low: f64, high: f64) -> Result<(Tensor, Tensor)> {
        if bins == 0 {
            return Err(Error::value("histogram", "there are no bins: give 1 or more"));
        }
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(Error::value(
                "histogram",
                format!("finite ends, the lower one first, are expected, got {low} and {high}"),
            ));
        }
        if !matches!(self.dtype, DType::F32 | DType::F64) {
            return Err(unsupported_dtype("histogram", self.dtype, "f32 or f64"));
        }
        let mut edges = super::staged(bins.saturating_add(1), high)?;
        for (i, edge) in edges.iter_mut().enumerate().take(bins) {
            *edge = low + (high - low) * (i as f64 / bins as f64);
        }
        let edges = Tensor::from_vec(edges, [bins + 1], self.device())?.to_dtype(self.dtype)?;
        Ok((self.histogram_by(&edges)?, edges))
    }

    /// How many of all elements lie between neighboring `edges` (ascending, one axis), as i64. A bin has its lower edge and not its
    /// upper one, but the last has both; what lies outside and NaN is not counted.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let x = Tensor::from_slice(&[0.5f32, 1.0, 15.0], [3], &Device::cpu())?;
    /// let edges = Tensor::from_slice(&[0.0f32, 1.0, 100.0], [3], &Device::cpu())?;
    /// assert_eq!(x.histogram_by(&edges)?.to_vec::<i64>()?, [1, 2]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fewer than two edges or several axes of them, dtypes or devices that differ.
    pub fn histogram_by(&self, edges: &Tensor) -> Result<Tensor> {
        if edges.rank() != 1 || edges.elements() < 2 {
            return Err(Error::shape(
                "histogram",
                format!("two edges or more, in one axis, are expected, got {}", edges.shape()),
            ));
        }
        let (x, bins) = (self.reshape([self.elements()])?, edges.elements() - 1);
        let before = x.bucketize(edges, true)?;
        let one = Tensor::ones((), DType::I64, self.device())?;
        let mut counts = Tensor::zeros([bins + 2], DType::I64, self.device())?;
        if x.elements() > 0 {
            counts.index_add_assign(0, &before, &one.broadcast_to(x.shape())?)?;
        }
        // The upper end belongs to the last bin.
        let at_end = x.eq(&edges.slice(0, bins..bins + 1)?)?.sum_keepdim(0)?;
        let counts = counts.slice(0, 1..bins + 1)?;
        let last = counts.slice(0, bins - 1..bins)?.add(&at_end)?;
        Tensor::concat(&[&counts.slice(0, 0..bins - 1)?, &last], 0)
    }
}
