//! Dropout, of elements, of whole channels and of whole samples.

use super::spatial::{expect_batch, expect_sample};
use crate::{Ctx, Describe, Init, Layer, Module};
use kiln_autograd::Var;
use kiln_math::Purpose;
use kiln_tensor::{Error, Result, Shape, Tensor};
use serde::{Deserialize, Serialize};

/// In training, each element becomes 0 with probability `rate` and the others are divided by 1 − rate, so that the
/// expected value stays (inverted dropout, as in Keras and PyTorch; Srivastava et al. 2014); at a rate of 1 all become 0.
/// Otherwise x itself.
///
/// What is dropped is fixed by the run's seed, the step and the layer's place in the model.
#[derive(Module, Describe, Clone, Copy, Debug, Serialize, Deserialize)]
#[describe(settings)]
pub struct Dropout {
    rate: f64,
}

impl Dropout {
    /// The layer; a rate below 0 or above 1 is reported when it is built or run.
    pub fn new(rate: f64) -> Self {
        Dropout { rate }
    }
}

fn checked(rate: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&rate) {
        return Ok(rate);
    }
    Err(Error::value("dropout", format!("a rate from 0 to 1 is expected, got {rate}")))
}

/// x, of which whole parts are dropped: one draw for each index of the first axes.
fn dropped(x: &Var, axes: usize, rate: f64, ctx: &Ctx) -> Result<Var> {
    let mut parts = vec![1; x.shape().rank()];
    parts[..axes].copy_from_slice(&x.dims()[..axes]);
    let ones = Tensor::ones(parts, x.dtype(), x.device())?;
    x.mul(&Var::constant(ones.dropout(rate, &ctx.stream_tensor(Purpose::Dropout, x.device())?)?))
}

impl Layer for Dropout {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let rate = checked(self.rate)?;
        if rate == 0.0 || !ctx.is_training() {
            return Ok(x);
        }
        x.dropout(rate, &ctx.stream_tensor(Purpose::Dropout, x.device())?)
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        checked(self.rate)?;
        Ok(*input)
    }
}

/// [`Dropout`] of whole channels of x (N, C, D…): neighboring pixels are much alike, so that dropping single ones takes
/// little away (Tompson et al. 2015). [`Dropout1d`], [`Dropout2d`] and [`Dropout3d`] are its names.
///
/// PyTorch's `Dropout2d`, Keras's `SpatialDropout2D`, and their kin.
#[derive(Module, Describe, Clone, Copy, Debug, Serialize, Deserialize)]
#[describe(settings, spatial = "Dropout")]
pub struct ChannelDropout<const N: usize> {
    rate: f64,
}

/// Of channels of sequences (N, C, L).
pub type Dropout1d = ChannelDropout<1>;
/// Of channels of images (N, C, H, W).
pub type Dropout2d = ChannelDropout<2>;
/// Of channels of volumes (N, C, D, H, W).
pub type Dropout3d = ChannelDropout<3>;

impl<const N: usize> ChannelDropout<N> {
    /// The layer; a rate below 0 or above 1 is reported when it is built or run.
    pub fn new(rate: f64) -> Self {
        ChannelDropout { rate }
    }
}

impl<const N: usize> Layer for ChannelDropout<N> {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let rate = checked(self.rate)?;
        expect_batch::<N>("dropout", x.shape())?;
        if rate == 0.0 || !ctx.is_training() {
            return Ok(x);
        }
        dropped(&x, 2, rate, ctx)
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        checked(self.rate)?;
        expect_sample::<N>("dropout", input)?;
        Ok(*input)
    }
}

/// [`Dropout`] of whole samples of x (N, …), for the main path of a residual block: a dropped sample passes through the shortcut
/// alone, as though the block were not there (stochastic depth, Huang et al. 2016). torchvision's `StochasticDepth` in the mode `row`.
///
/// ```
/// use kiln_nn::{Conv2d, DropPath, Residual, Sequential};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let main = Sequential::new().push(Conv2d::new(8, 3).padding(1)).push(DropPath::new(0.2));
/// let model = Sequential::new().push(Residual::new(main)).build([8, 6, 6], &kiln_tensor::Device::cpu(), 1)?;
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Copy, Debug, Serialize, Deserialize)]
#[describe(settings)]
pub struct DropPath {
    rate: f64,
}

impl DropPath {
    /// The layer; a rate below 0 or above 1 is reported when it is built or run.
    pub fn new(rate: f64) -> Self {
        DropPath { rate }
    }
}

impl Layer for DropPath {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let rate = checked(self.rate)?;
        if rate == 0.0 || !ctx.is_training() || x.shape().rank() == 0 {
            return Ok(x);
        }
        dropped(&x, 1, rate, ctx)
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        checked(self.rate)?;
        Ok(*input)
    }
}
