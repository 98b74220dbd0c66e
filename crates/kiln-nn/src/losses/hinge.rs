//! Losses with a margin: nothing is lost beyond it.

use super::cross_entropy::Rows;
use super::{Loss, pair};
use crate::ClassAxis;
use kiln_autograd::Var;
use kiln_tensor::{Result, Shape, Tensor};

macro_rules! of_signs {
    ($($(#[$doc:meta])* $loss:ident $name:literal $of:expr;)+) => {$(
        $(#[$doc])*
        ///
        /// Targets are −1 or 1, or 0 or 1, of which 0 is taken as −1 as Keras does; of the predictions' shape, or (n,) with (n, 1).
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

/// max(0, 1 − t·p): what lacks to the margin.
fn lacking(loss: &'static str, prediction: &Var, target: &Var) -> Result<Var> {
    let (p, t) = pair(loss, prediction, target)?;
    let number = |value: f64| Tensor::full((), value, t.dtype(), t.device());
    let is_zero = t.tensor().eq(&number(0.0)?)?;
    let t = Var::select(&is_zero, &Var::constant(number(-1.0)?), &t)?;
    t.mul(&p)?.affine(-1.0, 1.0)?.relu()
}

/// max(0, 1 + max of the other classes' scores − score of the target's class), with targets one-hot (Keras's `CategoricalHinge`): the
/// maximum of (1 − t)·p minus Σ t·p. Where the classes are: [`ClassAxis`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CategoricalHinge {
    axis: ClassAxis,
}

impl CategoricalHinge {
    /// The loss.
    pub const fn new() -> Self {
        CategoricalHinge { axis: ClassAxis::BY_RANK }
    }

    /// The axis of classes, the batch's being 0; negative ones count from the end. Without it the last one, of maps (rank 4 and more)
    /// axis 1.
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
