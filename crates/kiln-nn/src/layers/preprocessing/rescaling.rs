//! Numbers on another scale.

use super::floats;
use crate::{Ctx, Describe, Init, Layer, LayerPrecision, Module};
use kiln_autograd::Var;
use kiln_tensor::{DType, Error, Result, Shape};
use serde::{Deserialize, Serialize};

/// y = x · scale + offset (Keras's `Rescaling`): `Rescaling::new(1.0 / 127.5, -1.0)` brings pixels from 0 to 255 to −1 to 1.
/// Integers become f32.
///
/// ```
/// use kiln_nn::{Ctx, Rescaling, Sequential};
/// use kiln_tensor::{Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new().push(Rescaling::new(1.0 / 255.0, 0.0)).build([2], &Device::cpu(), 1)?;
/// let pixels = Tensor::from_slice(&[0u8, 255], [1, 2], &Device::cpu())?;
/// assert_eq!(model.forward(pixels, &Ctx::eval())?.tensor().to_vec::<f32>()?, [0.0, 1.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Copy, Debug, Serialize, Deserialize)]
#[describe(settings, elementwise)]
pub struct Rescaling {
    scale: f64,
    #[serde(default)]
    offset: f64,
}

impl Rescaling {
    /// x · scale + offset.
    pub fn new(scale: f64, offset: f64) -> Self {
        Rescaling { scale, offset }
    }
}

impl Layer for Rescaling {
    type Input = Var;
    type Output = Var;

    /// Data as it comes may need more than a half type's 8 or 11 bits.
    fn precision(&self) -> LayerPrecision {
        LayerPrecision::Full
    }

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        floats(&x, DType::F32, ctx)?.affine(self.scale, self.offset)
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        let Rescaling { scale, offset } = self;
        if !(scale.is_finite() && offset.is_finite()) {
            return Err(Error::value("rescaling", format!("finite numbers are expected, got {scale} and {offset}")));
        }
        Ok(*input)
    }
}
