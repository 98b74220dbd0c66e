//! Losses of the angle between two vectors.

use super::{Loss, computed_in, pair};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape, Tensor, axis_index};

/// What the product of two lengths is kept from 0 by, as in PyTorch.
const FLOOR: f64 = 1e-8;

/// −cos(p, t) of each vector along the last axis (Keras's loss `CosineSimilarity`): −1 where both point the same way, 0 where they are at a
/// right angle or one of them is 0. Targets of the predictions' shape.
#[derive(Clone, Copy, Debug)]
pub struct CosineSimilarity {
    axis: isize,
}

impl Default for CosineSimilarity {
    fn default() -> Self {
        CosineSimilarity::new()
    }
}

impl CosineSimilarity {
    /// The loss.
    pub const fn new() -> Self {
        CosineSimilarity { axis: -1 }
    }

    /// The axis of the vectors, the batch's being 0; negative ones count from the end.
    #[must_use]
    pub const fn axis(self, axis: isize) -> Self {
        CosineSimilarity { axis }
    }
}

/// Σ a·b / (‖a‖·‖b‖) along an axis.
fn cosine(a: &Var, b: &Var, axis: usize) -> Result<Var> {
    // √ has no slope at 0.
    let length = |x: &Var| x.square()?.sum(axis)?.clamp(FLOOR * FLOOR, f64::INFINITY)?.sqrt();
    a.mul(b)?.sum(axis)?.div(&length(a)?)?.div(&length(b)?)
}

impl Loss for CosineSimilarity {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        let axis = axis_index(self.name(), self.axis, prediction.shape())?;
        if axis == 0 {
            let message = format!("predictions (n, …) with an axis of vectors are expected, got {}", prediction.shape());
            return Err(Error::shape(self.name(), message));
        }
        let (p, t) = pair(self.name(), prediction, target)?;
        cosine(&p, &t, axis)?.neg()
    }
    fn class_axis(&self, prediction: &Shape) -> Result<Option<usize>> {
        axis_index(self.name(), self.axis, prediction).map(Some)
    }
    fn name(&self) -> &'static str {
        "cosine_similarity"
    }
}

/// Of pairs of vectors a, b (n, d) and y (n,): 1 − cos(a, b) where y is 1, they belong together, and max(0, cos(a, b) − margin) where
/// y is −1 (PyTorch's `CosineEmbeddingLoss`). It has two operands beside the targets, so it is called by an objective of your own:
///
/// ```
/// use kiln_autograd::Var;
/// use kiln_nn::CosineEmbedding;
/// use kiln_tensor::{Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let cpu = Device::cpu();
/// let vector = |values: &[f64]| Tensor::from_slice(values, [1, 2], &cpu).map(Var::from);
/// let together = Tensor::from_slice(&[1.0f64], [1], &cpu)?;
/// let loss = CosineEmbedding::new().forward(&vector(&[1.0, 0.0])?, &vector(&[0.0, 2.0])?, &together)?;
/// assert_eq!(loss.item()?, 1.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CosineEmbedding {
    margin: f64,
}

impl CosineEmbedding {
    /// The loss with a margin of 0, as in PyTorch.
    pub const fn new() -> Self {
        CosineEmbedding { margin: 0.0 }
    }

    /// The margin, from −1 to 1; another one is reported when the loss is computed.
    #[must_use]
    pub const fn margin(self, margin: f64) -> Self {
        CosineEmbedding { margin }
    }

    /// The loss of each pair, (n,).
    ///
    /// # Errors
    /// Operands that are not two of (n, d) and one of (n,); a margin out of range.
    pub fn each(&self, a: &Var, b: &Var, together: &Tensor) -> Result<Var> {
        const NAME: &str = "cosine_embedding";
        if !(-1.0..=1.0).contains(&self.margin) {
            return Err(Error::value(NAME, format!("a margin from −1 to 1 is expected, got {}", self.margin)));
        }
        if a.shape() != b.shape() || a.shape().rank() != 2 || together.dims() != &a.dims()[..1] {
            let message = format!(
                "two of (n, d) and signs (n,) are expected, got {}, {} and {}",
                a.shape(),
                b.shape(),
                together.shape()
            );
            return Err(Error::shape(NAME, message));
        }
        let dtype = computed_in(a.dtype());
        let cosine = cosine(&a.to_dtype(dtype)?, &b.to_dtype(dtype)?, 1)?;
        let is_together = together.gt(&Tensor::zeros((), together.dtype(), together.device())?)?;
        let apart = cosine.add_scalar(-self.margin)?.relu()?;
        Var::select(&is_together, &cosine.affine(-1.0, 1.0)?, &apart)
    }

    /// The mean of all pairs.
    ///
    /// # Errors
    /// As [`CosineEmbedding::each`].
    pub fn forward(&self, a: &Var, b: &Var, together: &Tensor) -> Result<Var> {
        self.each(a, b, together)?.mean_all()?.to_dtype(a.dtype())
    }
}
