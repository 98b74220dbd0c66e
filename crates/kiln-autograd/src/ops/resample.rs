//! Images in another size: by repetition, or by the weights of their neighbours.

use super::pool::{of_axes, sizes_to};
use crate::Var;
use kiln_tensor::{ConvOptions, PerAxis, Result, Tensor, Window};

/// Each index of `axis` becomes a weighted sum of indices: a row of (index, weight) pairs for each index of the result. The
/// rows make a small matrix, and the sums are a product with it, which can be differentiated as often as one likes.
pub(super) fn weighted(x: &Var, axis: usize, rows: &[Vec<(usize, f64)>]) -> Result<Var> {
    let (rank, size) = (x.shape().rank(), x.dims()[axis]);
    let matrix = Tensor::write_with([rows.len(), size], x.device(), |matrix: &mut [f64]| {
        matrix.fill(0.0);
        for (line, row) in matrix.chunks_exact_mut(size).zip(rows) {
            row.iter().for_each(|&(at, weight)| line[at] += weight);
        }
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

/// The neighbours of each of `to` places among `from`, and their weights, by linear interpolation.
fn neighbours(from: usize, to: usize, align_corners: bool) -> Vec<Vec<(usize, f64)>> {
    let place = |i: usize| {
        if align_corners {
            return if to > 1 { i as f64 * ((from - 1) as f64 / (to - 1) as f64) } else { 0.0 };
        }
        // Centres of pixels lie on centres; before the first and after the last there is but one neighbour.
        ((i as f64 + 0.5) * (from as f64 / to as f64) - 0.5).max(0.0)
    };
    (0..to)
        .map(|i| {
            let first = (place(i) as usize).min(from - 1);
            let second = (first + 1).min(from - 1);
            let weight = place(i) - first as f64;
            vec![(first, 1.0 - weight), (second, weight)]
        })
        .collect()
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
                let index: Vec<i64> = (0..to).map(|i| (i * from / to) as i64).collect();
                x = x.index_select(2 + axis, &Tensor::from_slice(&index, [to], self.device())?)?;
            }
            return Ok(x);
        }
        // Each element is spread over a block by a transposed depthwise convolution, whose gradient sums the blocks.
        let (channels, block) = (self.dims()[1], std::array::from_fn(|axis| to[axis] / from[axis]));
        let ones = Tensor::ones(Window::shape(&[channels, 1], block, spatial)?, self.dtype(), self.device())?;
        let options = ConvOptions::new().stride(of_axes(block, spatial)).groups(channels);
        self.conv_transpose(&Var::constant(ones), None, &options)
    }

    /// x (N, C, D…) in another size, by linear interpolation along each axis: bilinear for images. With `align_corners` first
    /// and last elements lie on first and last; otherwise centres of pixels lie on centres (PyTorch's default and Keras's
    /// way). An element that is not finite reaches its whole line.
    ///
    /// # Errors
    /// A rank that does not fit, an axis without elements, a size of 0.
    pub fn upsample_bilinear(&self, to: impl Into<PerAxis>, align_corners: bool) -> Result<Var> {
        let (to, from) = sizes_to("upsample_bilinear", self, to.into())?;
        let spatial = self.shape().rank() - 2;
        let mut x = self.clone();
        for axis in (0..spatial).filter(|axis| to[3 - spatial + axis] != from[3 - spatial + axis]) {
            let (from, to) = (from[3 - spatial + axis], to[3 - spatial + axis]);
            x = weighted(&x, 2 + axis, &neighbours(from, to, align_corners))?;
        }
        Ok(x)
    }
}
