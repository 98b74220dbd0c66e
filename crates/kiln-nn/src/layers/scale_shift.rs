//! What layers that normalize learn: a factor and a summand.

use super::weights::unbuilt;
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
        Ok((self.weight.as_ref().map(|weight| weight.var(ctx)), self.bias.as_ref().map(|bias| bias.var(ctx))))
    }
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
