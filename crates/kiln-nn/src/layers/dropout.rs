//! Dropout.

use crate::{Ctx, Init, Layer, Module};
use kiln_autograd::Var;
use kiln_math::Purpose;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// In training, each element becomes 0 with probability `rate` and the others are divided by 1 − rate, so that the
/// expected value stays (inverted dropout, as in Keras and PyTorch; Srivastava et al. 2014). Otherwise x itself.
///
/// What is dropped is fixed by the run's seed, the step and the layer's place in the model.
#[derive(Module, Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Dropout {
    rate: f64,
}

impl Dropout {
    /// The layer; a rate outside [0, 1) is reported when it is built or run.
    pub fn new(rate: f64) -> Self {
        Dropout { rate }
    }

    fn checked(&self) -> Result<f64> {
        if (0.0..1.0).contains(&self.rate) {
            return Ok(self.rate);
        }
        Err(Error::value("dropout", format!("a rate in [0, 1) is expected, got {}", self.rate)))
    }
}

impl Layer for Dropout {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let rate = self.checked()?;
        if rate == 0.0 || !ctx.is_training() {
            return Ok(x.clone());
        }
        x.dropout(rate, &ctx.stream_tensor(Purpose::Dropout, x.device())?)
    }
    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        self.checked()?;
        Ok(*input)
    }
    fn config(&self) -> Option<Value> {
        serde_json::to_value(self).ok()
    }
}
