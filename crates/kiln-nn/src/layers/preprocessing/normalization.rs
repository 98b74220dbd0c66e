//! Features brought to mean 0 and variance 1.

use super::{Adapt, Moments, floats};
use crate::layers::setters::setters;
use crate::{Buffer, ClassAxis, Ctx, Describe, Init, Layer, LayerPrecision, Module};
use kiln_autograd::Var;
use kiln_tensor::{DType, Device, Error, ErrorKind, Result, Several, Shape, Tensor, axis_index};
use serde::{Deserialize, Serialize};

/// What a standard deviation is at least, as in Keras: features that are always the same become 0.
const SMALLEST: f64 = 1e-7;

/// y = (x − mean) / max(√variance, 10⁻⁷) with a mean and a variance for each feature, learned from data before training (Keras's
/// `Normalization`). Integers become floats.
///
/// Features are along the last axis of (N, features) and (N, steps, features), and along axis 1 of images (N, C, H, W);
/// [`axis`](Normalization::axis) names another. Both are buffers, `mean` and `variance`, so they are saved with the weights.
///
/// ```
/// use kiln_nn::{Adapt, Ctx, Dense, Normalization, Sequential};
/// use kiln_tensor::{Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let data = Tensor::from_slice(&[0.0f32, 10.0, 2.0, 30.0], [2, 2], &Device::cpu())?;
/// let mut normalization = Normalization::new();
/// normalization.adapt(&data)?; // of the training data; `adapt_batches` takes what does not fit into memory
/// let model = Sequential::new().push(normalization).build([2], &Device::cpu(), 1)?;
/// let y = model.forward(&data, &Ctx::eval())?;
/// assert_eq!(y.tensor().to_vec::<f32>()?, [-1.0, -1.0, 1.0, 1.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Default, Debug, Serialize, Deserialize)]
#[describe(settings, elementwise)]
pub struct Normalization {
    #[serde(skip)]
    mean: Option<Buffer>,
    #[serde(skip)]
    variance: Option<Buffer>,
    /// Sizes of mean and variance, once they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[module(skip)]
    shape: Option<Vec<usize>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::several::optional")]
    #[module(skip)]
    axes: Option<Vec<isize>>,
    #[serde(default)]
    invert: bool,
}

impl Normalization {
    /// A layer that is to be adapted to data.
    pub fn new() -> Self {
        Normalization::default()
    }

    /// Of a known mean and variance for each feature, or one for all.
    ///
    /// # Errors
    /// Not as many means as variances, or none; numbers that are not finite; a variance below 0.
    pub fn with_moments(mean: &[f64], variance: &[f64]) -> Result<Self> {
        if mean.len() != variance.len() || mean.is_empty() {
            let message = format!("as many means as variances are expected, got {} and {}", mean.len(), variance.len());
            return Err(Error::value("normalization", message));
        }
        let mut layer = Normalization::new();
        layer.set(&[mean.len()], mean, variance)?;
        Ok(layer)
    }

    setters! {
        /// The axis of features, `1`, or axes, `[1, 2]`, counted with the batch's as 0; negative ones count from the end.
        fn axis(self, axes: impl Several) { self.axes = Some(axes.several()) }

        /// Whether to go back: y = x · max(√variance, 10⁻⁷) + mean, of normalized features or predictions.
        fn invert(self, invert: bool) { self.invert = invert }
    }

    /// One mean and variance for all elements (Keras's `axis=None`).
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.axes = Some(Vec::new());
        self
    }

    /// Mean and variance, once known.
    pub fn moments(&self) -> Option<(&Buffer, &Buffer)> {
        self.mean.as_ref().zip(self.variance.as_ref())
    }

    /// The axes of a batch that have moments of their own.
    fn kept(&self, batch: &Shape) -> Result<Vec<usize>> {
        let kept = match &self.axes {
            Some(axes) => axes.iter().map(|&axis| axis_index("normalization", axis, batch)).collect::<Result<Vec<_>>>()?,
            None if batch.rank() < 2 => Vec::new(),
            None => vec![ClassAxis::BY_RANK.of("normalization", batch)?],
        };
        if kept.contains(&0) {
            return Err(Error::value("normalization", "axis 0 is that of the batch: it has no features"));
        }
        Ok(kept)
    }

    /// Takes over moments: in the type and on the device of those that were there.
    fn set(&mut self, shape: &[usize], mean: &[f64], variance: &[f64]) -> Result<()> {
        let wrong = mean.iter().zip(variance).position(|(mean, v)| !mean.is_finite() || !(0.0..f64::INFINITY).contains(v));
        if let Some(at) = wrong {
            let message = format!(
                "feature {at} has the mean {} and the variance {}: both must be finite, and a variance at least 0; are values \
                 missing, or infinite?",
                mean[at], variance[at]
            );
            return Err(Error::value("normalization", message));
        }
        let before = self.mean.as_ref().filter(|mean| mean.value().dims() == shape);
        let (device, dtype) = match before {
            Some(mean) => (mean.value().device().clone(), mean.value().dtype()),
            None => (Device::cpu(), DType::F64),
        };
        let buffer = |values: &[f64]| -> Result<Buffer> {
            let value = Tensor::from_slice(values, Shape::new(shape)?, &Device::cpu())?;
            Ok(Buffer::new(value.to_dtype(dtype)?.to_device(&device)?))
        };
        let (mean, variance) = (buffer(mean)?, buffer(variance)?);
        (self.mean, self.variance, self.shape) = (Some(mean), Some(variance), Some(shape.to_vec()));
        Ok(())
    }

    /// Moments as they lie along the axes of a batch.
    fn along(&self, batch: &Shape, moments: &Tensor) -> Result<Tensor> {
        let kept = self.kept(batch)?;
        let sizes: Vec<usize> = kept.iter().map(|&axis| batch[axis]).collect();
        let mut dims = vec![1; batch.rank()];
        if moments.elements() != 1 {
            if sizes != moments.dims() {
                return Err(misfit(&sizes, moments.dims()));
            }
            kept.iter().for_each(|&axis| dims[axis] = batch[axis]);
        }
        // Moments are in the order in which the axes were named.
        let mut order: Vec<usize> = (0..kept.len()).collect();
        order.sort_by_key(|&at| kept[at]);
        let moments = if moments.rank() == kept.len() { moments.permute(&order)? } else { moments.clone() };
        moments.reshape(Shape::new(&dims)?)
    }
}

#[cold]
fn misfit(features: &[usize], moments: &[usize]) -> Error {
    let message = format!(
        "the layer knows the mean and variance of features of sizes {moments:?}, and these are of sizes {features:?}; adapt it to \
         data of this shape, or name the features' axis with `.axis(…)`"
    );
    Error::shape("normalization", message)
}

impl Adapt for Normalization {
    type Seen = Moments;

    fn see(&self, seen: &mut Moments, batch: &Tensor) -> Result<()> {
        if batch.rank() == 0 {
            return Err(Error::shape("adapt", "a batch (N, …) is expected, got one number"));
        }
        seen.add(batch, &self.kept(batch.shape())?)
    }

    fn learn(&mut self, seen: Moments) -> Result<()> {
        if seen.count < 2.0 {
            let message = match seen.count {
                0.0 => "there is no data, so no mean and variance",
                _ => "the variance of one value is not known: give two samples or more, or `Normalization::with_moments`",
            };
            return Err(Error::value("adapt", message));
        }
        self.set(&seen.shape, &seen.mean, &seen.variance())
    }
}

impl Layer for Normalization {
    type Input = Var;
    type Output = Var;

    /// Data as it comes may need more than a half type's 8 or 11 bits.
    fn precision(&self) -> LayerPrecision {
        LayerPrecision::Full
    }

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let (mean, variance) = self.moments().ok_or_else(unknown)?;
        let x = floats(&x, mean.value().dtype(), ctx)?;
        let (dtype, wide) = (x.dtype(), x.dtype().computed_in());
        let moments = |of: &Buffer| self.along(x.shape(), of.value())?.to_dtype(wide);
        let (mean, std) = (Var::constant(moments(mean)?), Var::constant(moments(variance)?.sqrt()?.clamp(SMALLEST, f64::INFINITY)?));
        let x = x.to_dtype(wide)?;
        let y = if self.invert { x.mul(&std)?.add(&mean)? } else { x.sub(&mean)?.div(&std)? };
        y.to_dtype(dtype)
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let shape = self.shape.clone().ok_or_else(unknown)?;
        let batch = Shape::new(&[&[1], &input[..]].concat())?;
        let sizes: Vec<usize> = self.kept(&batch)?.into_iter().map(|axis| batch[axis]).collect();
        if shape != sizes && shape.iter().product::<usize>() != 1 {
            return Err(misfit(&sizes, &shape));
        }
        for (moments, first) in [(&mut self.mean, 0.0), (&mut self.variance, 1.0)] {
            let mut buffer = init.buffer(&shape, first)?;
            let Some(known) = moments.as_ref().map(Buffer::value) else {
                *moments = Some(buffer);
                continue;
            };
            if known.dtype() != buffer.value().dtype() || known.device() != init.device() {
                buffer.set(known.to_dtype(buffer.value().dtype())?.to_device(init.device())?)?;
                *moments = Some(buffer);
            }
        }
        Ok(*input)
    }
}

#[cold]
fn unknown() -> Error {
    let message = "mean and variance are not known: call `adapt` with the training data first, or make the layer with \
                   `Normalization::with_moments`";
    Error::new(ErrorKind::Build, "normalization", message)
}
