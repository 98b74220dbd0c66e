//! A rectifier that learns its slope.

use super::scale_shift::already_built;
use super::setters::setters;
use super::weights::unbuilt;
use crate::{Ctx, Describe, Fans, Init, Initializer, Layer, Module, Param};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};

/// x where positive, else weight·x with a weight that is learned (He et al. 2015): one weight, or one for each channel of
/// x (N, C, …). PyTorch's `PReLU`.
///
/// ```
/// use kiln_nn::{Module, PRelu, Sequential};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new().push(PRelu::new().by_channel(true)).build([16, 8, 8], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.state_dict()["0.weight"].dims(), [16]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings, elementwise)]
pub struct PRelu {
    #[serde(skip)]
    weight: Option<Param>,
    by_channel: bool,
    slope: f64,
}

impl Default for PRelu {
    fn default() -> Self {
        PRelu::new()
    }
}

impl PRelu {
    /// One weight for all elements, which begins at 0.25.
    pub fn new() -> Self {
        PRelu { weight: None, by_channel: false, slope: 0.25 }
    }

    /// The same layer, built for inputs of so many channels.
    ///
    /// # Errors
    /// Out of memory.
    pub fn with_channels(mut self, channels: usize, init: &mut Init) -> Result<Self> {
        self.build(&Shape::new(&[channels])?, init)?;
        Ok(self)
    }

    setters! {
        /// Whether each channel, axis 1 of the batch, has a weight of its own.
        fn by_channel(self, by_channel: bool) { self.by_channel = by_channel }

        /// What the weights begin at. By default 0.25, as in PyTorch; 0 in Keras.
        fn slope(self, slope: f64) { self.slope = slope }
    }

    /// The weight, (1) or (channels), once built.
    pub fn weight(&self) -> Option<&Param> {
        self.weight.as_ref()
    }
}

impl Layer for PRelu {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let weight = self.weight.as_ref().ok_or_else(|| unbuilt("PRelu::with_channels"))?;
        x.prelu(&weight.var(ctx))
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let weights = match (self.by_channel, input.dims().first()) {
            (false, _) => 1,
            (true, Some(&channels)) => channels,
            (true, None) => {
                let message = "samples of one number have no channels: leave out `by_channel(true)`";
                return Err(Error::shape("build", message));
            }
        };
        match &self.weight {
            Some(weight) if weight.value().dims() == [weights] => {}
            Some(weight) => return Err(already_built(weight.value().shape(), input)),
            None => {
                let (fans, start) = (Fans { input: 1, output: 1 }, Initializer::Constant(self.slope));
                self.weight = Some(init.param("weight", &[weights], fans, start)?);
            }
        }
        Ok(*input)
    }
}
