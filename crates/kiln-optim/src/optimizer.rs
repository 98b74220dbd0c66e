//! What an optimizer is.

use crate::{Ascent, Group, Schedule, State};
use kiln_autograd::{Gradients, Var};
use kiln_nn::{Module, PathPattern, Stateful};
use kiln_tensor::{Result, Tensor};

/// Changes a model's parameters by their gradients.
///
/// What it remembers of a parameter (moments, velocities) is filed under the parameter's path, so it survives a model's
/// saving and loading. Everything that changes while it works is in its `state_dict` ([`Stateful`]): `optimizer`, its name; `step`;
/// `learning_rate`; `group.N.PATTERN`; `schedule` and what it keeps; and `state.PATH.NAME` for each parameter, where NAME is PyTorch's:
/// `momentum_buffer`, or `exp_avg` and `exp_avg_sq`. Settings stay as they were made. A state of another optimizer, of
/// other groups or of another schedule is refused, and then nothing is changed.
///
/// A custom optimizer has a [`State`] and implements `step_if`; the state's [`State::step_whole`] does all but the rule:
///
/// ```
/// use kiln_autograd::Gradients;
/// use kiln_nn::{Dense, Module, Sequential, StateDict, Stateful};
/// use kiln_optim::{Group, Optimizer, State};
/// use kiln_tensor::{Device, Result, Tensor};
///
/// /// Steps of a tenth of a parameter's own size along the sign of its momentum: a trust ratio, as LARS and LAMB have one.
/// struct TrustedSign {
///     momentum: f64,
///     state: State,
/// }
///
/// impl Optimizer for TrustedSign {
///     fn step_if(&mut self, model: &mut dyn Module, gradients: &Gradients, apply: Option<&Tensor>) -> Result<()> {
///         let momentum = self.momentum;
///         self.state.step_whole(model, gradients, apply, |x| {
///             let m = x.state(0)?.mul_scalar(momentum)?.add(&x.gradient.mul_scalar(1.0 - momentum)?)?;
///             let direction = m.sign()?;
///             let norm = |t: &Tensor| t.square()?.sum_all()?.sqrt();
///             let trust = norm(&x.parameter)?.div(&norm(&direction)?.add_scalar(1e-12)?)?;
///             let step = direction.mul(&trust)?.mul_scalar(x.learning_rate)?;
///             Ok((x.parameter.sub(&step)?, vec![Some(m)]))
///         })
///     }
///     fn name(&self) -> &'static str {
///         "TrustedSign"
///     }
///     fn state(&self) -> &State {
///         &self.state
///     }
///     fn state_mut(&mut self) -> &mut State {
///         &mut self.state
///     }
/// }
///
/// impl Stateful for TrustedSign {
///     fn state_dict(&self) -> Result<StateDict> {
///         self.state.state_dict(self.name())
///     }
///     fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
///         let name = self.name();
///         self.state.load_state_dict(name, state)
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let mut model = Sequential::new().push(Dense::new(3)).build(4, &Device::cpu(), 1)?;
/// let optimizer = TrustedSign { momentum: 0.9, state: State::new(0.1, &["momentum_buffer"]) };
/// // Groups, schedules and clipping are there for it, as for any other.
/// let mut optimizer = optimizer.group("*.bias", Group::new().frozen(true));
/// let mut gradients = Gradients::default();
/// for (_, parameter) in model.parameters() {
///     gradients.insert(parameter.id(), parameter.value().affine(0.0, 1.0)?);
/// }
/// let norm = |t: &Tensor| t.square()?.sum_all()?.sqrt()?.item();
/// let before = model.state_dict()["0.weight"].clone();
/// optimizer.step(&mut model, &gradients)?;
/// let step = model.state_dict()["0.weight"].sub(&before)?;
/// assert!((norm(&step)? / norm(&before)? - 0.1).abs() < 1e-5);
/// # Ok(())
/// # }
/// ```
pub trait Optimizer: Stateful + Send {
    /// One step. Parameters without a gradient (unused in this step, or frozen) stay as they are, with their state.
    ///
    /// `apply` is one bool on the parameters' device: where it is false, nothing is written, neither a parameter nor a state.
    /// It is read there, so that no step waits for it: so a step whose loss is not finite is left out, by the bool of comparing
    /// |loss| with infinity. Such a step counts among [`steps`](Optimizer::steps).
    ///
    /// # Errors
    /// Settings that make no sense (a learning rate that is negative or not finite), a group's pattern that matches nothing, a gradient
    /// of another shape or device than its parameter or of a type that does not go with it, or no gradient for any parameter
    /// of this model. Then nothing was changed: everything is checked first.
    fn step_if(&mut self, model: &mut dyn Module, gradients: &Gradients, apply: Option<&Tensor>) -> Result<()>;

    /// The first pass of an optimizer whose step takes two, such as [`Sam`](crate::Sam): it moves the parameters to the point at which the
    /// gradients of the step are computed. `None` for all others.
    fn ascent(&mut self) -> Option<&mut dyn Ascent> {
        None
    }

    /// Makes a step from a function that computes the loss, with as many passes as the optimizer needs. `loss` returns one number and must
    /// be the same function in each pass. Returns the loss before the step.
    ///
    /// ```
    /// # use kiln_autograd::Var;
    /// # use kiln_nn::{Ctx, Dense, Layer, Loss, MeanSquaredError, Sequential};
    /// # use kiln_tensor::{DType, Device, Result, Tensor};
    /// # fn main() -> Result<()> {
    /// # let cpu = Device::cpu();
    /// # let x = Var::constant(Tensor::ones([4, 2], DType::F32, &cpu)?);
    /// # let y = Tensor::ones([4, 1], DType::F32, &cpu)?;
    /// # let mut model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1)?;
    /// use kiln_optim::{Adam, Optimizer, Sam};
    /// let mut optimizer = Sam::new(Adam::new(0.01), 0.05);
    /// let ctx = Ctx::train(1, 0);
    /// let loss = optimizer.step_with(&mut model, |model| MeanSquaredError::new().forward(&model.forward(&x, &ctx)?, &y))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Optimizer::step_if`], and those of `loss`. After an error the parameters are unchanged.
    fn step_with<M: Module>(&mut self, model: &mut M, mut loss: impl FnMut(&M) -> Result<Var>) -> Result<Tensor>
    where
        Self: Sized,
    {
        let first = loss(model)?;
        let value = first.tensor().clone();
        let mut gradients = first.backward()?;
        if let Some(ascent) = self.ascent() {
            ascent.ascend(model, &gradients, None)?;
            match loss(model).and_then(|loss| loss.backward()) {
                Ok(second) => gradients = second,
                Err(error) => {
                    ascent.cancel(model)?;
                    return Err(error);
                }
            }
            ascent.descend(model)?;
        }
        let stepped = self.step(model, &gradients);
        if stepped.is_err()
            && let Some(ascent) = self.ascent()
        {
            ascent.cancel(model)?;
        }
        stepped.map(|()| value)
    }

    /// The type's name: `Adam`.
    fn name(&self) -> &'static str;

    /// What all optimizers have.
    fn state(&self) -> &State;

    /// What all optimizers have, to be changed.
    fn state_mut(&mut self) -> &mut State;

    /// Checks what does not change from step to step: settings, groups, schedule, and that every group's pattern matches one of the
    /// model's parameters. The first step does so too; a trainer's `fit` does it before it reads any data.
    ///
    /// # Errors
    /// One sentence.
    fn check(&self, model: &dyn Module) -> Result<()> {
        self.state().check(model)
    }

    /// One step; see [`Optimizer::step_if`].
    ///
    /// # Errors
    /// As there.
    fn step(&mut self, model: &mut dyn Module, gradients: &Gradients) -> Result<()> {
        self.step_if(model, gradients, None)
    }

    /// The learning rate, before a schedule's factor and a group's.
    fn learning_rate(&self) -> f64 {
        self.state().learning_rate()
    }

    /// The learning rate of the next step, with the schedule's factor.
    fn scheduled_learning_rate(&self) -> f64 {
        self.state().scheduled_learning_rate()
    }

    /// The learning rate of a parameter with this path in the next step, with the factors of the schedule and of its groups: 0 where it
    /// is frozen.
    ///
    /// ```
    /// use kiln_optim::{Group, Optimizer, Sgd, StepDecay};
    /// let optimizer = Sgd::new(0.1).schedule(StepDecay::new(10, 0.5)).group("features.*", Group::new().learning_rate_scale(0.1));
    /// assert_eq!((optimizer.learning_rate_of("head.weight"), optimizer.learning_rate_of("features.0.weight")), (0.1, 0.1 * 0.1));
    /// ```
    fn learning_rate_of(&self, path: &str) -> f64 {
        self.scheduled_learning_rate() * self.learning_rate_scale(path)
    }

    /// What the learning rate of a parameter with this path is multiplied by, beside the schedule's factor: the scale of its groups, 0
    /// where it is frozen.
    fn learning_rate_scale(&self, path: &str) -> f64 {
        self.state().learning_rate_scale(path)
    }

    /// Sets the learning rate of the steps that follow, before a schedule's factor; it is checked by the next step.
    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.state_mut().set_learning_rate(learning_rate);
    }

    /// How many steps were made.
    fn steps(&self) -> u64 {
        self.state().steps()
    }

    /// Sets the settings of the parameters that this pattern matches (`features.*`, `*.bias`), in place of those that this pattern had.
    /// Where several patterns match a parameter, each setting is that of the last one which sets it. A pattern that matches
    /// nothing is refused by the next step.
    fn set_group(&mut self, pattern: PathPattern, group: Group) {
        self.state_mut().set_group(pattern, group);
    }

    /// The optimizer with other settings for the parameters that this pattern matches; see [`Optimizer::set_group`].
    ///
    /// ```
    /// use kiln_optim::{AdamW, Group, Optimizer};
    /// let optimizer = AdamW::new(1e-3).group("features.*", Group::new().learning_rate_scale(0.1));
    /// ```
    #[must_use]
    fn group(mut self, pattern: impl Into<PathPattern>, group: Group) -> Self
    where
        Self: Sized,
    {
        self.set_group(pattern.into(), group);
        self
    }

    /// The optimizer without weight decay of biases and of the weights of norms: of all parameters with less than two axes, as is usual.
    /// A later [`group`](Optimizer::group) may set it again.
    #[must_use]
    fn no_decay_on_biases_and_norms(mut self) -> Self
    where
        Self: Sized,
    {
        self.state_mut().no_decay_on_vectors();
        self
    }

    /// The optimizer with a schedule, whose factor the learning rate of each step is multiplied by.
    ///
    /// ```
    /// use kiln_optim::{CosineDecay, LinearWarmup, Optimizer, Schedule, Sgd};
    /// let schedule = LinearWarmup::new(100).then(100, CosineDecay::new(900));
    /// let optimizer = Sgd::new(0.1).momentum(0.9).schedule(schedule);
    /// assert!((optimizer.scheduled_learning_rate() - 0.001).abs() < 1e-12);
    /// // A closure is a schedule too.
    /// let optimizer = Sgd::new(0.1).schedule(|step: u64| 0.99f64.powf(step as f64));
    /// ```
    #[must_use]
    fn schedule(mut self, schedule: impl Schedule + 'static) -> Self
    where
        Self: Sized,
    {
        self.state_mut().set_schedule(Box::new(schedule));
        self
    }
}

impl<O: Optimizer + ?Sized> Optimizer for Box<O> {
    fn step_if(&mut self, model: &mut dyn Module, gradients: &Gradients, apply: Option<&Tensor>) -> Result<()> {
        (**self).step_if(model, gradients, apply)
    }
    fn check(&self, model: &dyn Module) -> Result<()> {
        (**self).check(model)
    }
    fn ascent(&mut self) -> Option<&mut dyn Ascent> {
        (**self).ascent()
    }
    fn name(&self) -> &'static str {
        (**self).name()
    }
    fn state(&self) -> &State {
        (**self).state()
    }
    fn state_mut(&mut self) -> &mut State {
        (**self).state_mut()
    }
}
