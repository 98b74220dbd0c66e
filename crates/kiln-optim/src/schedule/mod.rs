//! Schedules: how the learning rate goes with the steps.
//!
//! To add one: its file, with a name in the list below.

mod join;

pub(crate) use join::load;
pub use join::{Then, Times};

/// The schedules, by the file that they are in. The exports and the prelude of `kiln` follow.
macro_rules! schedules {
    ($($file:ident: $name:ident;)+) => {
        $(
            mod $file;
            pub use $file::$name;
        )+

        /// What [`crate::prelude`] has of them.
        pub(crate) mod named {
            $(pub use super::$name;)+
        }

        /// Calls `$callback! { Name … }` with all schedules.
        #[doc(hidden)]
        #[macro_export]
        macro_rules! for_each_schedule {
            ($callback:path) => {
                $callback! { $($name)+ }
            };
        }
    };
}

schedules! {
    constant: Constant;
    cosine_decay: CosineDecay;
    cosine_restarts: CosineRestarts;
    cosine_warmup: CosineWarmup;
    cyclic: Cyclic;
    exponential_decay: ExponentialDecay;
    inverse_sqrt: InverseSqrt;
    linear_warmup: LinearWarmup;
    multi_step_decay: MultiStepDecay;
    one_cycle: OneCycle;
    piecewise: Piecewise;
    polynomial_decay: PolynomialDecay;
    step_decay: StepDecay;
}

use kiln_nn::Stateful;
use kiln_tensor::{Error, Result};

/// A function of the step that gives the factor which the learning rate is multiplied by.
///
/// A factor rather than a rate, so that schedules do not repeat the rate, can follow one another and be multiplied, and go with
/// rates that are set later and with groups that have a rate of their own. Steps are those of the optimizer, from 0; to go by epochs,
/// divide by the steps of an epoch.
///
/// A closure of the step is a schedule. One that has a state (the best loss so far) implements [`Stateful`] and says so by
/// [`stateful`](Schedule::stateful); its entries are in the optimizer's `state_dict`, under `schedule.`.
///
/// ```
/// use kiln_optim::{CosineDecay, LinearWarmup, Schedule};
/// let schedule = LinearWarmup::new(10).then(10, CosineDecay::new(100).floor(0.1));
/// assert_eq!([0, 4, 9, 10, 110].map(|step| schedule.at(step)), [0.1, 0.5, 1.0, 1.0, 0.1]);
/// ```
pub trait Schedule: Send {
    /// The factor of the step with this number, from 0.
    fn at(&self, step: u64) -> f64;

    /// Checks the settings.
    ///
    /// # Errors
    /// One sentence.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The name, of which a state is known.
    fn name(&self) -> String {
        "closure".into()
    }

    /// The state, where there is one.
    fn stateful(&self) -> Option<&dyn Stateful> {
        None
    }

    /// The state to be changed, where there is one.
    fn stateful_mut(&mut self) -> Option<&mut dyn Stateful> {
        None
    }

    /// This schedule for so many steps, then `next`, which begins at its own step 0: PyTorch's `SequentialLR`.
    fn then<S: Schedule>(self, steps: u64, next: S) -> Then<Self, S>
    where
        Self: Sized,
    {
        Then::new(self, steps, next)
    }

    /// The product of both factors: PyTorch's `ChainedScheduler`.
    fn times<S: Schedule>(self, other: S) -> Times<Self, S>
    where
        Self: Sized,
    {
        Times::new(self, other)
    }
}

impl<F: Fn(u64) -> f64 + Send> Schedule for F {
    fn at(&self, step: u64) -> f64 {
        self(step)
    }
}

impl Schedule for Box<dyn Schedule> {
    fn at(&self, step: u64) -> f64 {
        (**self).at(step)
    }
    fn check(&self) -> Result<()> {
        (**self).check()
    }
    fn name(&self) -> String {
        (**self).name()
    }
    fn stateful(&self) -> Option<&dyn Stateful> {
        (**self).stateful()
    }
    fn stateful_mut(&mut self) -> Option<&mut dyn Stateful> {
        (**self).stateful_mut()
    }
}

/// A schedule over some steps.
fn some_steps(schedule: &str, steps: u64) -> Result<()> {
    if steps > 0 { Ok(()) } else { Err(refused(format!("{schedule} over 0 steps: at least 1 is needed"))) }
}

/// A finite number that is not negative.
fn factor(schedule: &str, what: &str, value: f64) -> Result<()> {
    if value >= 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(refused(format!("the {what} of {schedule} is {value}: a finite number of at least 0 is expected")))
}

#[cold]
fn refused(why: String) -> Error {
    Error::value("schedule", why)
}
