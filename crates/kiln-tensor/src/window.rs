//! How a window moves over the spatial axes of a tensor: what convolutions and pooling have in common.

mod axes;
mod conv;
mod pool;

pub use axes::{Padding, PerAxis};
pub use conv::ConvOptions;
pub use pool::PoolOptions;

use crate::{Error, MAX_RANK, Result, Shape};
use axes::Times;

/// The most spatial axes that there can be.
pub const MAX_SPATIAL: usize = 3;

/// A window over up to three spatial axes, the last ones of a tensor (N, C, …).
///
/// Output position p meets input positions `p·stride + k·dilation − padding.0` for taps k of the kernel. Axes that a tensor
/// of fewer spatial axes lacks are the first ones here, with a kernel of 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Taps along each axis, at least 1.
    pub kernel: [usize; MAX_SPATIAL],
    /// Steps from one output to the next, at least 1.
    pub stride: [usize; MAX_SPATIAL],
    /// Distance of taps, at least 1.
    pub dilation: [usize; MAX_SPATIAL],
    /// What is added before and after each axis: zeros, or for a maximum nothing.
    pub padding: [(usize, usize); MAX_SPATIAL],
}

impl Default for Window {
    /// A single tap that steps by one.
    fn default() -> Self {
        Window { kernel: [1; 3], stride: [1; 3], dilation: [1; 3], padding: [(0, 0); 3] }
    }
}

impl Window {
    /// The number of taps.
    #[inline]
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Bytes that the number of a tap takes: 1 up to 256 taps, 2 up to 65,536.
    #[inline]
    pub fn tap_bytes(&self) -> usize {
        let most = self.taps().saturating_sub(1);
        (usize::BITS - most.leading_zeros()).div_ceil(8).max(1) as usize
    }

    /// What the kernel covers along an axis: (kernel − 1)·dilation + 1.
    #[inline]
    pub fn extent(&self, axis: usize) -> usize {
        self.kernel[axis].saturating_sub(1).saturating_mul(self.dilation[axis]).saturating_add(1)
    }

    /// The taps in row-major order, by their place along each axis.
    pub fn each_tap(&self) -> impl Iterator<Item = [usize; MAX_SPATIAL]> + use<> {
        let [_, rows, columns] = self.kernel;
        (0..self.taps()).map(move |tap| [tap / columns / rows, tap / columns % rows, tap % columns])
    }

    /// The spatial sizes of a shape (N, C, …), as three: absent axes have size 1, of more than three the last ones count.
    #[inline]
    pub fn sizes(shape: &Shape) -> [usize; MAX_SPATIAL] {
        let spatial = shape.dims().get(2..).unwrap_or_default();
        let mut sizes = [1; MAX_SPATIAL];
        sizes.iter_mut().rev().zip(spatial.iter().rev()).for_each(|(to, &size)| *to = size);
        sizes
    }

    /// The number of spatial axes of x (N, C, D…).
    ///
    /// # Errors
    /// Another rank than 3 to 5, or an axis other than the first without elements.
    pub fn spatial(operation: &'static str, x: &Shape) -> Result<usize> {
        if !(3..=2 + MAX_SPATIAL).contains(&x.rank()) {
            return Err(Error::shape(
                operation,
                format!("an input (N, C, …) with one to three spatial axes is expected, got {x}"),
            ));
        }
        if x[1..].contains(&0) {
            return Err(Error::shape(operation, format!("input {x} has an axis without elements")));
        }
        Ok(x.rank() - 2)
    }

    /// The sizes of x (N, C, D…) in another size, and what they are, as three each.
    ///
    /// # Errors
    /// A rank that does not fit, an axis without elements, a size of 0.
    pub fn resized(
        operation: &'static str,
        x: &Shape,
        to: PerAxis,
    ) -> Result<([usize; MAX_SPATIAL], [usize; MAX_SPATIAL])> {
        Ok((to.sizes(operation, Window::spatial(operation, x)?)?, Window::sizes(x)))
    }

    /// The sizes of the output over x (N, C, D…), as three: (size + padding − extent) / stride + 1, rounded down.
    ///
    /// # Errors
    /// A rank that does not fit, an axis without elements, a window larger than the padded input, a stride or dilation of 0, more
    /// elements than memory can hold.
    pub fn output_sizes(&self, operation: &'static str, x: &Shape) -> Result<[usize; MAX_SPATIAL]> {
        let axes = MAX_SPATIAL - Window::spatial(operation, x)?..MAX_SPATIAL;
        if self.kernel.iter().chain(&self.stride).chain(&self.dilation).any(|&number| number == 0) {
            return Err(Error::value(
                operation,
                format!(
                    "window {}, stride {} and dilation {} must be 1 or more",
                    Times(&self.kernel[axes.clone()]),
                    Times(&self.stride[axes.clone()]),
                    Times(&self.dilation[axes])
                ),
            ));
        }
        let sizes = Window::sizes(x);
        let padded: [usize; MAX_SPATIAL] = std::array::from_fn(|axis| {
            sizes[axis].saturating_add(self.padding[axis].0).saturating_add(self.padding[axis].1)
        });
        let extents: [usize; MAX_SPATIAL] = std::array::from_fn(|axis| self.extent(axis));
        if (0..MAX_SPATIAL).any(|axis| extents[axis] > padded[axis]) {
            let spread = if extents == self.kernel {
                String::new()
            } else {
                format!(" (spread over {})", Times(&extents[axes.clone()]))
            };
            let padding = if padded == sizes {
                String::new()
            } else {
                format!(", {} with its padding", Times(&padded[axes.clone()]))
            };
            return Err(Error::shape(
                operation,
                format!(
                    "window {}{spread} does not fit the {} input of {x}{padding}; use Padding::Same or a smaller window",
                    Times(&self.kernel[axes.clone()]),
                    Times(&sizes[axes]),
                ),
            ));
        }
        // Kernels lay planes out between their padding, and count on that.
        let [depth, height, width] = padded;
        if Shape::new(&[x[1], depth, height, width]).is_err() {
            return Err(Error::shape(
                operation,
                format!(
                    "input {x} is {} with its padding, more elements than memory can hold",
                    Times(&padded[MAX_SPATIAL + 2 - x.rank()..])
                ),
            ));
        }
        Ok(std::array::from_fn(|axis| (padded[axis] - extents[axis]) / self.stride[axis] + 1))
    }

    /// The shape (leading…, sizes) with as many of the three sizes as `spatial` says, the last ones.
    ///
    /// # Errors
    /// More elements than can be counted.
    pub fn shape(leading: &[usize], sizes: [usize; MAX_SPATIAL], spatial: usize) -> Result<Shape> {
        let mut dims = [0; MAX_RANK];
        let rank = leading.len() + spatial;
        dims[..leading.len()].copy_from_slice(leading);
        dims[leading.len()..rank].copy_from_slice(&sizes[MAX_SPATIAL - spatial..]);
        Shape::new(&dims[..rank])
    }
}

/// A convolution (a cross-correlation, as in every framework): its window, and the groups into which channels are dealt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Convolution {
    /// How the kernel moves.
    pub window: Window,
    /// Groups, which divide input and output channels; group g of the outputs sees group g of the inputs alone.
    pub groups: usize,
}
