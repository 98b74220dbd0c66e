//! What layers that normalize learn: a factor and a summand.

use super::weights::unbuilt;
use crate::per_sample::{Recorder, Use};
use crate::{Ctx, Fans, Init, Initializer, Module, Param};
use kiln_autograd::Var;
use kiln_tensor::{Error, ErrorKind, Result, Shape};
use serde::{Deserialize, Serialize};

/// · weight + bias, which begin as 1 and 0, and the settings of every layer that normalizes; in a description, they stand
/// beside the layer's own.
#[derive(Module, Clone, Debug, Serialize, Deserialize)]
pub(super) struct ScaleShift {
    #[serde(skip)]
    pub(super) weight: Option<Param>,
    #[serde(skip)]
    pub(super) bias: Option<Param>,
    pub(super) epsilon: f64,
    pub(super) affine: bool,
}

impl ScaleShift {
    pub(super) fn new(epsilon: f64, affine: bool) -> Self {
        ScaleShift { weight: None, bias: None, epsilon, affine }
    }

    /// Makes a weight, and a bias where that is asked for, unless it learns neither. What is built already stays, where it has
    /// this shape.
    pub(super) fn make(&mut self, shape: &[usize], with_bias: bool, input: &Shape, init: &mut Init) -> Result<()> {
        if !self.affine {
            return Ok(());
        }
        if let Some(weight) = &self.weight {
            if weight.value().dims() == shape {
                return Ok(());
            }
            return Err(already_built(weight.value().shape(), input));
        }
        let fans = Fans { input: 1, output: 1 };
        self.weight = Some(init.param("weight", shape, fans, Initializer::Ones)?);
        if with_bias {
            self.bias = Some(init.param("bias", shape, fans, Initializer::Zeros)?);
        }
        Ok(())
    }

    /// Weight and bias as this pass sees them. Fails before they are made, as `with_input` would.
    pub(super) fn vars(&self, with_input: &str, ctx: &Ctx) -> Result<(Option<Var>, Option<Var>)> {
        if self.affine && self.weight.is_none() {
            return Err(unbuilt(with_input));
        }
        Ok((self.weight.as_ref().map(|weight| weight.factor(ctx)), self.bias.as_ref().map(|bias| bias.factor(ctx))))
    }

    /// What is normalized, times the weight, plus the bias: (…) of so many last axes, or by channel (C,) of (N, C, …). For a recorder,
    /// which needs what the weight meets.
    ///
    /// Fails before they are made, as [`ScaleShift::vars`].
    pub(super) fn recorded(
        &self,
        with_input: &str,
        normalized: &Var,
        by: Axes,
        recorder: &Recorder,
        ctx: &Ctx,
    ) -> Result<Var> {
        let shaped = |var: Var| match by {
            Axes::Last(_) => var.to_dtype(normalized.dtype()),
            Axes::Channels => {
                let var = var.to_dtype(normalized.dtype())?;
                let mut dims = vec![1; normalized.shape().rank() - 1];
                dims[0] = var.dims()[0];
                var.reshape(Shape::new(&dims)?)
            }
        };
        let (weight, bias) = self.vars(with_input, ctx)?;
        let mut y = normalized.clone();
        if let Some(weight) = weight {
            y = y.mul(&shaped(weight)?)?;
        }
        if let Some(bias) = bias {
            y = y.add(&shaped(bias)?)?;
        }
        let x = normalized.tensor().clone();
        let how = match by {
            Axes::Last(axes) => Use::LastAxes(x, axes),
            Axes::Channels => Use::Channels(x),
        };
        recorder.add(how, self.weight.as_ref(), self.bias.as_ref(), &y);
        Ok(y)
    }
}

/// What factors are of.
#[derive(Clone, Copy)]
pub(super) enum Axes {
    /// So many last axes.
    Last(usize),
    /// Axis 1.
    Channels,
}

#[cold]
pub(super) fn already_built(has: &Shape, input: &Shape) -> Error {
    let message = format!("this layer is already built, with {has} factors; inputs {input} do not fit it");
    Error::new(ErrorKind::Build, "build", message)
}

/// The settings of a layer with [`ScaleShift`]; what it learns is of this shape.
macro_rules! norm_settings {
    (epsilon of $of:literal, factors of $shape:literal) => {
        norm_settings!(epsilon of $of, weight of $shape);

        #[doc = concat!("The bias ", $shape, ", once built, where there is one.")]
        pub fn bias(&self) -> Option<&$crate::Param> {
            self.factors.bias.as_ref()
        }
    };
    (epsilon of $of:literal, weight of $shape:literal) => {
        $crate::layers::setters::setters! {
            #[doc = concat!("ε, added to the ", $of, ".")]
            fn epsilon(self, epsilon: f64) { self.factors.epsilon = epsilon }

            /// Whether it learns factors.
            fn affine(self, affine: bool) { self.factors.affine = affine }
        }

        #[doc = concat!("The weight ", $shape, ", once built, where there is one.")]
        pub fn weight(&self) -> Option<&$crate::Param> {
            self.factors.weight.as_ref()
        }
    };
}
pub(super) use norm_settings;
