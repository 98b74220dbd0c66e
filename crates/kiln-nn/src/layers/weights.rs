//! Weight, bias, activation, penalties and constraints: what dense layers and convolutions have in common.

use crate::per_sample::Use;
use crate::{Activation, Constraint, Ctx, Fans, Init, Initializer, L1L2, Module, Param};
use kiln_autograd::Var;
use kiln_tensor::{ConvOptions, Error, ErrorKind, Result, Shape};
use serde::{Deserialize, Serialize};

/// A weight and perhaps a bias, how they begin, what of them is added to the loss, and what is applied to the output.
#[derive(Module, Clone, Debug, Serialize, Deserialize)]
pub(super) struct Weights {
    #[serde(skip)]
    pub(super) weight: Option<Param>,
    #[serde(skip)]
    pub(super) bias: Option<Param>,
    pub(super) use_bias: bool,
    pub(super) activation: Activation,
    #[module(skip)]
    pub(super) kernel_initializer: Initializer,
    #[module(skip)]
    pub(super) bias_initializer: Initializer,
    #[module(skip)]
    #[serde(flatten)]
    pub(super) regularizers: Regularizers,
    #[module(skip)]
    #[serde(flatten)]
    pub(super) constraints: Constraints,
}

/// What is added to the loss, if anything.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub(super) struct Regularizers {
    #[serde(rename = "kernel_regularizer", skip_serializing_if = "Option::is_none")]
    pub(super) kernel: Option<L1L2>,
    #[serde(rename = "bias_regularizer", skip_serializing_if = "Option::is_none")]
    pub(super) bias: Option<L1L2>,
    #[serde(rename = "activity_regularizer", skip_serializing_if = "Option::is_none")]
    pub(super) activity: Option<L1L2>,
}

/// What weight and bias are brought back to after each step, if anything.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(super) struct Constraints {
    #[serde(rename = "kernel_constraint", skip_serializing_if = "Option::is_none")]
    pub(super) kernel: Option<Constraint>,
    #[serde(rename = "bias_constraint", skip_serializing_if = "Option::is_none")]
    pub(super) bias: Option<Constraint>,
}

impl Default for Weights {
    /// Keras's: a bias, Glorot-uniform kernels, biases of 0, no activation.
    fn default() -> Self {
        Weights {
            weight: None,
            bias: None,
            use_bias: true,
            activation: Activation::Linear,
            kernel_initializer: Initializer::GlorotUniform,
            bias_initializer: Initializer::Zeros,
            regularizers: Regularizers::default(),
            constraints: Constraints::default(),
        }
    }
}

impl Weights {
    /// The weight, where the layer is built.
    pub(super) fn built(&self, layer: &str) -> Result<&Param> {
        self.weight.as_ref().ok_or_else(|| unbuilt(layer))
    }

    /// Makes the weight of this shape and a bias of so many numbers. A layer that is built already keeps what it has, where
    /// that fits `input`.
    pub(super) fn make(
        &mut self,
        shape: &[usize],
        biases: usize,
        fans: Fans,
        input: &Shape,
        init: &mut Init,
    ) -> Result<()> {
        let Regularizers { kernel, bias, activity } = self.regularizers;
        kernel.map_or(Ok(()), |regularizer| regularizer.check("kernel_regularizer"))?;
        bias.map_or(Ok(()), |regularizer| regularizer.check("bias_regularizer"))?;
        activity.map_or(Ok(()), |regularizer| regularizer.check("activity_regularizer"))?;
        let Constraints { kernel, bias } = &self.constraints;
        kernel.as_ref().map_or(Ok(()), |constraint| constraint.check("kernel_constraint", shape.len()))?;
        bias.as_ref().map_or(Ok(()), |constraint| constraint.check("bias_constraint", 1))?;
        if let Some(weight) = &self.weight {
            if weight.value().dims() == shape {
                return Ok(());
            }
            let weight = weight.value().shape();
            let message = format!("this layer is already built, with weights {weight}; inputs {input} do not fit it");
            return Err(Error::new(ErrorKind::Build, "build", message));
        }
        let weight = init.param("weight", shape, fans, self.kernel_initializer)?;
        if self.use_bias {
            self.bias = Some(init.param("bias", &[biases], fans, self.bias_initializer)?);
        }
        self.weight = Some(weight);
        Ok(())
    }

    /// Weight and bias as this pass sees them.
    pub(super) fn vars(&self, weight: &Param, ctx: &Ctx) -> (Var, Option<Var>) {
        (weight.var(ctx), self.bias.as_ref().map(|bias| bias.var(ctx)))
    }

    /// activation(x ∗ weight + bias), with the penalties and the constraints handed in.
    pub(super) fn convolved(&self, x: &Var, weight: &Param, options: &ConvOptions, ctx: &Ctx) -> Result<Var> {
        let (w, bias) = self.vars(weight, ctx);
        let y = if let Some(recorder) = ctx.recorder() {
            let y = x.conv(&w, bias.as_ref(), options, None)?;
            let conv = options.resolve(x.shape(), w.shape())?;
            recorder.add(Use::Convolution(x.tensor().clone(), conv, *w.shape()), Some(weight), self.bias.as_ref(), &y);
            self.activation.apply(&y)?
        } else {
            self.activation.rest(x.conv(&w, bias.as_ref(), options, self.activation.fused())?)?
        };
        self.penalize(weight, &y, ctx);
        Ok(y)
    }

    /// Hands in the penalties of weight, bias and output, and the constraints.
    pub(super) fn penalize(&self, weight: &Param, y: &Var, ctx: &Ctx) {
        self.penalize_weights(weight, ctx);
        if let Some(regularizer) = self.regularizers.activity {
            ctx.penalize_activity(y, regularizer);
        }
    }

    /// Hands in the penalties of weight and bias, and the constraints.
    pub(super) fn penalize_weights(&self, weight: &Param, ctx: &Ctx) {
        let Regularizers { kernel, bias, .. } = self.regularizers;
        if let Some(regularizer) = kernel {
            ctx.penalize(weight, regularizer);
        }
        if let (Some(bias), Some(regularizer)) = (&self.bias, bias) {
            ctx.penalize(bias, regularizer);
        }
        let Constraints { kernel, bias } = &self.constraints;
        if let Some(constraint) = kernel {
            ctx.constrain(weight, constraint);
        }
        if let (Some(bias), Some(constraint)) = (&self.bias, bias) {
            ctx.constrain(bias, constraint);
        }
    }
}

#[cold]
pub(super) fn unbuilt(layer: &str) -> Error {
    let message = format!(
        "this layer has no weights yet, it learns its input's size when it is built: call \
         `model.build(input_shape, &device, seed)`, or make it with `{layer}`"
    );
    Error::new(ErrorKind::Build, "forward", message)
}

/// The settings of a layer with [`Weights`].
macro_rules! weight_settings {
    ($weight_shape:literal, $bias_shape:literal) => {
        $crate::layers::setters::setters! {
            /// Applied to the output.
            fn activation(self, activation: $crate::Activation) { self.weights.activation = activation }

            /// Whether there is a bias; there is by default.
            fn use_bias(self, use_bias: bool) { self.weights.use_bias = use_bias }

            /// First values of the weight.
            fn kernel_initializer(self, initializer: $crate::Initializer) { self.weights.kernel_initializer = initializer }

            /// First values of the bias.
            fn bias_initializer(self, initializer: $crate::Initializer) { self.weights.bias_initializer = initializer }

            /// A penalty on the weight, added to the loss: `.kernel_regularizer(L2(0.01))`. `fit` and `evaluate` add it; a
            /// custom loop does with [`Ctx::penalty`](crate::Ctx::penalty).
            fn kernel_regularizer(self, regularizer: impl Into<$crate::L1L2>) {
                self.weights.regularizers.kernel = Some(regularizer.into());
            }

            /// A penalty on the bias, where there is one.
            fn bias_regularizer(self, regularizer: impl Into<$crate::L1L2>) {
                self.weights.regularizers.bias = Some(regularizer.into());
            }

            /// A penalty on the output, after the activation; divided by the number of samples in the batch, as in Keras.
            fn activity_regularizer(self, regularizer: impl Into<$crate::L1L2>) {
                self.weights.regularizers.activity = Some(regularizer.into());
            }

            /// What the weight is brought back to after each step: `.kernel_constraint(MaxNorm::new(3.0))`. `fit` does so; a
            /// custom loop does with [`Ctx::commit`](crate::Ctx::commit).
            fn kernel_constraint(self, constraint: impl Into<$crate::Constraint>) {
                self.weights.constraints.kernel = Some(constraint.into());
            }

            /// What the bias is brought back to after each step, where there is one.
            fn bias_constraint(self, constraint: impl Into<$crate::Constraint>) {
                self.weights.constraints.bias = Some(constraint.into());
            }
        }

        #[doc = concat!("The weight ", $weight_shape, ", once built.")]
        pub fn weight(&self) -> Option<&$crate::Param> {
            self.weights.weight.as_ref()
        }

        #[doc = concat!("The bias ", $bias_shape, ", once built, where there is one.")]
        pub fn bias(&self) -> Option<&$crate::Param> {
            self.weights.bias.as_ref()
        }
    };
}
pub(super) use weight_settings;
