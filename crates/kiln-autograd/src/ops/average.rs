//! Averages of windows: depthwise convolutions with a constant weight, or means of axes that a reshape makes.

use super::pool::{of_axes, parts, sizes_to};
use super::resample::weighted;
use crate::Var;
use kiln_tensor::{Convolution, PerAxis, PoolOptions, Result, Shape, Tensor, Window};

/// Whether windows lie side by side and meet no padding, so that a reshape makes axes of them.
fn side_by_side(window: &Window) -> bool {
    window.kernel == window.stride && window.dilation == [1; 3] && window.padding == [(0, 0); 3]
}

impl Var {
    /// The mean of each window of x (N, C, D…), over one to three spatial axes. Padding counts as zeros where
    /// [`PoolOptions::count_include_pad`] says so (PyTorch's default), never with `Padding::Same` (TensorFlow); what a window
    /// reaches past the end by `ceil` is not counted.
    ///
    /// # Errors
    /// What [`PoolOptions::output_shape`] says.
    pub fn avg_pool(&self, options: &PoolOptions) -> Result<Var> {
        let window = options.resolve("avg_pool", self.shape())?;
        let (spatial, channels) = (self.shape().rank() - 2, self.dims()[1]);
        if side_by_side(&window) && spatial < 3 {
            return self.mean_of_blocks(&window);
        }
        let counts = options.counts("avg_pool", self.shape())?;
        let even = (0..3).all(|axis| counts[axis].iter().all(|&count| count == window.kernel[axis]));
        let each = if even { 1.0 / window.taps() as f64 } else { 1.0 };
        let weight = Window::shape(&[channels, 1], window.kernel, spatial)?;
        let weight = Var::constant(Tensor::full(weight, each, self.dtype(), self.device())?);
        let sum = self.conv_with(&weight, None, Convolution { window, groups: channels }, None)?;
        if even {
            return Ok(sum);
        }
        let [depths, rows, columns] = counts;
        let columns = &columns;
        let plane = |above: usize| rows.iter().flat_map(move |row| columns.iter().map(move |c| above * row * c));
        let shares: Vec<f64> = depths.iter().flat_map(|&depth| plane(depth)).map(|count| 1.0 / count as f64).collect();
        let shares = Tensor::from_slice(&shares, Shape::new(&sum.dims()[2..])?, self.device())?;
        sum.mul(&Var::constant(shares.to_dtype(self.dtype())?))
    }

    /// Means of blocks that lie side by side, of one or two spatial axes; what is left over at the ends is not met.
    fn mean_of_blocks(&self, window: &Window) -> Result<Var> {
        let (spatial, mut x) = (self.shape().rank() - 2, self.clone());
        let mut split = self.dims()[..2].to_vec();
        for axis in 0..spatial {
            let size = window.kernel[3 - spatial + axis];
            let blocks = self.dims()[2 + axis] / size;
            if blocks * size < self.dims()[2 + axis] {
                x = x.slice(2 + axis, 0..blocks * size)?;
            }
            split.extend([blocks, size]);
        }
        let axes: Vec<usize> = (0..spatial).map(|axis| 3 + 2 * axis).collect();
        x.reshape(split)?.mean(&axes[..], false)
    }

    /// The mean of each part of x (N, C, D…), of as many parts along each axis as `to` says. Part i of n is from ⌊i·D/n⌋ to
    /// ⌈(i + 1)·D/n⌉, as in PyTorch. Where these are of unequal length an element that is not finite reaches its whole line.
    ///
    /// # Errors
    /// A rank that does not fit, an axis without elements, a size of 0.
    pub fn adaptive_avg_pool(&self, to: impl Into<PerAxis>) -> Result<Var> {
        let (to, from) = sizes_to("adaptive_avg_pool", self, to.into())?;
        let spatial = self.shape().rank() - 2;
        if to == [1; 3] {
            return self.global_avg_pool(true);
        }
        if (0..3).all(|axis| from[axis].is_multiple_of(to[axis])) {
            let kernel = std::array::from_fn(|axis| from[axis] / to[axis]);
            return self.avg_pool(&PoolOptions::new(of_axes(kernel, spatial)));
        }
        let mut x = self.clone();
        for axis in (0..spatial).filter(|axis| to[3 - spatial + axis] != from[3 - spatial + axis]) {
            let (size, n) = (from[3 - spatial + axis], to[3 - spatial + axis]);
            let rows: Vec<Vec<(usize, f64)>> = parts(size, n)
                .into_iter()
                .map(|part| part.clone().map(|at| (at, 1.0 / part.len() as f64)).collect())
                .collect();
            x = weighted(&x, 2 + axis, &rows)?;
        }
        Ok(x)
    }
}
