//! Numbers as the bins that they lie in.

use super::{Adapt, Quantiles};
use crate::{Ctx, Describe, Init, Layer, LayerPrecision, Module};
use kiln_autograd::Var;
use kiln_tensor::{DType, Error, ErrorKind, Result, Shape, Tensor};
use serde::{Deserialize, Serialize};

/// The bin of each number, i64: bin 0 is below the first boundary, bin i from boundary i − 1, which it contains, to below boundary
/// i, and the last bin from the last boundary on (Keras's `Discretization`). NaN is in the last one.
///
/// ```
/// use kiln_nn::{Adapt, Ctx, Discretization, Sequential};
/// use kiln_tensor::{Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let ages = Tensor::from_slice(&[3.0f32, 17.0, 18.0, 80.0], [4, 1], &Device::cpu())?;
/// let model = Sequential::new().push(Discretization::new(&[18.0, 65.0])).build([1], &Device::cpu(), 1)?;
/// assert_eq!(model.forward(&ages, &Ctx::eval())?.tensor().to_vec::<i64>()?, [0, 0, 1, 2]);
///
/// let mut layer = Discretization::quantiles(2);
/// layer.adapt(&ages)?;
/// assert_eq!(layer.boundaries(), Some(&[17.5][..]));
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, PartialEq, Debug, Serialize, Deserialize)]
#[describe(settings, elementwise)]
pub struct Discretization {
    #[module(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boundaries: Option<Vec<f64>>,
    #[module(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bins: Option<usize>,
}

impl Discretization {
    /// With these boundaries, which are finite and ascend.
    pub fn new(boundaries: &[f64]) -> Self {
        Discretization { boundaries: Some(boundaries.to_vec()), bins: None }
    }

    /// With boundaries at the quantiles of data, so that so many bins have about as many numbers each. Where many numbers are
    /// equal, quantiles are too, and there are fewer bins.
    pub fn quantiles(bins: usize) -> Self {
        Discretization { boundaries: None, bins: Some(bins) }
    }

    /// The boundaries, once known: one less than there are bins.
    pub fn boundaries(&self) -> Option<&[f64]> {
        self.boundaries.as_deref()
    }
}

impl Adapt for Discretization {
    type Seen = Quantiles;

    fn see(&self, seen: &mut Quantiles, batch: &Tensor) -> Result<()> {
        seen.add(batch)
    }

    fn learn(&mut self, seen: Quantiles) -> Result<()> {
        let count = seen.count();
        let bins = match self.bins {
            Some(bins) if count > 0 && bins as u64 > count => {
                let message = format!("{bins} bins need at least {bins} numbers, got {count}");
                return Err(Error::value("adapt", message));
            }
            Some(bins) if bins > 0 => bins,
            Some(_) => return Err(Error::value("adapt", "there must be 1 bin or more")),
            None => return Err(Error::value("adapt", "the boundaries are given: `Discretization::quantiles` learns them")),
        };
        let mut boundaries = seen.at((1..bins).map(|bin| bin as f64 / bins as f64))?;
        boundaries.dedup();
        self.boundaries = Some(boundaries);
        Ok(())
    }
}

impl Layer for Discretization {
    type Input = Var;
    type Output = Var;

    /// Data as it comes may need more than a half type's 8 or 11 bits.
    fn precision(&self) -> LayerPrecision {
        LayerPrecision::Full
    }

    fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
        let boundaries = self.boundaries.as_ref().ok_or_else(unknown)?;
        // Rounded to the type of the numbers, so that a number that is a boundary is in the bin above it.
        let rounded = if x.dtype().is_float() { x.dtype() } else { DType::F64 };
        let boundaries = Tensor::from_slice(boundaries, [boundaries.len()], x.device())?.to_dtype(rounded)?;
        let wide = rounded.computed_in();
        let bins = x.tensor().to_dtype(wide)?.bucketize(&boundaries.to_dtype(wide)?, true)?;
        Ok(Var::constant(bins))
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        let boundaries = self.boundaries.as_ref().ok_or_else(unknown)?;
        if !boundaries.is_sorted_by(|a, b| a < b) || boundaries.iter().any(|boundary| !boundary.is_finite()) {
            let message = format!("finite boundaries that ascend are expected, got {boundaries:?}");
            return Err(Error::value("discretization", message));
        }
        Ok(*input)
    }
}

#[cold]
fn unknown() -> Error {
    let message = "the boundaries are not known: call `adapt` with the training data first, or give them with \
                   `Discretization::new`";
    Error::new(ErrorKind::Build, "discretization", message)
}
