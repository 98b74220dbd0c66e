//! Losses: how far predictions are from targets.

/// The losses, by the file that they are in. [`all`](self::all), and with it the exports and the prelude of `kiln`, follows.
macro_rules! losses {
    ($($module:ident: $($name:ident)+;)+) => {
        $(mod $module;)+

        /// All losses.
        pub mod all {
            $(pub use super::$module::{$($name),+};)+
        }

        /// Calls `$callback! { Name … }` with all losses.
        #[doc(hidden)]
        #[macro_export]
        macro_rules! for_each_loss {
            ($callback:path) => {
                $callback! { $($($name)+)+ }
            };
        }
    };
}

losses! {
    binary: BinaryCrossentropy;
    cosine: CosineEmbedding CosineSimilarity;
    cross_entropy: CategoricalCrossentropy SparseCategoricalCrossentropy;
    ctc: Ctc;
    dice: Dice;
    distance: Contrastive MarginRanking TripletMargin;
    divergence: KlDivergence;
    focal: BinaryFocal CategoricalFocal;
    hinge: CategoricalHinge Hinge HingeEmbedding SquaredHinge;
    huber: Huber LogCosh SmoothL1;
    likelihood: GaussianNll Nll PoissonNll;
    regression: MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError;
    wrappers: ClassWeighted Summed;
}

mod aligned;
mod boxed;
mod check;
mod counting;
mod greedy;
mod projected;
mod rows;

pub use aligned::{aligned, expect_own_targets, targets_for};
pub use counting::{Counting, Reduction, laid_over};

use crate::{ClassAxis, Projection, Value};
use kiln_autograd::Var;
use kiln_tensor::{DType, Result, Shape, Tensor};

/// A loss. The first axis of predictions and targets counts samples. Of one number for each sample, the targets may be (n,)
/// or (n, 1), whichever of the two the predictions are.
///
/// A custom loss says in [`Loss::each`] what each target's loss is (PyTorch's `reduction="none"`); means, sums, weights and masks
/// follow, and give it targets in
/// the predictions' shape where the two differ by axes of size 1 at the end. Of probabilities it
/// should ask for the logits: [`Var::origin`].
///
/// ```
/// use kiln_autograd::Var;
/// use kiln_nn::Loss;
/// use kiln_tensor::{Device, Result, Tensor};
///
/// /// cosh(p − t) − 1
/// struct Cosh;
/// impl Loss for Cosh {
///     fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
///         prediction.sub(target)?.cosh()?.add_scalar(-1.0)
///     }
///     fn name(&self) -> &'static str {
///         "cosh"
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let cpu = Device::cpu();
/// let (p, t) = (Tensor::from_slice(&[0.0f32, 1.0], [2, 1], &cpu)?, Tensor::from_slice(&[0.0f32, 0.0], [2, 1], &cpu)?);
/// let loss = Cosh.forward(&Var::from(p), &t)?.item()?;
/// assert!((loss - 0.5 * (1f64.cosh() - 1.0)).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
pub trait Loss: Send + Sync {
    /// The loss of each target, its first axes those of the predictions: (n,) of one label a sample, (n, T) of a label a step,
    /// (n, H, W) of a label a pixel; of numbers one for each, in the predictions' shape.
    ///
    /// Of half types it may be f32: means are rounded once, at the end. Targets that have a gradient get one, of losses against
    /// numbers and distributions ([`Loss::between`]).
    ///
    /// # Errors
    /// Predictions and targets that do not fit each other; targets that mean nothing to this loss.
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var>;

    /// The axis of such predictions that [`Loss::each`] takes together, the axis of classes; none where it has one loss for
    /// each number. Masks and weights of steps or pixels are laid over the others.
    ///
    /// # Errors
    /// Predictions without the axis that was asked for.
    fn class_axis(&self, _prediction: &Shape) -> Result<Option<usize>> {
        Ok(None)
    }

    /// The class of each target, which class weights go by: integers are classes, of float rows (one-hot) the largest is, and
    /// single floats are rounded.
    ///
    /// # Errors
    /// Targets without an axis of classes where one was asked for.
    fn labels(&self, target: &Tensor) -> Result<Tensor> {
        labels_of(target)
    }

    /// Which targets count, bool, its axes the first of the losses', where the targets themselves say so (`ignore_index`); else all
    /// do. What does not count is no part of any mean, here and in metrics.
    ///
    /// # Errors
    /// Out of memory.
    fn counts(&self, _target: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// Whether a mask bool (n, T) speaks of these predictions and targets: whether there is a loss of each step.
    ///
    /// # Errors
    /// As [`Loss::class_axis`].
    fn takes_mask(&self, mask: &Tensor, prediction: &Shape, target: &Shape) -> Result<bool> {
        let mut losses = prediction.to_vec();
        if let Some(classes) = self.class_axis(prediction)? {
            losses.remove(classes);
        }
        let of_steps = |dims: &[usize]| dims.starts_with(mask.dims());
        Ok(of_steps(&losses) && (of_steps(target) || target == prediction))
    }

    /// What is made of the losses of a batch: their mean, or with [`Summed`](self::all::Summed) their sum.
    fn reduction(&self) -> Reduction {
        Reduction::Mean
    }

    /// The mean loss of each sample, (n,).
    ///
    /// # Errors
    /// As [`Loss::each`].
    fn per_sample(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        mean_per_sample(&aligned::losses(self, prediction, &Var::from(target))?)?.to_dtype(prediction.dtype())
    }

    /// The mean of all that count, or the sum ([`Loss::reduction`]): one number, to call `backward` on. 0 where none counts.
    ///
    /// # Errors
    /// As [`Loss::each`].
    fn forward(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        counting::reduced(self, prediction, &Var::from(target), Counting::default())
    }

    /// As [`Loss::forward`], with targets that something was computed for: the gradient reaches both.
    ///
    /// # Errors
    /// As [`Loss::each`].
    fn between(&self, prediction: &Var, target: &Var) -> Result<Var> {
        counting::reduced(self, prediction, target, Counting::default())
    }

    /// The mean of weight·loss, of one weight for each sample (n,) or for each step (n, T): as [`Loss::counted`].
    ///
    /// # Errors
    /// As [`Loss::counted`].
    fn weighted(&self, prediction: &Var, target: &Tensor, weights: &Tensor) -> Result<Var> {
        self.counted(prediction, target, Counting { weights: Some(weights), ..Counting::default() })
    }

    /// Σ weight·loss / number of losses, where the mask and [`Loss::counts`] leave some out of the sum and of the number. 0 where
    /// they leave out all.
    ///
    /// As in Keras it is the number that divides, not the sum of the weights as in PyTorch's `CrossEntropyLoss(weight)`.
    /// What is masked or has the weight 0 is not looked at: it may be NaN, in predictions and targets.
    ///
    /// # Errors
    /// As [`Loss::each`]; a mask or weights that do not fit the losses, weights below 0 or not finite.
    fn counted(&self, prediction: &Var, target: &Tensor, counting: Counting<'_>) -> Result<Var> {
        counting::reduced(self, prediction, &Var::from(target), counting)
    }

    /// As [`Loss::counted`] of an output as a model gives it. That of a last layer over a large vocabulary is only computed where
    /// the loss cannot do without it.
    ///
    /// # Errors
    /// As [`Loss::counted`]; several outputs.
    fn of_output(&self, output: &Value, target: &Tensor, counting: Counting<'_>) -> Result<Var> {
        if let Value::Projection(projection, _) = output
            && let Some(loss) = self.of_projection(projection, target, counting, self.reduction())?
        {
            return Ok(loss);
        }
        self.counted(output.as_var()?, target, counting)
    }

    /// As [`Loss::counted`] of an output that is not computed, where this loss can do without it; `reduction` says what is made of
    /// the losses.
    ///
    /// # Errors
    /// As [`Loss::counted`].
    fn of_projection(
        &self,
        _output: &Projection,
        _target: &Tensor,
        _counting: Counting<'_>,
        _reduction: Reduction,
    ) -> Result<Option<Var>> {
        Ok(None)
    }

    /// Keras's name: `sparse_categorical_crossentropy`.
    fn name(&self) -> &'static str;
}

/// The type that a loss of such predictions is computed in.
fn computed_in(dtype: DType) -> DType {
    if dtype == DType::F64 { DType::F64 } else { DType::F32 }
}

/// Predictions and targets in the type that the loss is computed in, of the predictions' shape. Nothing is broadcast: (n, 1)
/// against (n,) would compare every prediction with every target.
fn pair(loss: &'static str, prediction: &Var, target: &Var) -> Result<(Var, Var)> {
    let target = aligned::aligned_var(target, prediction.shape())?;
    if prediction.shape() != target.shape() {
        return Err(aligned::misfit(loss, prediction.shape(), target.shape()));
    }
    let dtype = computed_in(prediction.dtype());
    Ok((prediction.to_dtype(dtype)?, target.to_dtype(dtype)?))
}

/// The mean of all but the first axis.
fn mean_per_sample(x: &Var) -> Result<Var> {
    match x.shape().rank() {
        0 => x.unsqueeze(0),
        1 => Ok(x.clone()),
        _ => x.flatten(1)?.mean(-1),
    }
}

/// Whether a target holds class numbers.
fn is_label(dtype: DType) -> bool {
    dtype.is_integer()
}

/// The class of each target by its type, where no loss says more: integers are classes, of float rows (one-hot) the largest
/// is, and single floats are rounded.
///
/// # Errors
/// Out of memory.
pub fn labels_of(target: &Tensor) -> Result<Tensor> {
    if !target.dtype().is_float() || target.rank() < 2 {
        return rounded(target);
    }
    let axis = ClassAxis::BY_RANK.of("class_weight", target.shape())?;
    if target.dims()[axis] == 1 { rounded(target) } else { target.argmax(axis)?.unsqueeze(axis) }
}

/// Numbers as those of classes.
fn rounded(target: &Tensor) -> Result<Tensor> {
    let numbers = if target.dtype().is_float() { target.round()? } else { target.clone() };
    numbers.to_dtype(DType::I64)
}
