//! Hinge losses.

use super::rows::Rows;
use super::{Loss, pair};
use crate::ClassAxis;
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape, Tensor};

macro_rules! of_signs {
    ($($(#[$doc:meta])* $loss:ident $name:literal $of:expr;)+) => {$(
        $(#[$doc])*
        ///
        /// Targets are −1 or 1, or 0 or 1, where 0 is used as −1, as in Keras. They have the predictions' shape, or
        /// (n,) with (n, 1).
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $loss;

        impl $loss {
            /// The loss.
            pub const fn new() -> Self {
                $loss
            }
        }

        impl Loss for $loss {
            fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
                let of: fn(Var) -> Result<Var> = $of;
                of(lacking(self.name(), prediction, target)?)
            }
            fn name(&self) -> &'static str {
                $name
            }
        }
    )+};
}
of_signs! {
    /// max(0, 1 − t·p) of each number.
    Hinge "hinge" Ok;
    /// max(0, 1 − t·p)² of each number.
    SquaredHinge "squared_hinge" |lacking| lacking.square();
}

/// max(0, 1 − t·p)
fn lacking(loss: &'static str, prediction: &Var, target: &Var) -> Result<Var> {
    let (p, t) = pair(loss, prediction, target)?;
    let number = |value: f64| Tensor::full((), value, t.dtype(), t.device());
    let is_zero = t.tensor().eq(&number(0.0)?)?;
    let t = Var::select(&is_zero, &Var::constant(number(-1.0)?), &t)?;
    t.mul(&p)?.affine(-1.0, 1.0)?.relu()
}

/// max(0, 1 + max((1 − t)·p) − Σ t·p) with one-hot targets: the margin between the target's score and the largest
/// other score (Keras's `CategoricalHinge`). The axis of classes: [`ClassAxis`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CategoricalHinge {
    axis: ClassAxis,
}

impl CategoricalHinge {
    /// The loss.
    pub const fn new() -> Self {
        CategoricalHinge { axis: ClassAxis::BY_RANK }
    }

    /// The axis of classes; the batch is axis 0, negative ones count from the end. By default it is the last one, and
    /// axis 1 for maps (rank 4 and more).
    #[must_use]
    pub const fn axis(self, axis: isize) -> Self {
        CategoricalHinge { axis: ClassAxis::at(axis) }
    }
}

impl Loss for CategoricalHinge {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        let rows = Rows::new(self.name(), prediction, self.axis, true)?;
        let (t, x) = (rows.distributions(target)?, rows.scores()?);
        let others = t.affine(-1.0, 1.0)?.mul(&x)?.max(1)?;
        rows.shaped(others.sub(&t.mul(&x)?.sum(1)?)?.add_scalar(1.0)?.relu()?)
    }
    fn class_axis(&self, prediction: &Shape) -> Result<Option<usize>> {
        self.axis.of(self.name(), prediction).map(Some)
    }
    fn labels(&self, target: &Tensor) -> Result<Tensor> {
        target.argmax(self.axis.of("class_weight", target.shape())?)
    }
    fn name(&self) -> &'static str {
        "categorical_hinge"
    }
}

/// p where the target is 1, and max(0, margin − p) where it is −1, of distances p: PyTorch's `HingeEmbeddingLoss`. Targets of the
/// predictions' shape, or (n,) with (n, 1).
///
/// ```
/// use kiln_nn::{HingeEmbedding, Loss};
/// use kiln_tensor::{Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let cpu = Device::cpu();
/// let distances = Tensor::from_slice(&[0.5f32, 0.25], [2], &cpu)?;
/// let alike = Tensor::from_slice(&[1.0f32, -1.0], [2], &cpu)?;
/// assert_eq!(HingeEmbedding::new().forward(&distances.into(), &alike)?.item()?, (0.5 + 0.75) / 2.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HingeEmbedding {
    margin: f64,
}

impl Default for HingeEmbedding {
    fn default() -> Self {
        HingeEmbedding::new()
    }
}

impl HingeEmbedding {
    /// The loss with a margin of 1, as in PyTorch.
    pub const fn new() -> Self {
        HingeEmbedding { margin: 1.0 }
    }

    /// The margin, a finite number; another one is reported when the loss is computed.
    #[must_use]
    pub const fn margin(self, margin: f64) -> Self {
        HingeEmbedding { margin }
    }
}

impl Loss for HingeEmbedding {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        if !self.margin.is_finite() {
            return Err(Error::value(self.name(), format!("a finite margin is expected, got {}", self.margin)));
        }
        let (p, t) = pair(self.name(), prediction, target)?;
        let alike = t.tensor().gt(&Tensor::zeros((), t.dtype(), t.device())?)?;
        Var::select(&alike, &p, &p.affine(-1.0, self.margin)?.relu()?)
    }
    fn name(&self) -> &'static str {
        "hinge_embedding"
    }
}
