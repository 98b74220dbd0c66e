//! Averages of windows: depthwise convolutions with a constant weight, one axis after the other.

use super::pool::{of_axes, part};
use crate::Var;
use kiln_tensor::{Arithmetic, Convolution, PerAxis, PoolOptions, Result, Tensor, Window, taps};

/// Windows of more elements, where they are larger than the input as well, are no convolution.
const WIDE: usize = 1 << 10;

impl Var {
    /// The mean of each window of x (N, C, D…), over one to three spatial axes. Padding counts as zeros where
    /// [`PoolOptions::count_include_pad`] says so (PyTorch's default), never with `Padding::Same` (TensorFlow); what a window
    /// reaches past the end by `ceil` is not counted.
    ///
    /// # Errors
    /// What [`PoolOptions::output_shape`] says.
    pub fn avg_pool(&self, options: &PoolOptions) -> Result<Var> {
        self.in_wide(|x| x.averaged(options))
    }

    fn averaged(&self, options: &PoolOptions) -> Result<Var> {
        let window = options.resolve("avg_pool", self.shape())?;
        let counts = options.counts("avg_pool", self.shape())?;
        let sizes = Window::sizes(self.shape());
        let mut y = self.clone();
        // Windows of one element, one by one, are the input.
        let plain = |axis: usize| (window.kernel[axis], window.stride[axis], window.padding[axis]) == (1, 1, (0, 0));
        for axis in (0..3).filter(|&axis| !plain(axis)) {
            let even = counts[axis].iter().all(|&count| count == window.kernel[axis]);
            let each = if even { 1.0 / window.kernel[axis] as f64 } else { 1.0 };
            // A weight larger than the input would be zeros' for the most part: as a matrix it is as large as what it meets.
            y = if window.kernel[axis] > sizes[axis].max(WIDE) {
                let own = axis + self.shape().rank() - 3;
                let met = |output| window.met(axis, sizes[axis], output).map(|at| (at, each));
                let most = counts[axis].len().saturating_mul(sizes[axis]);
                y.blended(own, &taps("avg_pool", [sizes[axis], counts[axis].len()], most, met)?)?
            } else {
                y.sum_along(&window, axis, each)?
            };
            if !even {
                y = y.divided_along(&counts[axis], axis)?;
            }
        }
        Ok(y)
    }

    /// Sums over the windows of one axis, times a factor, as a depthwise convolution. One axis after the other takes fewer
    /// products than all at once.
    fn sum_along(&self, window: &Window, axis: usize, factor: f64) -> Result<Var> {
        let (spatial, channels) = (self.shape().rank() - 2, self.dims()[1]);
        let mut along = Window::default();
        along.kernel[axis] = window.kernel[axis];
        along.stride[axis] = window.stride[axis];
        along.dilation[axis] = window.dilation[axis];
        along.padding[axis] = window.padding[axis];
        let weight = Window::shape(&[channels, 1], along.kernel, spatial)?;
        let weight = Var::constant(Tensor::full(weight, factor, self.dtype(), self.device())?);
        self.conv_with(&weight, None, Convolution { window: along, groups: channels }, None)
    }

    /// Divided by a number for each index of an axis.
    fn divided_along(&self, counts: &[usize], axis: usize) -> Result<Var> {
        let mut sizes = [1; 3];
        sizes[axis] = counts.len();
        let shape = Window::shape(&[], sizes, self.shape().rank() - 2)?;
        let shares = Tensor::write_with(shape, self.device(), |shares: &mut [f64]| {
            shares.iter_mut().zip(counts).for_each(|(share, &count)| *share = 1.0 / count as f64);
            Ok(())
        })?;
        self.mul(&Var::constant(shares.to_dtype(self.dtype())?))
    }

    /// The mean of each part of x (N, C, D…), of as many parts along each axis as `to` says. Part i of n is from ⌊i·D/n⌋ to
    /// ⌈(i + 1)·D/n⌉, as in PyTorch.
    ///
    /// # Errors
    /// A rank that does not fit, an axis without elements, a size of 0.
    pub fn adaptive_avg_pool(&self, to: impl Into<PerAxis>) -> Result<Var> {
        let (to, from) = Window::resized("adaptive_avg_pool", self.shape(), to.into())?;
        let spatial = self.shape().rank() - 2;
        if to == [1; 3] {
            return self.global_avg_pool_keepdim();
        }
        if (0..3).all(|axis| from[axis].is_multiple_of(to[axis])) {
            let kernel = std::array::from_fn(|axis| from[axis] / to[axis]);
            return self.avg_pool(&PoolOptions::new(of_axes(kernel, spatial)));
        }
        self.in_wide(|x| {
            let mut x = x.clone();
            for axis in (0..spatial).filter(|axis| to[3 - spatial + axis] != from[3 - spatial + axis]) {
                let (size, n) = (from[3 - spatial + axis], to[3 - spatial + axis]);
                // Neighboring parts share an element at most.
                let row = |i| {
                    let part = part(size, n, i);
                    let share = 1.0 / part.len() as f64;
                    part.map(move |at| (at, share))
                };
                // Neighboring parts share an element at most.
                x = x.blended(2 + axis, &taps("adaptive_avg_pool", [size, n], size.saturating_add(n), row)?)?;
            }
            Ok(x)
        })
    }
}
