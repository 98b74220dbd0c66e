//! Constraints: what a parameter is brought back to after each step, by Keras's names and formulas.

use crate::several;
use kiln_tensor::{Error, Result, Several, Tensor};
use serde::{Deserialize, Serialize};

/// Added to norms before one divides by them, as in Keras.
const EPSILON: f64 = 1e-7;

/// The axes of a weight over which norms are taken. By default all but the first: a weight is (out, …), so each output's
/// weights have a norm of their own; of a vector, its only axis. Keras's kernels are (…, out), where that is `axis=0` of a dense
/// layer and `axis=[0, 1, 2]` of a `Conv2D`.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Norms(#[serde(deserialize_with = "several::optional")] Option<Vec<isize>>);

impl Norms {
    fn of(&self, w: &Tensor) -> Result<Tensor> {
        let all_but_first = || if w.rank() == 1 { vec![0] } else { (1..w.rank() as isize).collect() };
        w.norm_keepdim(2.0, &self.0.clone().unwrap_or_else(all_but_first)[..])
    }

    fn check(&self, rank: usize) -> std::result::Result<(), String> {
        let rank = rank as isize;
        let mut seen = Vec::new();
        for &axis in self.0.iter().flatten() {
            if !(-rank..rank).contains(&axis) {
                return Err(format!("its axis {axis} is out of range of a parameter of {rank} axes"));
            }
            let from_start = axis.rem_euclid(rank);
            if seen.contains(&from_start) {
                return Err(format!("its axis {axis} of a parameter of {rank} axes is given twice"));
            }
            seen.push(from_start);
        }
        Ok(())
    }
}

/// Norms of at most `max`: w · min(‖w‖, max) / (‖w‖ + 10⁻⁷) (Srebro et al. 2005). `MaxNorm::new(3.0)`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(from = "MaxNormForm")]
pub struct MaxNorm {
    max: f64,
    #[serde(skip_serializing_if = "is_default")]
    axes: Norms,
}

/// As it is read: `3.0`, or `{"max": 3.0, "axes": [0]}`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "the largest norm, or it as `max` and the `axes`, is expected")]
enum MaxNormForm {
    Max(f64),
    Along {
        max: f64,
        #[serde(default)]
        axes: Norms,
    },
}

impl From<MaxNormForm> for MaxNorm {
    fn from(form: MaxNormForm) -> Self {
        match form {
            MaxNormForm::Max(max) => MaxNorm::new(max),
            MaxNormForm::Along { max, axes } => MaxNorm { max, axes },
        }
    }
}

/// No element below 0: those become 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NonNeg;

/// Norms of 1: w / (‖w‖ + 10⁻⁷).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitNorm {
    #[serde(default, skip_serializing_if = "is_default")]
    axes: Norms,
}

/// Norms from `min` to `max`: w · d / (‖w‖ + 10⁻⁷), where d is rate · clamp(‖w‖, min, max) + (1 − rate) · ‖w‖. A rate of 1, the
/// default, brings a norm to the nearest end at once; a lower one goes a part of the way in each step.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinMaxNorm {
    min: f64,
    max: f64,
    #[serde(default = "at_once")]
    rate: f64,
    #[serde(default, skip_serializing_if = "is_default")]
    axes: Norms,
}

/// The rate of a [`MinMaxNorm`] of which nothing else is said.
fn at_once() -> f64 {
    1.0
}

fn is_default(axes: &Norms) -> bool {
    axes.0.is_none()
}

macro_rules! over_axes {
    ($($name:ident)+) => {$(
        impl $name {
            /// Norms over this axis, `0`, or these, `[1, 2]`, of the parameter as Kiln has it; negative ones count from the end. By
            /// default over all axes but the first, so that each output's weights have a norm of their own; of a vector, over
            /// its only axis.
            #[must_use]
            pub fn axis(mut self, axes: impl Several) -> Self {
                self.axes = Norms(Some(axes.several()));
                self
            }
        }
    )+};
}
over_axes! { MaxNorm UnitNorm MinMaxNorm }

impl MaxNorm {
    /// Norms of at most this, 0 or more.
    pub fn new(max: f64) -> Self {
        MaxNorm { max, axes: Norms::default() }
    }
}

impl UnitNorm {
    /// Norms of 1.
    pub fn new() -> Self {
        UnitNorm::default()
    }
}

impl MinMaxNorm {
    /// Norms of at least `min` and at most `max`.
    pub fn new(min: f64, max: f64) -> Self {
        MinMaxNorm { min, max, rate: at_once(), axes: Norms::default() }
    }

    /// How much of the way a norm goes to the nearest end in each step, from 0 to 1.
    #[must_use]
    pub fn rate(mut self, rate: f64) -> Self {
        self.rate = rate;
        self
    }
}

/// What a parameter is brought back to after each step: a setting of a layer, `.kernel_constraint(MaxNorm::new(3.0))`.
///
/// [`Ctx::commit`](crate::Ctx::commit) applies it to trainable parameters; `fit` calls that after each step, and a custom loop
/// must too.
///
/// ```
/// # use kiln_nn::{Ctx, Dense, MaxNorm, Module, Sequential};
/// # use kiln_autograd::Var;
/// # use kiln_tensor::{DType, Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let cpu = Device::cpu();
/// # let x = Var::constant(Tensor::ones([1, 3], DType::F32, &cpu)?);
/// let mut model = Sequential::new().push(Dense::new(2).kernel_constraint(MaxNorm::new(0.1))).build([3], &cpu, 1)?;
/// let ctx = Ctx::train(1, 0);
/// let y = model.forward(&x, &ctx)?;
/// // … loss, backward, optimizer.step …
/// ctx.commit(&mut model)?;
/// let norms = model.parameters()[0].1.value().norm(2.0, 1)?;
/// assert!(norms.to_vec::<f32>()?.iter().all(|&norm| norm <= 0.1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Constraint {
    /// See [`MaxNorm`].
    MaxNorm(MaxNorm),
    /// See [`NonNeg`].
    NonNeg,
    /// See [`UnitNorm`].
    UnitNorm(UnitNorm),
    /// See [`MinMaxNorm`].
    MinMaxNorm(MinMaxNorm),
}

macro_rules! from_each {
    ($($name:ident)+) => {$(
        impl From<$name> for Constraint {
            fn from(constraint: $name) -> Self {
                Constraint::$name(constraint)
            }
        }
    )+};
}
from_each! { MaxNorm UnitNorm MinMaxNorm }

impl From<NonNeg> for Constraint {
    fn from(NonNeg: NonNeg) -> Self {
        Constraint::NonNeg
    }
}

impl Constraint {
    /// A parameter's value brought back, in its own dtype. Of half types it is computed in f32 and rounded once.
    ///
    /// # Errors
    /// Settings that make no sense, an axis out of range.
    pub fn apply(&self, w: &Tensor) -> Result<Tensor> {
        self.check("constraint", w.rank())?;
        let (dtype, w) = (w.dtype(), w.to_dtype(w.dtype().computed_in())?);
        let scaled = |norms: &Tensor, wanted: Tensor| w.mul(&wanted.div(&norms.add_scalar(EPSILON)?)?);
        let constrained = match self {
            Constraint::NonNeg => w.relu(),
            Constraint::UnitNorm(UnitNorm { axes }) => w.div(&axes.of(&w)?.add_scalar(EPSILON)?),
            Constraint::MaxNorm(MaxNorm { max, axes }) => {
                let norms = axes.of(&w)?;
                scaled(&norms, norms.clamp(0.0, *max)?)
            }
            Constraint::MinMaxNorm(MinMaxNorm { min, max, rate, axes }) => {
                let norms = axes.of(&w)?;
                let wanted = norms.clamp(*min, *max)?.mul_scalar(*rate)?.add(&norms.mul_scalar(1.0 - rate)?)?;
                scaled(&norms, wanted)
            }
        };
        constrained?.to_dtype(dtype)
    }

    /// Whether the settings make sense for a parameter of so many axes; `what` for the error.
    pub(crate) fn check(&self, what: &'static str, rank: usize) -> Result<()> {
        let checked = match self {
            Constraint::NonNeg => Ok(()),
            Constraint::UnitNorm(UnitNorm { axes }) => axes.check(rank),
            Constraint::MaxNorm(MaxNorm { max, axes }) => match *max >= 0.0 && max.is_finite() {
                true => axes.check(rank),
                false => Err(format!("a finite norm of at least 0 is expected, got {max}")),
            },
            Constraint::MinMaxNorm(MinMaxNorm { min, max, rate, axes }) => {
                let ordered = *min >= 0.0 && min <= max && max.is_finite() && (0.0..=1.0).contains(rate);
                match ordered {
                    true => axes.check(rank),
                    false => Err(format!(
                        "0 ≤ min ≤ max, both finite, and a rate from 0 to 1 are expected, got {min}, {max} and {rate}"
                    )),
                }
            }
        };
        checked.map_err(|message| Error::value(what, message))
    }
}
