//! A bias alone.

use super::scale_shift::already_built;
use super::weights::unbuilt;
use crate::{Ctx, Describe, Fans, Init, Initializer, Layer, Module, Param};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};

/// x (…, F) plus a learned number for each feature, `bias` (F), which begins at 0: for outputs that are made by the weights of another
/// layer ([`Embedding::LOGITS`](crate::Embedding::LOGITS)). A [`Dense`](crate::Dense) has a bias of its own.
///
/// ```
/// use kiln_nn::{Bias, Module, Sequential};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new().push(Bias::new()).build([16], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.state_dict()["0.bias"].dims(), [16]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Default, Serialize, Deserialize)]
#[describe(settings, elementwise)]
pub struct Bias {
    #[serde(skip)]
    bias: Option<Param>,
}

impl Bias {
    /// To be built for its input.
    pub fn new() -> Self {
        Bias::default()
    }

    /// The bias (F), once built.
    pub fn bias(&self) -> Option<&Param> {
        self.bias.as_ref()
    }
}

impl Layer for Bias {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let bias = self.bias.as_ref().ok_or_else(|| unbuilt("Sequential::build"))?;
        if x.dims().last() != bias.value().dims().last() {
            let message = format!("{} features are expected, got {}", bias.value().elements(), x.shape());
            return Err(Error::shape("bias", message));
        }
        x.add(&bias.var(ctx))
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let Some(&features) = input.last() else {
            return Err(Error::shape("build", "an input of at least one axis beside the batch's is expected"));
        };
        match &self.bias {
            Some(bias) if bias.value().dims() == [features] => {}
            Some(bias) => return Err(already_built(bias.value().shape(), input)),
            None => {
                let fans = Fans { input: 1, output: 1 };
                self.bias = Some(init.param("bias", &[features], fans, Initializer::Zeros)?);
            }
        }
        Ok(*input)
    }
}
