//! Convolutions, and what they are with respect to each operand.

pub(super) mod composed;

use super::{MatmulOptions, Tensor, check_pair};
use crate::{Call, ConvOptions, Convolution, Epilogue, Error, Out, Ran, Result, Shape, View, unsupported_dtype};

/// out = activation(Σ x·weight + bias) with one to three spatial axes. Of each element the sum goes through the taps in row-major
/// order, and through the channels at each.
#[derive(Clone, Copy, Debug)]
pub struct ConvCall<'a> {
    /// Window and groups.
    pub conv: Convolution,
    /// (N, O, P…)
    pub out: Out<'a>,
    /// (N, C, D…), row-major.
    pub x: View<'a>,
    /// (O, C/groups, K…), row-major.
    pub weight: View<'a>,
    /// Bias (O,), row-major, and activation; it does not accumulate.
    pub epilogue: Epilogue<'a>,
}

/// out = the gradient of a convolution with respect to its input; also the transposed convolution of dy.
#[derive(Clone, Copy, Debug)]
pub struct ConvGradInputCall<'a> {
    /// Window and groups.
    pub conv: Convolution,
    /// (N, C, D…)
    pub out: Out<'a>,
    /// (N, O, P…), row-major.
    pub dy: View<'a>,
    /// (O, C/groups, K…), row-major.
    pub weight: View<'a>,
}

/// out = the gradient of a convolution with respect to its weight.
#[derive(Clone, Copy, Debug)]
pub struct ConvGradWeightCall<'a> {
    /// Window and groups.
    pub conv: Convolution,
    /// (O, C/groups, K…)
    pub out: Out<'a>,
    /// (N, C, D…), row-major.
    pub x: View<'a>,
    /// (N, O, P…), row-major.
    pub dy: View<'a>,
}

impl Tensor {
    /// The convolution of x (N, C, D…) by weight (O, C/groups, K…), (N, O, P…), over one to three spatial axes: a
    /// cross-correlation, as in every framework. Then `after` adds a bias (O,) and applies an activation.
    ///
    /// ```
    /// use kiln_tensor::{ConvOptions, Device, MatmulOptions, Tensor};
    /// let cpu = Device::cpu();
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 4.0, 8.0], [1, 1, 4], &cpu)?;
    /// let difference = Tensor::from_slice(&[-1.0f32, 1.0], [1, 1, 2], &cpu)?;
    /// let y = x.conv(&difference, &ConvOptions::new().stride(2), MatmulOptions::default())?;
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 4.0]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// What [`ConvOptions::output_shape`] says, a bias of another shape, dtypes or devices that differ, a dtype that is no
    /// float.
    pub fn conv(&self, weight: &Tensor, options: &ConvOptions, after: MatmulOptions<'_>) -> Result<Tensor> {
        self.conv_with(weight, &options.resolve(self.shape(), weight.shape())?, after)
    }

    /// As [`Tensor::conv`], with the padding already known.
    ///
    /// # Errors
    /// As [`Tensor::conv`].
    pub fn conv_with(&self, weight: &Tensor, conv: &Convolution, after: MatmulOptions<'_>) -> Result<Tensor> {
        check_pair("conv", self, weight)?;
        self.expect_conv_dtype("conv")?;
        let shape = conv.output_shape(self.shape(), weight.shape())?;
        if let Some(bias) = after.bias {
            check_pair("conv", self, bias)?;
            if bias.dims() != [shape[1]] {
                return Err(Error::shape(
                    "conv",
                    format!("a bias for {} channels has shape ({},), got {}", shape[1], shape[1], bias.shape()),
                ));
            }
        }
        let (x, weight) = (self.contiguous()?, weight.contiguous()?);
        let bias = after.bias.map(Tensor::contiguous).transpose()?;
        let out = Tensor::output(&shape, self.dtype, self.device())?;
        let epilogue =
            Epilogue { bias: bias.as_ref().map(Tensor::view), activation: after.activation, accumulate: false };
        let call = ConvCall { conv: *conv, out: out.out(), x: x.view(), weight: weight.view(), epilogue };
        match self.device().run(&Call::Conv(call))? {
            Ran::Done => Ok(out),
            Ran::NotHere => composed::conv(&x, &weight, conv, after),
        }
    }

    /// The gradient of a convolution with respect to its input of this shape, of which this is dy (N, O, P…).
    ///
    /// # Errors
    /// As [`Tensor::conv`], or a dy that is not of the output's shape.
    pub fn conv_grad_input(&self, weight: &Tensor, conv: &Convolution, shape: &Shape) -> Result<Tensor> {
        check_pair("conv_grad_input", self, weight)?;
        self.expect_conv_dtype("conv_grad_input")?;
        self.expect_output_of(conv, shape, weight)?;
        let (dy, weight) = (self.contiguous()?, weight.contiguous()?);
        let out = Tensor::output(shape, self.dtype, self.device())?;
        let call = ConvGradInputCall { conv: *conv, out: out.out(), dy: dy.view(), weight: weight.view() };
        match self.device().run(&Call::ConvGradInput(call))? {
            Ran::Done => Ok(out),
            Ran::NotHere => composed::conv_grad_input(&dy, &weight, conv, shape),
        }
    }

    /// The gradient of a convolution of this input with respect to its weight, from dy (N, O, P…).
    ///
    /// # Errors
    /// As [`Tensor::conv`], or a dy that is not of the output's shape.
    pub fn conv_grad_weight(&self, dy: &Tensor, conv: &Convolution) -> Result<Tensor> {
        check_pair("conv_grad_weight", self, dy)?;
        self.expect_conv_dtype("conv_grad_weight")?;
        let shape = conv.weight_shape(self.shape(), dy.shape())?;
        let (x, dy) = (self.contiguous()?, dy.contiguous()?);
        let out = Tensor::output(&shape, self.dtype, self.device())?;
        let call = ConvGradWeightCall { conv: *conv, out: out.out(), x: x.view(), dy: dy.view() };
        match self.device().run(&Call::ConvGradWeight(call))? {
            Ran::Done => Ok(out),
            Ran::NotHere => composed::conv_grad_weight(&x, &dy, conv),
        }
    }

    /// The transposed convolution of x (N, C, P…) by weight (C, O/groups, K…), (N, O, D…): the gradient of a convolution
    /// with respect to its input. Layout and sizes are PyTorch's.
    ///
    /// # Errors
    /// What [`ConvOptions::transposed_shape`] says, dtypes or devices that differ, a dtype that is not a float type.
    pub fn conv_transpose(&self, weight: &Tensor, options: &ConvOptions) -> Result<Tensor> {
        let (conv, shape, zeros) = options.resolve_transposed(self.shape(), weight.shape())?;
        if zeros.is_empty() {
            return self.conv_grad_input(weight, &conv, &shape);
        }
        self.pad(&zeros, 0.0)?.conv_grad_input(weight, &conv, &shape)
    }

    /// Checks that this dy has the shape of the convolution's output.
    fn expect_output_of(&self, conv: &Convolution, x: &Shape, weight: &Tensor) -> Result<()> {
        if conv.output_shape(x, weight.shape())? == *self.shape() {
            return Ok(());
        }
        let (dy, weight) = (self.shape(), weight.shape());
        let message = format!("{dy} is not the shape of a gradient of the convolution of {x} by {weight}");
        Err(Error::shape("conv_grad_input", message))
    }

    fn expect_conv_dtype(&self, operation: &'static str) -> Result<()> {
        if self.dtype.is_float() {
            Ok(())
        } else {
            Err(unsupported_dtype(operation, self.dtype, "f32, f64, f16 or bf16"))
        }
    }
}
