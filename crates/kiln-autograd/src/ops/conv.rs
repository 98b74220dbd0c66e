//! Convolutions. The convolution, its gradient with respect to the input and that with respect to the weight are each linear
//! in either operand, and each other's derivatives: so every order of derivative is one of the three.

use super::activation::{FusedActivation, FusedSlope};
use super::elementwise::needs_only_output;
use super::matmul::saved;
use crate::{Backward, Function, Var};
use kiln_tensor::{Arithmetic, ConvOptions, Convolution, MatmulOptions, Result, Shape, Tensor, UnaryCall, Window};

/// y = activation(x ∗ w + b) of x (N, C, D…), w (O, C/groups, K…), b (O,).
///
/// With dz = dy · activation′(y): dx and dw are the two functions below of dz, db = Σ dz over samples and positions.
struct Conv {
    conv: Convolution,
    /// Kept where the weight wants a gradient.
    x: Option<Tensor>,
    /// Kept where the input wants a gradient.
    w: Option<Tensor>,
    x_shape: Shape,
    has_bias: bool,
    activation: FusedSlope,
}

impl Function for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let dz = self.activation.dz(dy, pass)?;
        if self.has_bias && pass.needs(2) {
            pass.accumulate(2, over_channels(&dz)?)?;
        }
        if let Some(x) = self.x.as_ref().filter(|_| pass.needs(1)) {
            let x = pass.input(0, x);
            pass.accumulate(1, x.conv_grad_weight(&dz, self.conv)?)?;
        }
        if let Some(w) = self.w.as_ref().filter(|_| pass.needs(0)) {
            let w = pass.input(1, w);
            pass.accumulate(0, dz.conv_grad_input(&w, self.conv, self.x_shape)?)?;
        }
        Ok(())
    }
}

/// (N, C, …) summed over all but the channels.
fn over_channels(x: &Var) -> Result<Var> {
    let axes: Vec<usize> = (0..x.shape().rank()).filter(|&axis| axis != 1).collect();
    x.sum(&axes[..])
}

/// The gradient of a convolution with respect to its input, from dy and w: linear in both. Given the gradient g of it, dy's
/// is g ∗ w, and w's is the weight's gradient between g and dy.
struct ConvGradInput {
    conv: Convolution,
    dy: Option<Tensor>,
    w: Option<Tensor>,
}

impl Function for ConvGradInput {
    fn name(&self) -> &'static str {
        "conv_grad_input"
    }
    fn backward(&self, g: Var, pass: &mut Backward<'_>) -> Result<()> {
        if let Some(dy) = self.dy.as_ref().filter(|_| pass.needs(1)) {
            let dy = pass.input(0, dy);
            pass.accumulate(1, g.conv_grad_weight(&dy, self.conv)?)?;
        }
        if let Some(w) = self.w.as_ref().filter(|_| pass.needs(0)) {
            let w = pass.input(1, w);
            pass.accumulate(0, g.conv_with(&w, None, self.conv, None)?)?;
        }
        Ok(())
    }
}

/// The gradient of a convolution with respect to its weight, from x and dy: linear in both. Given the gradient g of it, x's
/// is the input's gradient between dy and g, and dy's is x ∗ g.
struct ConvGradWeight {
    conv: Convolution,
    x: Option<Tensor>,
    dy: Option<Tensor>,
    x_shape: Shape,
}

impl Function for ConvGradWeight {
    fn name(&self) -> &'static str {
        "conv_grad_weight"
    }
    fn backward(&self, g: Var, pass: &mut Backward<'_>) -> Result<()> {
        if let Some(dy) = self.dy.as_ref().filter(|_| pass.needs(0)) {
            let dy = pass.input(1, dy);
            pass.accumulate(0, dy.conv_grad_input(&g, self.conv, self.x_shape)?)?;
        }
        if let Some(x) = self.x.as_ref().filter(|_| pass.needs(1)) {
            let x = pass.input(0, x);
            pass.accumulate(1, x.conv_with(&g, None, self.conv, None)?)?;
        }
        Ok(())
    }
}

impl Var {
    /// activation(x ∗ weight + bias) in one pass: x (N, C, D…) with one to three spatial axes, weight (O, C/groups, K…), bias
    /// (O,). A cross-correlation, as in every framework.
    ///
    /// The activation is fused where its derivative can be taken from the output alone (ReLU, tanh, sigmoid, …); another is
    /// applied after, with the same result.
    ///
    /// ```
    /// use kiln_autograd::Var;
    /// use kiln_tensor::{ConvOptions, DType, Device, Padding, Tensor};
    /// let cpu = Device::cpu();
    /// let image = Var::constant(Tensor::ones([1, 3, 32, 32], DType::F32, &cpu)?);
    /// let kernel = Var::variable(Tensor::ones([8, 3, 5, 5], DType::F32, &cpu)?);
    /// let y = image.conv(&kernel, None, &ConvOptions::new().stride(2).padding(Padding::Same), None)?;
    /// assert_eq!(y.dims(), [1, 8, 16, 16]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// What [`ConvOptions::output_shape`] says, a bias of another shape, dtypes or devices that differ.
    pub fn conv(
        &self,
        weight: &Var,
        bias: Option<&Var>,
        options: &ConvOptions,
        activation: Option<UnaryCall>,
    ) -> Result<Var> {
        self.conv_with(weight, bias, options.resolve(self.shape(), weight.shape())?, activation)
    }

    /// As [`Var::conv`], with the padding already known.
    pub(super) fn conv_with(
        &self,
        weight: &Var,
        bias: Option<&Var>,
        conv: Convolution,
        activation: Option<UnaryCall>,
    ) -> Result<Var> {
        if self.is_half() && activation.is_some() {
            // As in `linear`: the slope is taken from the output, which must not be rounded for that.
            let (weight, bias) = (weight.widened()?, bias.map(Var::widened).transpose()?);
            return self.in_wide(|x| x.conv_with(&weight, bias.as_ref(), conv, activation));
        }
        let activation = FusedActivation::split(activation, needs_only_output);
        let options = MatmulOptions { bias: bias.map(Var::tensor), activation: activation.fused };
        let y = self.tensor().conv_with(weight.tensor(), &conv, options)?;
        let function = |y: &Tensor| Conv {
            conv,
            x: saved(self, weight),
            w: saved(weight, self),
            x_shape: *self.shape(),
            has_bias: bias.is_some(),
            activation: activation.kept(y),
        };
        activation.finish(match bias {
            Some(bias) => Var::record(&[self, weight, bias], y, function),
            None => Var::record(&[self, weight], y, function),
        })
    }

    /// The transposed convolution (PyTorch's `conv_transpose`, Keras's `Conv2DTranspose`) of x (N, C, P…) by weight
    /// (C, O/groups, K…), plus bias (O,): the gradient of a convolution with respect to its input. The layout of the weight
    /// and the sizes are PyTorch's.
    ///
    /// # Errors
    /// What [`ConvOptions::transposed_shape`] says, a bias of another shape, dtypes or devices that differ.
    pub fn conv_transpose(&self, weight: &Var, bias: Option<&Var>, options: &ConvOptions) -> Result<Var> {
        let (conv, shape, zeros) = options.resolve_transposed(self.shape(), weight.shape())?;
        let padded = if zeros.is_empty() { self.clone() } else { self.pad(&zeros, 0.0)? };
        let Some(bias) = bias else { return padded.conv_grad_input(weight, conv, shape) };
        if bias.dims() != [shape[1]] {
            return Err(kiln_tensor::Error::shape(
                "conv_transpose",
                format!("a bias for {} channels has shape ({},), got {}", shape[1], shape[1], bias.shape()),
            ));
        }
        let bias = bias.reshape(Window::shape(&[shape[1]], [1; 3], shape.rank() - 2)?)?.widened()?;
        let weight = weight.widened()?;
        padded.in_wide(|x| x.conv_grad_input(&weight, conv, shape)?.add(&bias))
    }

    /// Of this dy (N, O, P…): the gradient of a convolution with respect to an input of this shape.
    fn conv_grad_input(&self, weight: &Var, conv: Convolution, shape: Shape) -> Result<Var> {
        let dx = self.tensor().conv_grad_input(weight.tensor(), &conv, &shape)?;
        Ok(Var::record(&[self, weight], dx, |_| ConvGradInput {
            conv,
            dy: saved(self, weight),
            w: saved(weight, self),
        }))
    }

    /// Of this x (N, C, D…) and dy (N, O, P…): the gradient of a convolution with respect to the weight.
    fn conv_grad_weight(&self, dy: &Var, conv: Convolution) -> Result<Var> {
        let dw = self.tensor().conv_grad_weight(dy.tensor(), &conv)?;
        Ok(Var::record(&[self, dy], dw, |_| ConvGradWeight {
            conv,
            x: saved(self, dy),
            dy: saved(dy, self),
            x_shape: *self.shape(),
        }))
    }
}
