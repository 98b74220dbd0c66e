//! How a convolution is asked for, and what must hold for one.

use super::axes::Times;
use super::{Convolution, MAX_SPATIAL, Padding, PerAxis, Window};
use crate::{Error, Result, Shape};

/// Elements before and after each of the last axes.
type Sides = Vec<(usize, usize)>;

/// How a convolution's kernel moves, and how channels are grouped. By default it steps by one, over what is there, and every
/// output channel sees every input channel.
///
/// ```
/// use kiln_tensor::{ConvOptions, Padding, Shape};
/// let (x, weight) = (Shape::new(&[64, 3, 227, 227])?, Shape::new(&[96, 3, 11, 11])?);
/// assert_eq!(ConvOptions::new().stride(4).output_shape(&x, &weight)?.dims(), [64, 96, 55, 55]);
/// assert_eq!(ConvOptions::new().padding(Padding::Same).output_shape(&x, &weight)?.dims(), [64, 96, 227, 227]);
/// assert_eq!(ConvOptions::new().padding([(0, 1), (2, 2)]).output_shape(&x, &weight)?.dims(), [64, 96, 218, 221]);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConvOptions {
    /// Steps from one output to the next.
    pub stride: PerAxis,
    /// Distance of the kernel's taps.
    pub dilation: PerAxis,
    /// What is put around the input: zeros.
    pub padding: Padding,
    /// Groups of channels; as many as there are input channels make the convolution depthwise.
    pub groups: usize,
    /// Of a transposed convolution alone: elements that are added after each axis of its output.
    pub output_padding: PerAxis,
}

impl Default for ConvOptions {
    fn default() -> Self {
        ConvOptions {
            stride: 1.into(),
            dilation: 1.into(),
            padding: Padding::Valid,
            groups: 1,
            output_padding: 0.into(),
        }
    }
}

impl ConvOptions {
    /// The defaults.
    pub fn new() -> Self {
        ConvOptions::default()
    }

    /// Steps from one output to the next.
    #[must_use]
    pub fn stride(mut self, stride: impl Into<PerAxis>) -> Self {
        self.stride = stride.into();
        self
    }

    /// Distance of the kernel's taps.
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

    /// Groups of channels.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Elements that a transposed convolution adds after each axis of its output.
    #[must_use]
    pub fn output_padding(mut self, output_padding: impl Into<PerAxis>) -> Self {
        self.output_padding = output_padding.into();
        self
    }

    /// The window of a kernel (…, K…) over `spatial` axes, its padding not set yet.
    fn window(&self, operation: &'static str, weight: &Shape, spatial: usize) -> Result<Window> {
        Ok(Window {
            kernel: Window::sizes(weight),
            stride: self.stride.at_least_one(operation, "stride", spatial)?,
            dilation: self.dilation.at_least_one(operation, "dilation", spatial)?,
            padding: [(0, 0); MAX_SPATIAL],
        })
    }

    /// The convolution of x (N, C, D…) by weight (O, C/groups, K…).
    ///
    /// # Errors
    /// As [`ConvOptions::output_shape`].
    pub fn resolve(&self, x: &Shape, weight: &Shape) -> Result<Convolution> {
        let spatial = spatial_axes("conv", x, weight)?;
        if self.output_padding != PerAxis::from(0) {
            return Err(Error::value("conv", "output_padding is for transposed convolutions; use `padding`"));
        }
        let mut window = self.window("conv", weight, spatial)?;
        window.padding = self.padding.sides("conv", &window, Window::sizes(x), spatial)?;
        let conv = Convolution { window, groups: self.groups };
        conv.output_shape(x, weight)?;
        Ok(conv)
    }

    /// The shape (N, O, P…) of the convolution of x (N, C, D…) by weight (O, C/groups, K…), over one to three spatial axes.
    ///
    /// # Errors
    /// Ranks that do not fit, an axis without elements, a stride or dilation of 0, a kernel larger than the padded input,
    /// channels that the groups do not divide, another number of channels than the weight's.
    pub fn output_shape(&self, x: &Shape, weight: &Shape) -> Result<Shape> {
        self.resolve(x, weight)?.output_shape(x, weight)
    }

    /// The convolution of which the transposed one of x (N, C, P…) by weight (C, O/groups, K…) is the gradient with respect to
    /// the input, the shape of its output, (N, O, D…), and the zeros that x is padded with first, before and after each of its
    /// last axes: none, unless an output_padding is as large as the stride.
    ///
    /// # Errors
    /// As [`ConvOptions::transposed_shape`].
    pub fn resolve_transposed(&self, x: &Shape, weight: &Shape) -> Result<(Convolution, Shape, Sides)> {
        const OPERATION: &str = "conv_transpose";
        let spatial = spatial_axes(OPERATION, x, weight)?;
        let mut window = self.window(OPERATION, weight, spatial)?;
        let extra = self.output_padding.at_least_zero(OPERATION, "output_padding", spatial)?;
        let (stride, dilation) = (window.stride, window.dilation);
        if (0..MAX_SPATIAL).any(|axis| extra[axis] >= stride[axis].max(dilation[axis])) {
            return Err(Error::value(
                OPERATION,
                format!(
                    "output_padding {} must be smaller than either stride {} or dilation {}",
                    self.output_padding, self.stride, self.dilation
                ),
            ));
        }
        // A whole stride more of the output is what one more zero of x would give.
        let zeros: [usize; MAX_SPATIAL] = std::array::from_fn(|axis| extra[axis] / stride[axis]);
        let sizes: [usize; MAX_SPATIAL] = std::array::from_fn(|axis| Window::sizes(x)[axis] + zeros[axis]);
        let extra: [usize; MAX_SPATIAL] = std::array::from_fn(|axis| extra[axis] % stride[axis]);
        let padded = Window::shape(&x[..2], sizes, spatial)?;
        if self.padding == Padding::Same && extra != [0; MAX_SPATIAL] {
            return Err(Error::value(OPERATION, "Padding::Same fixes the output's size; leave output_padding at 0"));
        }
        let mut outputs = [1; MAX_SPATIAL];
        if self.padding == Padding::Same {
            outputs = std::array::from_fn(|axis| sizes[axis].saturating_mul(window.stride[axis]));
            window.padding = self.padding.sides(OPERATION, &window, outputs, spatial)?;
        } else {
            window.padding = self.padding.sides(OPERATION, &window, sizes, spatial)?;
            for axis in 0..MAX_SPATIAL {
                let (before, after) = window.padding[axis];
                let reach = (sizes[axis] - 1)
                    .saturating_mul(window.stride[axis])
                    .saturating_add(window.extent(axis))
                    .saturating_add(extra[axis]);
                outputs[axis] = reach.saturating_sub(before + after);
            }
        }
        if outputs.contains(&0) {
            return Err(Error::shape(
                OPERATION,
                format!(
                    "padding {:?} leaves nothing of the output of {x} under {weight}",
                    &window.padding[MAX_SPATIAL - spatial..]
                ),
            ));
        }
        let conv = Convolution { window, groups: self.groups };
        if self.groups == 0 || !weight[0].is_multiple_of(self.groups) || weight[0] != x[1] {
            return Err(Error::shape(
                OPERATION,
                format!("weight {weight} takes {} channels, in {}, x {x} has {}", weight[0], groups(self.groups), x[1]),
            ));
        }
        let shape = Window::shape(&[x[0], weight[1] * self.groups], outputs, spatial)?;
        if conv.output_shape(&shape, weight)? != padded {
            return Err(Error::shape(
                OPERATION,
                format!("{padded} is not the shape of an output of the convolution of {shape} by {weight}"),
            ));
        }
        let sides = zeros[MAX_SPATIAL - spatial..].iter().map(|&after| (0, after));
        Ok((conv, shape, if padded == *x { Vec::new() } else { sides.collect() }))
    }

    /// The shape (N, O, D…) of the transposed convolution of x (N, C, P…) by weight (C, O/groups, K…): each size is
    /// (P − 1)·stride − padding + extent + output_padding, or P·stride for `Padding::Same`.
    ///
    /// # Errors
    /// As [`ConvOptions::output_shape`], an output_padding that is smaller than neither stride nor dilation, a padding that leaves nothing.
    pub fn transposed_shape(&self, x: &Shape, weight: &Shape) -> Result<Shape> {
        Ok(self.resolve_transposed(x, weight)?.1)
    }
}

fn groups(count: usize) -> String {
    format!("{count} group{}", if count == 1 { "" } else { "s" })
}

/// The number of spatial axes that x and a kernel have in common.
fn spatial_axes(operation: &'static str, x: &Shape, weight: &Shape) -> Result<usize> {
    if !(3..=2 + MAX_SPATIAL).contains(&x.rank()) || weight.rank() != x.rank() {
        return Err(Error::shape(
            operation,
            format!(
                "x (N, C, …) and a weight of as many axes, one to three of them spatial, are expected, got {x} and {weight}"
            ),
        ));
    }
    if x[1..].contains(&0) || weight.contains(&0) {
        return Err(Error::shape(operation, format!("x {x} or weight {weight} has an axis without elements")));
    }
    Ok(x.rank() - 2)
}

impl Convolution {
    /// The shape (N, O, P…) of this convolution of x (N, C, D…) by weight (O, C/groups, K…).
    ///
    /// # Errors
    /// As [`ConvOptions::output_shape`].
    pub fn output_shape(&self, x: &Shape, weight: &Shape) -> Result<Shape> {
        let spatial = spatial_axes("conv", x, weight)?;
        let (channels, outputs) = (x[1], weight[0]);
        if self.groups == 0 || !outputs.is_multiple_of(self.groups) || !channels.is_multiple_of(self.groups) {
            return Err(Error::shape(
                "conv",
                format!(
                    "the channels of x {x} and of weight {weight}, {channels} and {outputs}, are not divisible by {}",
                    groups(self.groups)
                ),
            ));
        }
        if channels != weight[1] * self.groups {
            let taken = weight[1] * self.groups;
            let remedy = if x[1 + spatial] == taken && x[1..=spatial].iter().all(|&size| size > taken) {
                let order = ["[0, 2, 1]", "[0, 3, 1, 2]", "[0, 4, 1, 2, 3]"][spatial - 1];
                format!("x looks like channels last, for Kiln permute it with x.permute(&{order})")
            } else {
                "build the layer for the channels of its data, or change the groups".to_owned()
            };
            let message = format!(
                "weight {weight} in {} takes {taken} channels, x {x} has {channels}; {remedy}",
                groups(self.groups)
            );
            return Err(Error::shape("conv", message));
        }
        if Window::sizes(weight) != self.window.kernel {
            return Err(Error::shape(
                "conv",
                format!("weight {weight} is not a kernel for a window {}", Times(&self.window.kernel)),
            ));
        }
        let sizes = self.window.output_sizes("conv", x)?;
        Window::shape(&[x[0], outputs], sizes, spatial)
    }

    /// The shape (O, C/groups, K…) of the weight between x (N, C, D…) and dy (N, O, P…).
    ///
    /// # Errors
    /// As [`ConvOptions::output_shape`], or a dy of another shape than the output's.
    pub fn weight_shape(&self, x: &Shape, dy: &Shape) -> Result<Shape> {
        if dy.rank() != x.rank() || !(3..=2 + MAX_SPATIAL).contains(&x.rank()) || self.groups == 0 {
            return Err(Error::shape("conv_grad_weight", format!("x {x} has no output of shape {dy}")));
        }
        let weight = Window::shape(&[dy[1], x[1] / self.groups], self.window.kernel, x.rank() - 2)?;
        if self.output_shape(x, &weight)? != *dy {
            return Err(Error::shape("conv_grad_weight", format!("x {x} under {weight} has no output of shape {dy}")));
        }
        Ok(weight)
    }
}
