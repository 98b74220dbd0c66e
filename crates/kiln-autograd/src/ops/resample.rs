//! Images in another size: by repetition, or by the weights of their neighbors.

use super::pool::{of_axes, sizes_to};
use crate::Var;
use kiln_tensor::{Arithmetic, ConvOptions, Error, IntoAxis, PerAxis, Result, Tensor, Window, axis_index};

/// Each index of `axis` becomes one of `to` weighted sums of indices: `row(i, weights)` adds the weights of index i of the result
/// to zeros. The rows make a small matrix, and the sums are a product with it, which can be differentiated as often as one likes.
pub(super) fn weighted(x: &Var, axis: usize, to: usize, row: impl Fn(usize, &mut [f64])) -> Result<Var> {
    let (rank, size) = (x.shape().rank(), x.dims()[axis]);
    let matrix = Tensor::write_with([to, size], x.device(), |matrix: &mut [f64]| {
        matrix.fill(0.0);
        matrix.chunks_exact_mut(size).enumerate().for_each(|(i, line)| row(i, line));
        Ok(())
    })?;
    let matrix = Var::constant(matrix.to_dtype(x.dtype())?);
    if axis + 1 == rank {
        return x.linear(&matrix, None, None);
    }
    if axis + 2 == rank {
        return matrix.matmul(x);
    }
    x.transpose(axis, rank - 1)?.linear(&matrix, None, None)?.transpose(axis, rank - 1)
}

/// The neighbors of place `i` of `to` among `from`, and their weights, by linear interpolation.
fn neighbors(from: usize, to: usize, align_corners: bool, i: usize) -> [(usize, f64); 2] {
    let place = if !align_corners {
        // Centers of pixels lie on centers; before the first and after the last there is but one neighbor.
        ((i as f64 + 0.5) * (from as f64 / to as f64) - 0.5).max(0.0)
    } else if to > 1 {
        i as f64 * ((from - 1) as f64 / (to - 1) as f64)
    } else {
        0.0
    };
    let first = (place as usize).min(from - 1);
    let second = (first + 1).min(from - 1);
    let weight = place - first as f64;
    [(first, 1.0 - weight), (second, weight)]
}

impl Var {
    /// x (N, C, D…) in another size, each element that of the nearest below: ⌊i·D/to⌋, as PyTorch's `nearest`. Where the size
    /// is a multiple, elements are repeated (Keras's `UpSampling2D`).
    ///
    /// # Errors
    /// A rank that does not fit, an axis without elements, a size of 0.
    pub fn upsample_nearest(&self, to: impl Into<PerAxis>) -> Result<Var> {
        let (to, from) = sizes_to("upsample_nearest", self, to.into())?;
        let spatial = self.shape().rank() - 2;
        if (0..3).any(|axis| !to[axis].is_multiple_of(from[axis])) {
            let mut x = self.clone();
            for axis in 0..spatial {
                let (from, to) = (from[3 - spatial + axis], to[3 - spatial + axis]);
                let index = Tensor::write_with([to], self.device(), |index: &mut [i64]| {
                    let below = |i: usize| (i as u128 * from as u128 / to as u128) as i64;
                    index.iter_mut().enumerate().for_each(|(i, index)| *index = below(i));
                    Ok(())
                })?;
                x = x.index_select(2 + axis, &index)?;
            }
            return Ok(x);
        }
        // Each element is spread over a block by a transposed depthwise convolution, whose gradient sums the blocks.
        let (channels, block) = (self.dims()[1], std::array::from_fn(|axis| to[axis] / from[axis]));
        let ones = Tensor::ones(Window::shape(&[channels, 1], block, spatial)?, self.dtype(), self.device())?;
        let options = ConvOptions::new().stride(of_axes(block, spatial)).groups(channels);
        let repeated = |x: &Var| x.conv_transpose(&Var::constant(ones.clone()), None, &options);
        repeated(self)?.moved_from(self, |squash| squash.if_untouched(|softmax| softmax > 1), repeated)
    }

    /// x (N, C, D…) in another size, by linear interpolation along each axis: bilinear for images. With `align_corners` first
    /// and last elements lie on first and last; otherwise centers of pixels lie on centers (PyTorch's default and Keras's
    /// way). An element that is not finite reaches its whole line.
    ///
    /// # Errors
    /// A rank that does not fit, an axis without elements, a size of 0.
    pub fn upsample_bilinear(&self, to: impl Into<PerAxis>, align_corners: bool) -> Result<Var> {
        let (to, from) = sizes_to("upsample_bilinear", self, to.into())?;
        let spatial = self.shape().rank() - 2;
        self.in_wide(|x| {
            let mut x = x.clone();
            for axis in (0..spatial).filter(|axis| to[3 - spatial + axis] != from[3 - spatial + axis]) {
                let (from, to) = (from[3 - spatial + axis], to[3 - spatial + axis]);
                x = weighted(&x, 2 + axis, to, |i, line| {
                    neighbors(from, to, align_corners, i).into_iter().for_each(|(at, weight)| line[at] += weight);
                })?;
            }
            Ok(x)
        })
    }

    /// Along `axis`, `to` weighted sums of the elements that are there: `row(i, weights)` writes the weights of sum i over zeros,
    /// one for each element. They are constants. With weights of a filter it is a resampling. An element that is not finite
    /// reaches its whole line.
    ///
    /// ```
    /// # use kiln_autograd::Var;
    /// # use kiln_tensor::{Device, Tensor};
    /// let x = Var::constant(Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [4], &Device::cpu())?);
    /// let means = x.weighted_sums(0, 2, |i, weights| weights[2 * i..2 * i + 2].fill(0.5))?;
    /// assert_eq!(means.tensor().to_vec::<f32>()?, [1.5, 3.5]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// An axis out of range or without elements, a dtype that is not a float type.
    pub fn weighted_sums(&self, axis: impl IntoAxis, to: usize, row: impl Fn(usize, &mut [f64])) -> Result<Var> {
        let axis = axis_index("weighted_sums", axis, self.shape())?;
        if self.dims()[axis] == 0 {
            return Err(Error::shape("weighted_sums", format!("axis {axis} of {} has no elements", self.shape())));
        }
        if self.shape().rank() == 1 {
            return self.reshape([1, self.dims()[0]])?.weighted_sums(1, to, row)?.reshape([to]);
        }
        self.in_wide(|x| weighted(x, axis, to, &row))
    }
}
