//! How pooling is asked for, and what must hold for it.

use super::axes::Times;
use super::{MAX_SPATIAL, Padding, PerAxis, Window};
use crate::tensor::staged;
use crate::{Error, Result, Shape};
use std::ops::Range;

/// How a pooling window moves. By default windows lie side by side, as in Keras and PyTorch.
///
/// ```
/// use kiln_tensor::{Padding, PoolOptions, Shape};
/// let x = Shape::new(&[64, 96, 54, 54])?;
/// assert_eq!(PoolOptions::new(2).output_shape(&x)?.dims(), [64, 96, 27, 27]);
/// assert_eq!(PoolOptions::new(3).stride(2).output_shape(&x)?.dims(), [64, 96, 26, 26]);
/// assert_eq!(PoolOptions::new(3).stride(2).ceil(true).output_shape(&x)?.dims(), [64, 96, 27, 27]);
/// assert_eq!(PoolOptions::new(3).stride(2).padding(Padding::Same).output_shape(&x)?.dims(), [64, 96, 27, 27]);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolOptions {
    /// The window's size.
    pub kernel: PerAxis,
    /// Steps from one window to the next; the window's size where absent.
    pub stride: Option<PerAxis>,
    /// Distance of the window's elements.
    pub dilation: PerAxis,
    /// What is around the input: nothing that could be a maximum, zeros for an average.
    pub padding: Padding,
    /// Whether a last window may reach past the end, as PyTorch's `ceil_mode`: windows that would begin there are left out.
    pub ceil: bool,
    /// Whether averages count explicit padding as elements, as PyTorch's do; with `Padding::Same` it is never counted, as in
    /// TensorFlow.
    pub count_include_pad: bool,
}

impl PoolOptions {
    /// Windows of this size, side by side.
    pub fn new(kernel: impl Into<PerAxis>) -> Self {
        PoolOptions {
            kernel: kernel.into(),
            stride: None,
            dilation: 1.into(),
            padding: Padding::Valid,
            ceil: false,
            count_include_pad: true,
        }
    }

    /// Steps from one window to the next.
    #[must_use]
    pub fn stride(mut self, stride: impl Into<PerAxis>) -> Self {
        self.stride = Some(stride.into());
        self
    }

    /// Distance of the window's elements.
    #[must_use]
    pub fn dilation(mut self, dilation: impl Into<PerAxis>) -> Self {
        self.dilation = dilation.into();
        self
    }

    /// What is put around the input.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Padding>) -> Self {
        self.padding = padding.into();
        self
    }

    /// Whether a last window may reach past the end.
    #[must_use]
    pub fn ceil(mut self, ceil: bool) -> Self {
        self.ceil = ceil;
        self
    }

    /// Whether averages count explicit padding.
    #[must_use]
    pub fn count_include_pad(mut self, count: bool) -> Self {
        self.count_include_pad = count;
        self
    }

    /// The window over x, with the padding as it was asked for.
    fn asked(&self, operation: &'static str, x: &Shape) -> Result<Window> {
        let spatial = Window::spatial(operation, x)?;
        let mut window = Window {
            kernel: self.kernel.at_least_one(operation, "window", spatial)?,
            stride: self.stride.unwrap_or(self.kernel).at_least_one(operation, "stride", spatial)?,
            dilation: self.dilation.at_least_one(operation, "dilation", spatial)?,
            padding: [(0, 0); MAX_SPATIAL],
        };
        window.padding = self.padding.sides(operation, &window, Window::sizes(x), spatial)?;
        Ok(window)
    }

    /// The window over x (N, C, D…); where a last window reaches past the end, the padding after is as long as that takes.
    ///
    /// # Errors
    /// As [`PoolOptions::output_shape`].
    pub fn resolve(&self, operation: &'static str, x: &Shape) -> Result<Window> {
        let mut window = self.asked(operation, x)?;
        // Whatever follows, the window itself must fit.
        window.output_sizes(operation, x)?;
        let sizes = Window::sizes(x);
        if self.ceil {
            for (axis, size) in sizes.into_iter().enumerate() {
                let ((before, after), stride) = (window.padding[axis], window.stride[axis]);
                let extent = window.extent(axis);
                // What was found to fit is below 2⁶⁰; a step is below 2³².
                let mut last = (size + before + after - extent).div_ceil(stride);
                if last * stride >= size + before {
                    last -= 1;
                }
                window.padding[axis].1 = (last * stride + extent).saturating_sub(size + before);
            }
        }
        let outputs = window.output_sizes(operation, x)?;
        if (0..MAX_SPATIAL).any(|axis| !always_meets(&window, axis, sizes[axis], outputs[axis])) {
            return Err(Error::value(
                operation,
                format!(
                    "padding {:?} is as large as the window {}: a window would meet nothing of {x}; use a smaller padding",
                    &window.padding[MAX_SPATIAL + 2 - x.rank()..],
                    Times(&window.kernel[MAX_SPATIAL + 2 - x.rank()..])
                ),
            ));
        }
        Ok(window)
    }

    /// The shape (N, C, P…) of the pooling of x (N, C, D…), over one to three spatial axes.
    ///
    /// # Errors
    /// A rank that does not fit, an axis without elements, a window larger than the padded input, a stride or dilation of 0,
    /// a padding that is as large as the window.
    pub fn output_shape(&self, x: &Shape) -> Result<Shape> {
        let window = self.resolve("pool", x)?;
        Window::shape(&x[..2], window.output_sizes("pool", x)?, x.rank() - 2)
    }

    /// By how many elements an average is divided at each output, along each axis: their product counts.
    ///
    /// # Errors
    /// As [`PoolOptions::output_shape`].
    pub fn counts(&self, operation: &'static str, x: &Shape) -> Result<[Vec<usize>; MAX_SPATIAL]> {
        let (asked, window) = (self.asked(operation, x)?, self.resolve(operation, x)?);
        let (sizes, outputs) = (Window::sizes(x), window.output_sizes(operation, x)?);
        let with_padding = self.count_include_pad && self.padding != Padding::Same;
        let mut counts: [Vec<usize>; MAX_SPATIAL] = Default::default();
        for (axis, counts) in counts.iter_mut().enumerate() {
            let (before, after) = asked.padding[axis];
            let (first, end) =
                if with_padding { (0, sizes[axis] + before + after) } else { (before, sizes[axis] + before) };
            *counts = staged(outputs[axis], 0)?;
            let each = counts.iter_mut().enumerate();
            each.for_each(|(output, count)| *count = taps_within(&window, axis, output, first..end).len());
        }
        Ok(counts)
    }
}

impl Window {
    /// The elements of an axis, of `size`, that the taps of one output meet, in order.
    pub fn met(&self, axis: usize, size: usize, output: usize) -> impl Iterator<Item = usize> + use<> {
        let (before, at, dilation) = (self.padding[axis].0, output * self.stride[axis], self.dilation[axis]);
        taps_within(self, axis, output, before..before + size).map(move |tap| at + tap * dilation - before)
    }
}

/// The taps of one output that lie in a range of the padded axis.
fn taps_within(window: &Window, axis: usize, output: usize, range: Range<usize>) -> Range<usize> {
    let (at, dilation, kernel) = (output * window.stride[axis], window.dilation[axis], window.kernel[axis]);
    let before = |position: usize| position.saturating_sub(at).div_ceil(dilation).min(kernel);
    let (first, end) = (before(range.start), before(range.end));
    first..end.max(first)
}

/// Whether each window meets an element of an axis.
fn always_meets(window: &Window, axis: usize, size: usize, outputs: usize) -> bool {
    let (before, after) = window.padding[axis];
    if before == 0 && after == 0 {
        return true;
    }
    let meets = |output: usize| !taps_within(window, axis, output, before..before + size).is_empty();
    if window.dilation[axis] == 1 {
        // A window without gaps that meets none lies wholly before or wholly after, as the first or the last then does.
        return outputs == 0 || meets(0) && meets(outputs - 1);
    }
    (0..outputs).all(meets)
}
