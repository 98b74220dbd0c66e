//! Maxima of windows, and what is made of averages.

use crate::{Backward, Function, Var};
use kiln_tensor::{Arithmetic, Error, Maxima, PerAxis, PoolOptions, Result, Shape, Tensor, Window};
use std::iter::repeat;
use std::ops::Range;

/// y = the largest x in each window; dx is dy added up where it is.
struct MaxPool {
    maxima: Maxima,
    shape: Shape,
}

impl Function for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        if !pass.records() {
            return pass.accumulate(0, Var::constant(self.maxima.gradient(dy.tensor())?));
        }
        let index = self.maxima.flat_positions()?;
        let zeros = Var::constant(Tensor::zeros([self.shape.elements()], dy.dtype(), dy.device())?);
        let dx = zeros.index_add(0, &index, &dy.reshape([index.elements()])?)?;
        pass.accumulate(0, dx.reshape(self.shape)?)
    }
}

/// The last `spatial` of three.
pub(super) fn of_axes(all: [usize; 3], spatial: usize) -> PerAxis {
    match spatial {
        1 => [all[2]].into(),
        2 => [all[1], all[2]].into(),
        _ => all.into(),
    }
}

impl Var {
    /// The largest element in each window of x (N, C, D…), over one to three spatial axes. Of equals the first gets the
    /// gradient; padding is never chosen.
    ///
    /// # Errors
    /// What [`PoolOptions::output_shape`] says.
    pub fn max_pool(&self, options: &PoolOptions) -> Result<Var> {
        if !self.requires_grad() {
            return Ok(Var::constant(self.tensor().max_pool_values(options)?));
        }
        let (y, maxima) = self.tensor().max_pool_with_taps(options)?;
        Ok(Var::record(&[self], y, |_| MaxPool { maxima, shape: *self.shape() }))
    }

    /// The largest element of each part of x (N, C, D…), of as many parts along each axis as `to` says. Part i of n is from
    /// ⌊i·D/n⌋ to ⌈(i + 1)·D/n⌉, as in PyTorch.
    ///
    /// # Errors
    /// A rank that does not fit, an axis without elements, a size of 0.
    pub fn adaptive_max_pool(&self, to: impl Into<PerAxis>) -> Result<Var> {
        let (to, from) = Window::resized("adaptive_max_pool", self.shape(), to.into())?;
        let spatial = self.shape().rank() - 2;
        if (0..3).all(|axis| from[axis].is_multiple_of(to[axis])) {
            let kernel = std::array::from_fn(|axis| from[axis] / to[axis]);
            return self.max_pool(&PoolOptions::new(of_axes(kernel, spatial)));
        }
        // Parts of unequal length that overlap: laid out side by side, each filled up with its last element.
        let mut x = self.clone();
        let mut kernel = [1; 3];
        for axis in 0..spatial {
            let of = 3 - spatial + axis;
            let (size, n) = (from[of], to[of]);
            let longest = (0..n).map(|i| part(size, n, i).len()).max().unwrap_or(1);
            kernel[of] = longest;
            let index = Tensor::write_with([n, longest], self.device(), |index: &mut [i64]| {
                for (i, line) in index.chunks_exact_mut(longest).enumerate() {
                    let part = part(size, n, i);
                    line.iter_mut().zip(part.clone().chain(repeat(part.end - 1))).for_each(|(to, at)| *to = at as i64);
                }
                Ok(())
            })?;
            x = x.index_select(2 + axis, &index.flatten(0)?)?;
        }
        x.max_pool(&PoolOptions::new(of_axes(kernel, spatial)))
    }

    /// The largest element of each plane of x (N, C, D…): (N, C). Equal ones share the gradient.
    ///
    /// # Errors
    /// A rank that does not fit, an axis without elements.
    pub fn global_max_pool(&self) -> Result<Var> {
        self.max(&spatial_axes("global_max_pool", self)?[..])
    }

    /// [`Var::global_max_pool`] with the spatial axes kept at size 1.
    ///
    /// # Errors
    /// As [`Var::global_max_pool`].
    pub fn global_max_pool_keepdim(&self) -> Result<Var> {
        self.max_keepdim(&spatial_axes("global_max_pool", self)?[..])
    }

    /// The mean of each plane of x (N, C, D…): (N, C).
    ///
    /// # Errors
    /// A rank that does not fit, an axis without elements.
    pub fn global_avg_pool(&self) -> Result<Var> {
        self.mean(&spatial_axes("global_avg_pool", self)?[..])
    }

    /// [`Var::global_avg_pool`] with the spatial axes kept at size 1.
    ///
    /// # Errors
    /// As [`Var::global_avg_pool`].
    pub fn global_avg_pool_keepdim(&self) -> Result<Var> {
        self.mean_keepdim(&spatial_axes("global_avg_pool", self)?[..])
    }

    /// (Σ xᵖ)^(1/p) over each window of x (N, C, D…), as PyTorch's `lp_pool`: a window cut off by `ceil` counts as though
    /// its mean filled it. The gradient of a sum of 0 is 0.
    ///
    /// # Errors
    /// What [`PoolOptions::output_shape`] says, a p that is not above 0.
    pub fn lp_pool(&self, p: f64, options: &PoolOptions) -> Result<Var> {
        if !(p > 0.0 && p.is_finite()) {
            return Err(Error::value("lp_pool", format!("p must be a number above 0, got {p}")));
        }
        self.in_wide(|x| x.root_of_powers(p, options))
    }

    fn root_of_powers(&self, p: f64, options: &PoolOptions) -> Result<Var> {
        let taps = options.resolve("lp_pool", self.shape())?.taps();
        let powers = if p == 2.0 { self.square()? } else { self.powf(p)? };
        let sum = powers.avg_pool(options)?.mul_scalar(taps as f64)?;
        if p == 1.0 {
            return Ok(sum);
        }
        // The root is steepest at 0: there 1 takes its place.
        let zero = Tensor::zeros((), sum.dtype(), sum.device())?;
        let one = Var::constant(Tensor::ones((), sum.dtype(), sum.device())?);
        let is_zero = sum.tensor().eq(&zero)?;
        let base = Var::select(&is_zero, &one, &sum)?;
        let root = if p == 2.0 { base.sqrt()? } else { base.powf(1.0 / p)? };
        Var::select(&is_zero, &Var::constant(zero), &root)
    }
}

/// Part `i` of `n` of adaptive pooling: from ⌊i·size/n⌋ to ⌈(i + 1)·size/n⌉.
pub(super) fn part(size: usize, n: usize, i: usize) -> Range<usize> {
    let [size, n, i] = [size, n, i].map(|number| number as u128);
    (i * size / n) as usize..((i + 1) * size).div_ceil(n) as usize
}

fn spatial_axes(operation: &'static str, x: &Var) -> Result<Vec<usize>> {
    let spatial = Window::spatial(operation, x.shape())?;
    Ok((2..2 + spatial).collect())
}
