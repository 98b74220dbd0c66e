//! What layers that normalize learn: a factor and a summand.

use crate::{Ctx, Fans, Init, Initializer, Module, Param};
use kiln_autograd::Var;
use kiln_tensor::{Error, ErrorKind, Result, Shape};

/// · weight + bias, which begin as 1 and 0.
#[derive(Module, Clone, Debug, Default)]
pub(super) struct ScaleShift {
    pub(super) weight: Option<Param>,
    pub(super) bias: Option<Param>,
}

impl ScaleShift {
    /// Makes a weight, and a bias where that is asked for. What is built already stays, where it has this shape.
    pub(super) fn make(&mut self, shape: &[usize], with_bias: bool, input: &Shape, init: &mut Init) -> Result<()> {
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

    /// Weight and bias as this pass sees them.
    pub(super) fn vars(&self, ctx: &Ctx) -> (Option<Var>, Option<Var>) {
        (self.weight.as_ref().map(|weight| weight.var(ctx)), self.bias.as_ref().map(|bias| bias.var(ctx)))
    }
}

#[cold]
pub(super) fn already_built(has: &Shape, input: &Shape) -> Error {
    let message = format!("this layer is already built, with {has} factors; inputs {input} do not fit it");
    Error::new(ErrorKind::Build, "build", message)
}

/// The settings of a layer with [`ScaleShift`], an ε and whether it has factors; what it learns is of this shape.
macro_rules! norm_settings {
    (epsilon of $of:literal, factors of $shape:literal) => {
        norm_settings!(epsilon of $of, weight of $shape);

        #[doc = concat!("The bias ", $shape, ", once built, where there is one.")]
        pub fn bias(&self) -> Option<&$crate::Param> {
            self.factors.bias.as_ref()
        }
    };
    (epsilon of $of:literal, weight of $shape:literal) => {
        #[doc = concat!("ε, added to the ", $of, ".")]
        #[must_use]
        pub fn epsilon(mut self, epsilon: f64) -> Self {
            self.epsilon = epsilon;
            self
        }

        /// Whether it learns factors.
        #[must_use]
        pub fn affine(mut self, affine: bool) -> Self {
            self.affine = affine;
            self
        }

        #[doc = concat!("The weight ", $shape, ", once built, where there is one.")]
        pub fn weight(&self) -> Option<&$crate::Param> {
            self.factors.weight.as_ref()
        }
    };
}
pub(super) use norm_settings;
